"""Photos that move: what is drawn, what is said of it, whose face it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.config import DataConfig
from rtatl_core.datasets.ratings import Ratings
from rtatl_core.datasets.split import split
from rtatl_core.errors import InputError
from rtatl_core.face.find import FaceMesh
from rtatl_core.face.mesh import mean_face
from rtatl_core.handoffs import CHIP_SIDE, Float32, UInt8
from rtatl_core.synthetic import motion, moved
from rtatl_core.synthetic.generate import prepare_moved
from rtatl_core.synthetic.motion import Motion
from rtatl_core.synthetic.moved import (
    BROWS,
    MOUTHS,
    REST_S,
    moved_clips,
    moved_units,
    sample_added,
    sample_script,
)
from rtatl_core.synthetic.rig import AUS, LANDMARKS, LEFT, RIGHT, ROW, Action, Material, Mesh, Rig
from rtatl_core.synthetic.script import CLIP_RATE
from rtatl_core.synthetic.studio import SIDE
from tests.clips import demo_frames, write_picture
from tests.core.stores import write_clips

BROW_CM = 1.0
"""How far AU2 lifts a brow of ``Mask``, and AU15 lowers the corners of the mouth."""
LEFT_BROW, RIGHT_BROW = (296, 334, 293), (66, 105, 63)
_MOVED = ["--photos", "p", "--ratings", "r.csv", "--count", "3", "--out", "o"]
STILL = (1, 2, 4, 33, 133, 362, 263, 61, 291, 13, 14)


class Mask:
    """A head of the mean face's 468 points: AU2 lifts brows, AU15 lowers the corners of the mouth."""

    name, age = "mask", 0.5

    def __init__(self) -> None:
        from scipy.spatial import Delaunay

        self._rest = (mean_face() * (0.1, -0.1, -0.1)).astype(np.float32)
        triangles = Delaunay(self._rest[:, :2]).simplices.astype(np.int32)
        a, b, c = (self._rest[triangles[:, corner], :2] for corner in range(3))
        flipped = np.cross(b - a, c - a) < 0
        triangles[flipped] = triangles[flipped][:, ::-1]
        count = len(self._rest)
        uv = (self._rest[:, :2] / 40 + 0.5).astype(np.float32)
        marks = np.zeros(LANDMARKS, np.int32)
        marks[17:] = motion._MESH_POINTS
        kinds = np.zeros(count, np.uint8)
        self.mesh = Mesh(triangles, uv, kinds, np.full(count, Material.SKIN, np.uint8), uv, marks)
        self.textures: tuple[UInt8, UInt8, UInt8] = (np.zeros((2, 2, 4), np.uint8),) * 3

    def vertices(self, action: Action) -> Float32:
        vertices = self._rest.copy()
        for side, brow in ((LEFT, LEFT_BROW), (RIGHT, RIGHT_BROW)):
            distance = np.linalg.norm(self._rest - self._rest[list(brow)].mean(axis=0), axis=1)
            vertices[:, 1] += BROW_CM * action.side(2, side) * np.exp(-((distance / 1.5) ** 2))
        corners = np.linalg.norm(self._rest[:, None] - self._rest[[61, 291]], axis=2).min(axis=1)
        vertices[:, 1] -= BROW_CM * action.both(15) * np.exp(-((corners / 1.0) ** 2))
        return vertices

    def labels(self, action: Action, vertices: Float32) -> Float32:
        return action.aus


class MaskRig:
    name = "mask"

    def head(self, rng: np.random.Generator) -> Mask:
        return Mask()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    def open_mask(folder: Path) -> Rig:
        return MaskRig()

    monkeypatch.setattr(moved, "open_rig", open_mask)
    moved.opened.cache_clear()
    return (Path("masks"),)


@pytest.fixture(scope="module")
def portrait() -> UInt8:
    return demo_frames(1, skip=5)[0]


