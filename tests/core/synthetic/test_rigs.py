"""What rigs are told to do, skins and wrinkles; the real rigs where RTATL_RIGS names a folder that holds them:
``FaceXModel/`` of ICT-FaceKit and ``valid-avatars/``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rtatl_core.errors import InputError
from rtatl_core.synthetic import ict_shapes, valid_shapes
from rtatl_core.synthetic.complexion import Complexion
from rtatl_core.synthetic.gates import MEASURES, check, real_ranges
from rtatl_core.synthetic.hair import HairStyle, grow, hair_mesh, paint_hair
from rtatl_core.synthetic.ict import IctHead
from rtatl_core.synthetic.rig import AUS, LEFT, RIGHT, ROW, SINGLE, Action, Head, Material, full, neutral_action
from rtatl_core.synthetic.sculpt import BRUSHES, sculpted
from rtatl_core.synthetic.skin import CELLS, paint_face, paint_parts
from rtatl_core.synthetic.standard_face import LANDMARK_UV, standard_places
from rtatl_core.synthetic.studio import Sources, Studio
from rtatl_core.synthetic.valid import ValidHead
from rtatl_core.synthetic.wrinkles import DRIVERS, SIDE, Wrinkles


def one_sided(au: int, side: int) -> Action:
    values = np.zeros((len(AUS), 2), np.float32)
    values[ROW[au], side] = 1
    return Action(values)


@pytest.mark.parametrize("table", [(ict_shapes.SIDED, ict_shapes.WHOLE), (valid_shapes.SIDED, valid_shapes.WHOLE)])
def test_every_au_has_shapes_and_sides_where_it_should(
    table: tuple[Mapping[int, object], Mapping[int, object]],
) -> None:
    sided, whole = table
    assert set(sided) | set(whole) == set(AUS)
    assert not (set(sided) - {17, 25}) & SINGLE


def test_one_side_moves_only_that_side() -> None:
    weights = ict_shapes.shape_weights(one_sided(12, LEFT), {})
    assert weights["mouthSmile_L"] == pytest.approx(1)
    assert weights["mouthSmile_R"] == 0
    morphs = valid_shapes.morph_weights(one_sided(12, RIGHT), {})
    assert morphs["RsmileClose"] > 1
    assert morphs["LsmileClose"] == 0


def bare_heads() -> list[Head]:
    """Of both rigs, with nothing but 68 landmarks and lids that droop a little."""
    ict, valid = object.__new__(IctHead), object.__new__(ValidHead)
    for head in (ict, valid):
        head.mesh = SimpleNamespace(landmarks=np.arange(68))  # type: ignore[assignment]
        head._neutral_weights = dict.fromkeys(("eyeBlink_L", "eyeBlink_R", "LeyeClose", "ReyeClose"), 0.1)
    valid._jaw, valid._resting_gap = {}, np.zeros(2, np.float32)
    return [ict, valid]


@pytest.mark.parametrize("head", bare_heads(), ids=["ict", "valid"])
@pytest.mark.parametrize(("winks", "open_eye"), [(LEFT, RIGHT), (RIGHT, LEFT)])
def test_a_wink_is_labelled_on_the_side_that_winks(head: Head, winks: int, open_eye: int) -> None:
    labels = head.labels(one_sided(43, winks), np.zeros((68, 3), np.float32))
    assert labels[ROW[43], winks] == pytest.approx(1)
    assert labels[ROW[43], open_eye] == 0


@pytest.mark.parametrize("head", bare_heads(), ids=["ict", "valid"])
def test_lids_that_follow_the_eye_down_are_not_labelled_as_closing(head: Head) -> None:
    ahead, down = (
        head.labels(Action(one_sided(7, LEFT).aus, (0.0, pitch)), np.zeros((68, 3), np.float32)) for pitch in (0, -0.4)
    )
    np.testing.assert_array_equal(down, ahead)
    assert down[ROW[43], RIGHT] == 0


def test_an_avatars_lips_are_pressed_on_both_sides_whichever_is_meant() -> None:
    ict, valid = bare_heads()
    for side in (LEFT, RIGHT):
        assert valid.labels(one_sided(24, side), np.zeros((68, 3), np.float32))[ROW[24]] == pytest.approx(0.5)
        assert ict.labels(one_sided(24, side), np.zeros((68, 3), np.float32))[ROW[24], side] == 1


@pytest.mark.parametrize(
    ("lower", "parted"),
    [((0, -0.8, 0), True), ((0, -0.7, -0.4), True), ((0, 0.5, 0.5), False), ((0, 0, 0.6), False), ((0.8, 0, 0), False)],
)
def test_lips_that_are_pushed_over_each_other_do_not_part(lower: tuple[float, float, float], parted: bool) -> None:
    """The upper lip's point lies at the origin, the lower one's at ``lower``, centimetres."""
    vertices = np.zeros((68, 3), np.float32)
    vertices[66] = lower
    for head in bare_heads():
        labels = head.labels(neutral_action(), vertices)
        assert (labels[ROW[25]] > 0.4).all() == parted
        assert (labels[ROW[25]] == 0).all() == (not parted)


def test_closed_eyes_hide_what_the_lids_do() -> None:
    both = full(43, 7)
    assert (
        ict_shapes.shape_weights(both, {})["eyeSquint_L"] < 0.4 * ict_shapes.shape_weights(full(7), {})["eyeSquint_L"]
    )
    assert valid_shapes.morph_weights(both, {})["LlowLid"] < 0.4 * valid_shapes.morph_weights(full(7), {})["LlowLid"]


def test_pressed_lips_stay_closed_over_an_open_jaw() -> None:
    weights = ict_shapes.shape_weights(full(24, 26), {})
    assert weights["mouthClose"] == pytest.approx(weights["jawOpen"])
    assert valid_shapes.morph_weights(full(24, 26), {})["MouthOpen"] == 0


def test_gaze_turns_both_eyes() -> None:
    weights = ict_shapes.shape_weights(Action(neutral_action().aus, (0.3, -0.2)), {})
    assert weights["eyeLookOut_L"] == weights["eyeLookIn_R"] == pytest.approx(0.5)
    assert weights["eyeLookDown_L"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("weights", "opens", "most"),
    [
        (ict_shapes.shape_weights, "eyeWide_L", ict_shapes.MOST),
        (valid_shapes.morph_weights, "LeyeOpen", valid_shapes.WIDEST),
    ],
)
def test_upper_lids_follow_the_eyes_up(
    weights: Callable[[Action, Mapping[str, float]], dict[str, float]], opens: str, most: float
) -> None:
    """Else an eye that looks up hides under its lid, and lids that rise always mean AU5."""

    def lifted(pitch: float, *aus: int) -> float:
        return weights(Action(full(*aus).aus, (0.0, pitch)), {})[opens]

    assert lifted(0.0) == lifted(-0.3) == 0
    assert 0.2 < lifted(0.2) < lifted(0.4) < lifted(0.0, 5)
    assert lifted(0.5, 5) == most, "and break nothing"
    assert lifted(0.4, 43) < 0.3 * lifted(0.4), "under closed lids nothing is seen of it"


@pytest.mark.parametrize("gaze", [(0.0, 0.0), (0.5, 0.0), (-0.3, 0.2), (0.0, -0.4)])
def test_eyeballs_turn_by_the_gaze_that_is_written_down(gaze: tuple[float, float]) -> None:
    ball = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)], np.float32)
    shape = np.concatenate([ball + np.array((x, 0, 0), np.float32) for x in (3, -3)])
    head = object.__new__(IctHead)
    head._neutral_weights, head._shape, head._hair = {}, shape, np.zeros((0, 3), np.float32)
    eyes = {LEFT: np.arange(27), RIGHT: np.arange(27, 54)}
    head._rig = SimpleNamespace(shapes=_NoShapes(), deltas=np.zeros((1, 54, 3), np.float32), eyes=eyes)  # type: ignore[assignment]
    vertices = head.vertices(Action(neutral_action().aus, gaze))
    for rows in eyes.values():
        front, middle = vertices[rows[14]], vertices[rows[13]]
        x, y, z = front - middle
        assert middle == pytest.approx(shape[rows[13]], abs=1e-6)
        assert (np.arctan2(x, z), np.arcsin(y)) == pytest.approx(gaze, abs=1e-6)


class _NoShapes(dict[str, int]):
    """Every shape is one that moves nothing."""

    def __missing__(self, name: str) -> int:
        return 0


@pytest.mark.parametrize("name", BRUSHES)
def test_brushes_are_mirror_images(name: str) -> None:
    rng = np.random.default_rng(0)
    right = rng.uniform((-6, -9, 0), (0, 5, 4), (68, 3)).astype(np.float32)
    mirror = np.array([-1, 1, 1], np.float32)
    marks = right.copy()
    from rtatl_core.synthetic.sculpt import MIRRORED

    for a, b in MIRRORED.items():
        marks[b] = right[a] * mirror
    points = rng.uniform((-7, -10, -2), (7, 6, 5), (200, 3)).astype(np.float32)
    one = sculpted(points, marks, BRUSHES[name], RIGHT)
    other = sculpted(points * mirror, marks, BRUSHES[name], LEFT) * mirror
    assert one == pytest.approx(other, abs=1e-5)
    assert np.abs(one).max() > 0.01


def test_wrinkles_deepen_where_their_au_pulls() -> None:
    wrinkles = Wrinkles.sample(0.3, np.random.default_rng(0))
    rest = wrinkles.relief(neutral_action())
    assert rest.shape == (SIDE, SIDE, 3)
    brow = np.abs(wrinkles.relief(full(1, 2)) - rest).sum(axis=(1, 2))
    assert brow[: SIDE // 4].sum() > 0.95 * brow.sum()
    left = np.abs(wrinkles.relief(one_sided(6, LEFT)) - rest).sum(axis=(0, 2))
    assert left[SIDE // 2 :].sum() > 0.95 * left.sum()  # the subject's left lies at large u
    assert (np.abs(wrinkles.relief(full(4)) - rest)[:, SIDE // 3 : -SIDE // 3]).max() > 0.1


def test_wrinkles_grow_with_age() -> None:
    young, old = (
        np.mean(
            [np.abs(Wrinkles.sample(age, np.random.default_rng(s)).relief(neutral_action())).mean() for s in range(8)]
        )
        for age in (0.0, 1.0)
    )
    assert old > 2 * young


def test_every_crease_is_driven_by_aus_that_exist() -> None:
    assert {au for drivers in DRIVERS.values() for au in drivers} <= set(AUS)


def test_skins_cover_all_tones_and_follow_from_the_seed() -> None:
    looks = [Complexion.sample(np.random.default_rng(seed)) for seed in range(200)]
    lightness = np.array([look.skin.mean() for look in looks])
    assert lightness.min() < 60
    assert lightness.max() > 200
    look = looks[0]
    one, same = (paint_face(look, LANDMARK_UV, 128, np.random.default_rng(3)) for _ in range(2))
    assert one.shape == (128, 128, 4)
    assert (one == same).all()


def test_lips_and_brows_are_painted_where_they_belong() -> None:
    look = next(
        look
        for look in (Complexion.sample(np.random.default_rng(seed)) for seed in range(100))
        if look.tone < 0.3 and look.beard == 0 and look.brow_density > 0.7
    )
    face = paint_face(look, LANDMARK_UV, 256, np.random.default_rng(0))[..., :3].astype(float)
    cheek = face[115:125, 70:90].mean(axis=(0, 1))
    lip = face[int(0.6 * 256) : int(0.63 * 256), 120:136].mean(axis=(0, 1))
    assert lip[1] / lip[0] < cheek[1] / cheek[0] - 0.05  # redder
    brow = face[:, int(0.37 * 256) : int(0.41 * 256)].mean(axis=(1, 2))
    darkest = int(np.argmin(brow[40:65])) + 40
    assert darkest / 256 > LANDMARK_UV[19, 1]  # lower than the rig's own brow points


def test_the_atlas_fills_its_cells() -> None:
    atlas = paint_parts(Complexion.sample(np.random.default_rng(0)), 128, np.random.default_rng(0))
    for name, (u0, v0, u1, v1) in CELLS.items():
        cell = atlas[int(v0 * 128) : int(v1 * 128), int(u0 * 128) : int(u1 * 128)]
        assert cell[..., :3].max() > 0, name
    eye = atlas[:64, :64, :3].mean(axis=2)
    assert eye[32, 32] < 40  # pupil
    assert eye[32, 60] > 150  # white


def test_hair_stands_off_the_skull_and_leaves_the_face_free() -> None:
    rng = np.random.default_rng(0)
    skin = rng.normal(size=(2000, 3)).astype(np.float32)
    skin = skin / np.linalg.norm(skin, axis=1, keepdims=True) * 9 + [0, 1, -8.5]
    style = HairStyle(False, 1.0, 8.0, 0.78, 0.3, 0.0)
    triangles, uv = hair_mesh()
    strands = grow(style, skin.astype(np.float32))
    assert len(strands) == len(uv)
    used = strands[np.unique(triangles)]
    assert (np.linalg.norm(used - [0, 1, -8.5], axis=1) > 8.5).mean() > 0.95
    in_face = (np.abs(used[:, 0]) < 3) & (used[:, 2] > -2) & (used[:, 1] < -2)
    assert not in_face.any()
    texture = paint_hair(style, np.array([90.0, 60, 40]), rng)
    assert 0.2 < (texture[..., 3] > 127).mean() < 0.95
    bald = HairStyle(True, 1.0, 0.0, 0.78, 0.3, 0.0)
    assert paint_hair(bald, np.array([90.0, 60, 40]), rng)[..., 3].max() == 0


def test_the_standard_face_maps_landmarks_onto_landmarks() -> None:
    marks = np.column_stack([(LANDMARK_UV[:, 0] - 0.5) * 18, (0.28 - LANDMARK_UV[:, 1]) * 22, np.full(68, 3.0)])
    marks[[0, 16], 2] = -4
    places = standard_places(marks.astype(np.float32), marks.astype(np.float32))
    inner = slice(17, 68)
    assert np.abs(places[inner] - LANDMARK_UV[inner]).max() < 0.02
    behind = np.array([[0, 0, -9.0]], np.float32)
    assert np.isnan(standard_places(behind, marks.astype(np.float32))).all()


def test_real_ranges_cover_every_measure() -> None:
    assert set(real_ranges()) == set(MEASURES)
    assert all(low < middle < high for low, middle, high in real_ranges().values())


def _real_rig(name: str) -> Path:
    folder = Path(os.environ.get("RTATL_RIGS", "/nowhere")) / name
    if not folder.is_dir():
        pytest.skip(f"RTATL_RIGS names no folder with {name}")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["FaceXModel", "valid-avatars"])
def test_real_rigs_pass_the_gates(name: str) -> None:
    try:
        studio = Studio(Sources((_real_rig(name),), side=256))
    except InputError as error:
        pytest.skip(str(error))
    for verdict in check(studio, studio.rigs[0], 24, 0):
        assert verdict.passed, "\n".join(verdict.lines)
    head = studio.rigs[0].head(np.random.default_rng(1))
    rest = head.vertices(neutral_action())
    assert len(rest) == len(head.mesh.uv)
    assert np.isfinite(rest).all()
    assert head.labels(neutral_action(), rest).max() < 0.15
    for au in (17, 24):  # the lips are shut
        assert head.labels(full(au), head.vertices(full(au)))[ROW[25]].max() == 0, au
    for au in AUS:
        shown = head.labels(full(au), head.vertices(full(au)))[ROW[au]]
        assert shown.min() > (0.3 if au == 25 else 0.5), au  # the gap that lips alone make
    is_eye = head.mesh.material == Material.EYE
    left = rest[is_eye & (rest[:, 0] > 0)]
    looks = head.vertices(Action(neutral_action().aus, (0.4, 0.0)))[is_eye & (rest[:, 0] > 0)]
    front = left[:, 2].argmax()
    assert looks[front, 0] - left[front, 0] > 0.4  # cm to the subject's left
    eyes = rest[is_eye]
    assert np.abs(eyes.mean(axis=0)[:2]).max() < 1  # cm