def added(au: int, left: float, right: float) -> Action:
    aus = np.zeros((len(AUS), 2), np.float32)
    aus[ROW[au]] = left, right
    return Action(aus)


def rated(values: Mapping[int, float], others: float = 0.0) -> Float32:
    return np.array([values.get(au, others) for au in AUS], np.float32)


def test_a_brow_goes_up_as_far_as_the_rig_says_and_nothing_else_moves(portrait: UInt8) -> None:
    with FaceMesh(tracking=False) as mesh:
        before = mesh(portrait)[0]
        laid = Motion(Mask()).on(before)
        drawn = laid.move(portrait, added(2, 1.0, 0.0)).image
        shift = mesh(drawn)[0][:, :2] - before[:, :2]
    assert drawn.shape == portrait.shape
    up = -shift[list(LEFT_BROW), 1].mean() / laid.scale
    assert 0.5 * BROW_CM < up < 1.2 * BROW_CM, "Face Mesh hardly follows as far"
    assert abs(shift[list(RIGHT_BROW), 1]).mean() / laid.scale < 0.15
    assert abs(shift[list(STILL)]).mean() / laid.scale < 0.1


def test_a_picture_is_drawn_along_where_it_moves_and_stays_elsewhere(portrait: UInt8) -> None:
    """A spot painted on the brow is found where the rig carries it."""
    with FaceMesh(tracking=False) as mesh:
        landmarks = mesh(portrait)[0]
    laid = Motion(Mask()).on(landmarks)
    x, y = landmarks[list(LEFT_BROW), :2].mean(axis=0).round().astype(int)
    spotted = portrait.copy()
    spotted[y - 2 : y + 3, x - 2 : x + 3] = (255, 0, 255)
    moved = laid.move(spotted, added(2, 0.6, 0.0))
    drawn = moved.image
    rows, columns = np.nonzero((np.abs(drawn.astype(int) - (255, 0, 255)) < 60).all(axis=2))
    assert columns.mean() == pytest.approx(x, abs=1.5)
    assert y - rows.mean() == pytest.approx(0.6 * BROW_CM * laid.scale, rel=0.2)
    corner = slice(0, 40), slice(0, 40)
    np.testing.assert_allclose(drawn[corner].astype(int), portrait[corner], atol=2)
    row, column = round(rows.mean()), round(columns.mean())
    np.testing.assert_allclose(moved.back[row, column], (x - column, y - row), atol=1.5)
    assert np.isnan(moved.back[corner]).all()
    still = laid.move(portrait, Action(np.zeros((len(AUS), 2), np.float32)))
    np.testing.assert_allclose(still.image, portrait, atol=1)
    np.testing.assert_allclose(still.back[row, column], 0, atol=1e-4)


def test_what_is_added_never_passes_the_scale_and_spares_what_is_unknown() -> None:
    rng = np.random.default_rng(0)
    known = rated({1: 4.0, 4: np.nan, 15: 5.0})
    drawn = np.stack([sample_added(known, rng) for _ in range(400)])
    assert (known[:, None] + 5 * drawn)[:, ROW[1]].max() <= 5 + 1e-5
    assert drawn[:, ROW[1]].max() > 0.15
    assert not drawn[:, [ROW[4], ROW[15]]].any()
    assert drawn[:, ROW[2]].max() > 0.9
    assert (drawn.max(axis=(1, 2)) > 0).mean() > 0.8
    moving = {au for au in AUS if drawn[:, ROW[au]].any()}
    assert moving == {au for group in (*BROWS, *MOUTHS) for au in group} - {4, 15}
    sided = drawn[:, ROW[2], LEFT] != drawn[:, ROW[2], RIGHT]
    assert 0.25 < sided[drawn[:, ROW[2]].any(axis=1)].mean() < 0.55


@pytest.mark.parametrize("open_mouth", [{25: 1.0}, {26: 2.0}, {25: np.nan}])
def test_lips_that_part_or_may_do_so_do_not_move(open_mouth: dict[int, float]) -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([sample_added(rated(open_mouth), rng) for _ in range(100)])
    assert drawn.any(axis=(1, 2)).all(), "brows do"
    assert {au for au in AUS if drawn[:, ROW[au]].any()} == {1, 2, 4}


@pytest.mark.parametrize(
    ("smile", "barred"), [(0.4, set()), (0.5, {15, 18, 28}), (3.0, {15, 18, 28}), (np.nan, {15, 18, 28})]
)
def test_what_excludes_an_au_that_a_photo_shows_or_may_show_is_not_added(smile: float, barred: set[int]) -> None:
    """A smile with shut lips; in clips, too."""
    known, rng = rated({12: smile}), np.random.default_rng(0)
    drawn = np.stack([sample_added(known, rng) for _ in range(400)])
    mouths = {au for group in MOUTHS for au in group}
    assert {au for au in mouths if drawn[:, ROW[au]].any()} == mouths - barred
    script = sample_script(known, 400, rng)
    course = np.stack([script.at(time_s / 4).action.aus for time_s in range(4 * 400)])
    assert {au for au in mouths if course[:, ROW[au]].any()} == mouths - barred


def test_aus_that_exclude_each_other_are_not_added_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved, "MOUTHS", {(18, 24): 1.0})
    rng = np.random.default_rng(0)
    drawn = np.stack([sample_added(rated({}), rng) for _ in range(50)])
    assert drawn[:, ROW[18]].any()
    assert not drawn[:, ROW[24]].any()


def test_prepared_faces_say_what_was_rated_and_what_was_added(
    rig: tuple[Path, ...], portrait: UInt8, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    write_picture(root / "ann.png", portrait)
    write_picture(root / "wall.png", np.full((80, 80, 3), 120, np.uint8))
    ratings = Ratings(
        (2, 12, 15), {name: np.array([1, 2, np.nan], np.float32) for name in ("ann.png", "wall.png", "x")}
    )
    units = moved_units([root], ratings, rig, seed=3, count=9)
    assert [(unit.name, len(unit.rated), unit.each) for unit in units] == [("photos-00000", 2, 5)]
    told = prepare_moved(units, tmp_path / "out", side=64, jobs=1)
    assert "5 faces, 1 lost" in told
    store = ChipStore.open(tmp_path / "out")
    assert store.subjects.tolist() == ["ann.png"] * 5
    assert not store.rendered.any(), "she is a real person"
    intensity, sides = store.intensity, store.sides
    assert intensity is not None
    assert sides is not None
    np.testing.assert_allclose(intensity, sides.mean(axis=2), atol=0.01)
    np.testing.assert_allclose(intensity[0], [{2: 1, 12: 2}.get(au, np.nan) for au in AUS])
    assert (intensity[1:, ROW[2]] >= 1).all()
    assert intensity[1:, ROW[2]].max() > 1.2
    np.testing.assert_allclose(intensity[:, ROW[12]], 2)
    assert np.isnan(intensity[:, ROW[15]]).all(), "nobody knows how it was"
    assert store.occurrence is not None
    assert (np.isnan(store.occurrence) == np.isnan(intensity)).all()
    assert store.flow is None, "she smiles"
    again = list(units[0].frames())
    same = list(moved_units([root], ratings, rig, seed=3, count=9)[0].frames())
    for one, other in zip(again, same, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_a_face_at_rest_brings_the_exact_way_back(rig: tuple[Path, ...], portrait: UInt8, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_picture(root / "ann.png", portrait)
    ratings = Ratings(AUS, {"ann.png": rated({}, others=0.9)})
    prepare_moved(moved_units([root], ratings, rig, seed=1, count=12), tmp_path / "out", side=CHIP_SIDE, jobs=1)
    store = ChipStore.open(tmp_path / "out")
    assert store.flow_to.tolist() == list(range(12)), "each to itself: to the same face at rest"
    assert store.intensity is not None
    lifted = store.intensity[:, ROW[2]] - 0.9
    down = [np.nanmax(flow[..., 1]) for row in range(12) if (flow := store.stored_flow(row)) is not None]
    assert down[0] == pytest.approx(0, abs=1e-3)
    assert np.corrcoef(lifted, down)[0, 1] > 0.8


def test_two_folders_of_photos_are_not_moved_by_the_same_draws(
    rig: tuple[Path, ...], portrait: UInt8, tmp_path: Path
) -> None:
    roots = [tmp_path / name for name in ("one", "two")]
    for root in roots:
        write_picture(root / "ann.png", portrait)
    units = moved_units(roots, Ratings(AUS, {"ann.png": rated({})}), rig, seed=1, count=6)
    (_, *first), (_, *second) = (list(unit.frames()) for unit in units)
    assert len(first) == len(second) == 2
    assert all((one.sides != other.sides).any() for one, other in zip(first, second, strict=True))  # type: ignore[union-attr]


@pytest.mark.parametrize(("unknown", "rests"), [((), True), ((12,), False), (AUS, False)])
def test_a_face_of_which_not_all_is_known_is_not_called_at_rest(
    portrait: UInt8, unknown: tuple[int, ...], rests: bool
) -> None:
    """She may smile, and then the way back from what was added does not lead to rest."""
    face = moved._Face(portrait, np.zeros((478, 3), np.float32), rated(dict.fromkeys(unknown, np.nan), others=0.5))
    way = np.zeros((*portrait.shape[:2], 2), np.float32)
    frame = face.frame("ann", "ann", portrait, way, np.zeros((len(AUS), 2), np.float32))
    assert (frame.flow is not None) == rests == bool(frame.flow_to)


def test_a_clip_rests_first_and_then_does_one_thing_after_another() -> None:
    script = sample_script(rated({2: 1.0}), 60, np.random.default_rng(0))
    course = np.stack([script.at(index / CLIP_RATE).action.aus for index in range(round(60 * CLIP_RATE))])
    assert not course[: round(REST_S * CLIP_RATE)].any()
    total = course.sum(axis=(1, 2))
    onsets = np.flatnonzero((total[:-1] < 1e-6) & (total[1:] > 1e-6))
    assert 60 / 3.2 < len(onsets) < 60 / 1.0
    assert len({frozenset(np.flatnonzero(course[start + 4].any(axis=1))) for start in onsets[:-1]}) > 5
    assert np.abs(np.diff(course, axis=0)).max() < 0.75, "no picture jumps from nothing to all"
    assert (1.0 + 5 * course[:, ROW[2]]).max() <= 5 + 1e-5


def test_clips_are_prepared_as_videos_of_their_people(rig: tuple[Path, ...], portrait: UInt8, tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "ann.png", portrait)
    ratings = Ratings(AUS, {"ann.png": rated({}, others=0.5)})
    clips = moved_clips([tmp_path / "photos"], ratings, rig, seed=2, clips=2, seconds=3)
    prepare_moved(clips, tmp_path / "out", side=CHIP_SIDE, jobs=1)
    store = ChipStore.open(tmp_path / "out")
    assert len(store) == 2 * 3 * CLIP_RATE
    assert set(store.subjects) == {"ann.png"}
    assert set(store.clips) == {"photos-clip-00000", "photos-clip-00001"}
    assert store.times[:4] == pytest.approx(np.arange(4) / CLIP_RATE, abs=1e-3)
    assert store.intensity is not None
    rest = round(REST_S * CLIP_RATE)
    np.testing.assert_allclose(store.intensity[:rest], 0.5)
    assert store.intensity[rest:].max() > 1
    chips = store.chips.take(range(2)).astype(int)
    assert 0 < np.abs(chips[1] - chips[0]).mean() < 10, "a camera's noise, and nothing else, changes at rest"
    with pytest.raises(InputError, match=r"rests for 1 s before it moves; write --seconds 2 or more"):
        moved_clips([tmp_path / "photos"], ratings, rig, seed=2, clips=2, seconds=1.5)


def test_strangers_are_not_met_in_motion(rig: tuple[Path, ...], portrait: UInt8, tmp_path: Path) -> None:
    """A network that reads some photos as strangers' was not trained on what was made of them either."""
    names = ["p0", "p1", "q0", "q1"]
    for name in names:
        write_picture(tmp_path / "photos" / f"{name}.png", portrait)
        (tmp_path / "photos" / f"{name}.png").rename(tmp_path / "photos" / name)
    ratings = Ratings(AUS, {name: rated({}) for name in names})
    made = tmp_path / "moved"
    prepare_moved(moved_units([tmp_path / "photos"], ratings, rig, 0, 8), made, side=CHIP_SIDE, jobs=1)
    thirds = tuple(str(write_clips(tmp_path / third, teacher=True, name=third)) for third in "pq")
    whole = DataConfig(labelled=(str(made),), unlabelled=thirds, calibration=thirds, held_out=0.3)
    data = split(whole.without(thirds[0]), seed=0)
    assert data.labelled is not None
    assert data.validation is not None
    met = {*data.labelled.store.subjects[data.labelled.rows], *data.validation.store.subjects[data.validation.rows]}
    assert met == {"q0", "q1"}
    assert {"q0", "q1"} >= set(data.subjects)


def test_what_does_not_fit_is_said(rig: tuple[Path, ...], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ratings = Ratings((2,), {"ann.png": np.ones(1, np.float32)})
    with pytest.raises(InputError, match=r"empty holds no rated photo; name the folder below which"):
        moved_units([tmp_path / "empty"], ratings, rig, 0)
    with pytest.raises(InputError, match=r"two folders of photos have one name"):
        moved_units([tmp_path / "empty", tmp_path / "other" / "empty"], ratings, rig, 0)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--photos", "p", "--count", "3", "--out", "o"], "write both --photos DIR and --ratings CSV"),
        (["--ratings", "r.csv", "--count", "3", "--out", "o"], "write both --photos DIR and --ratings CSV"),
        (["--photos", "p", "--ratings", "r.csv", "--check", "--hdri", "h"], "leave --check and --hdri out"),
        ([*_MOVED, "--flow", "later"], "leave --flow out"),
        ([*_MOVED, "--size", "256"], "leave --size out"),
        ([*_MOVED, "--chips"], "leave --chips out"),
        (["--photos", "p", "--ratings", "r.csv"], "has nothing to do"),
    ],
)
def test_flags_that_do_not_go_together(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "--rig", "r", *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_sheet_shows_photos_as_they_are_and_moved(rig: tuple[Path, ...], portrait: UInt8, tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "ann.png", portrait)
    (tmp_path / "rated.csv").write_text("image,AU02\nann.png,0\n")
    sheet = tmp_path / "sheet.png"
    flags = ["--photos", str(tmp_path / "photos"), "--ratings", str(tmp_path / "rated.csv"), "--sheet", str(sheet)]
    assert main(["synth", "--rig", "masks", *flags]) == 0
    picture = cv2.imread(str(sheet))
    assert picture.shape == (SIDE, moved.OF_EACH * SIDE, 3)
    first, *others = np.split(picture.astype(int), moved.OF_EACH, axis=1)
    middle = slice(len(portrait[0]) // 2 - 240, len(portrait[0]) // 2 + 240)
    np.testing.assert_allclose(
        first, cv2.resize(portrait[:, middle], (SIDE, SIDE), interpolation=cv2.INTER_AREA), atol=1
    )
    assert sum(np.abs(other - first).max() > 30 for other in others) >= 2
