"""Faults of cameras and things before a face: how often, where, and that nothing moves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.synthetic import degrade as faults
from rtatl_core.synthetic.degrade import GlassesStyle, degrade, glasses, occlude
from rtatl_core.synthetic.surroundings import Surroundings, ambient_of, hdr_files, sh_basis

SIDE = 192


def grid() -> np.ndarray:
    """Soft squares of unequal grey: corners and edges to hold on to, and no period to slip by."""
    cells = np.random.default_rng(0).uniform(40, 215, (24, 24)).astype(np.float32)
    grey = cv2.GaussianBlur(cv2.resize(cells, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST), (0, 0), 1.5)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def shifts(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(4, 2) pixels by which each quarter of the picture moved, brightness and contrast set aside: least squares on its
    gradients, far finer than OpenCV's phase correlation, which is a third out at half a pixel."""
    a, b = (cv2.GaussianBlur(image.mean(axis=2), (0, 0), 2) for image in (before, after))
    across, down = np.gradient(b, axis=1), np.gradient(b, axis=0)
    half, found = SIDE // 2, []
    for row, column in ((r, c) for r in (8, half) for c in (8, half)):
        part = (slice(row, row + half - 8), slice(column, column + half - 8))
        table = np.stack([across[part].ravel(), down[part].ravel(), b[part].ravel(), np.ones((half - 8) ** 2)], axis=1)
        x, y, gain, _ = np.linalg.lstsq(table, a[part].ravel(), rcond=None)[0]
        found.append((x / gain, y / gain))
    return np.array(found)


def test_the_measure_of_shifts_measures() -> None:
    image = grid()
    moved = cv2.warpAffine(image, np.array([[1, 0, 0.5], [0, 1, -1]], np.float32), (SIDE, SIDE))
    assert shifts(image, moved) == pytest.approx(np.tile([0.5, -1], (4, 1)), abs=0.15)


def test_no_quarter_of_a_picture_moves() -> None:
    image = grid()
    moved = [np.abs(shifts(image, degrade(image, np.random.default_rng(seed)))).max() for seed in range(150)]
    assert max(moved) < 0.3


@pytest.mark.parametrize(
    ("fault", "chance"),
    [
        ("_bloom", faults.BLOOM),
        ("_noise", faults.NOISE),
        ("_flicker", faults.FLICKER),
        ("_combing", faults.COMBING),
        ("_compress", faults.JPEG),
        ("_streak", faults.MOVED),
    ],
)
def test_faults_are_as_frequent_as_said(monkeypatch: pytest.MonkeyPatch, fault: str, chance: float) -> None:
    seen: Counter[str] = Counter()
    original = getattr(faults, fault)

    def counted(*args: object) -> object:
        seen[fault] += 1
        return original(*args)

    monkeypatch.setattr(faults, fault, counted)
    image, count = grid()[:32, :32].copy(), 600
    for seed in range(count):
        degrade(image, np.random.default_rng(seed))
    assert seen[fault] / count == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / count))


def test_bright_places_spread_and_dark_ones_do_not() -> None:
    lamp = np.full((64, 64, 3), 40, np.float32)
    assert (faults._bloom(lamp, np.random.default_rng(0)) == 40).all()
    lamp[28:36, 28:36] = 255
    bloomed = faults._bloom(lamp, np.random.default_rng(0))
    assert bloomed[24, 32].min() > 41
    assert bloomed[2, 2].max() == pytest.approx(40, abs=0.1)


def test_combing_moves_rows_apart_and_the_picture_nowhere() -> None:
    image = grid()
    combed = faults._combing(image, np.random.default_rng(0))
    odd = np.repeat(combed[1::2], 2, axis=0)
    even = np.repeat(combed[::2], 2, axis=0)
    assert (shifts(even, odd)[:, 0] > 0.3).all()
    assert np.abs(shifts(image, combed)).max() < 0.1


def test_coding_keeps_the_brightness_of_green_and_red() -> None:
    """Stripes that differ in brightness as red does stay; those that differ as blue does are mostly colour, and go."""
    stripes = {}
    for channel in (0, 2):
        image = np.full((64, 64, 3), 60, np.uint8)
        image[:, ::2, channel] = 200
        coded = faults._jpeg(image, 90).astype(int)
        stripes[channel] = (coded[:, ::2, channel] - coded[:, 1::2, channel]).mean()
    assert stripes[0] > 1.5 * stripes[2]


def face(turn: float = 0.0) -> np.ndarray:
    """(68, 2) pixels of a plain face turned to the subject's left by ``turn`` radians; ten pixels a centimetre."""
    points = np.zeros((68, 3))
    points[:, 1] = -6
    points[0:17, 0] = np.linspace(-7.4, 7.4, 17)
    points[0:17, 1] = -0.9 - 10 * np.cos(np.linspace(-np.pi / 2, np.pi / 2, 17))
    points[0:17, 2] = -5 + 7 * np.cos(np.linspace(-np.pi / 2, np.pi / 2, 17))
    points[17:27] = np.stack([np.linspace(-6, 6, 10), np.full(10, 1.2), np.full(10, 2)], axis=1)
    points[27], points[28:31], points[31:36] = (0, -0.3, 3.1), (0, -3.7, 5), (0, -5, 4.4)
    points[36:42], points[42:48], points[48:] = (-3.15, -0.5, 1.5), (3.15, -0.5, 1.5), (0, -7.5, 4)
    x = points[:, 0] * np.cos(turn) + points[:, 2] * np.sin(turn)
    return np.stack([128 + 10 * x, 110 - 10 * points[:, 1]], axis=1).astype(np.float32)


FRAME = GlassesStyle((10, 10, 10), 0.4, 0.3, 0.0, 0.5, 0.03, True, 0.0, 0.0)


def drawn(turn: float, style: GlassesStyle = FRAME) -> np.ndarray:
    plain = np.full((256, 256, 3), 150, np.uint8)
    return np.abs(glasses(plain, face(turn), style).astype(int) - plain).max(axis=2)


def test_glasses_are_alike_on_both_sides_of_a_face_that_looks_ahead() -> None:
    ink = drawn(0) > 60
    columns = np.nonzero(ink.any(axis=0))[0]
    assert columns.min() + columns.max() == pytest.approx(256, abs=2)
    assert np.nonzero(ink.any(axis=1))[0].mean() == pytest.approx(115, abs=6)


def test_a_turned_head_shows_one_temple_arm_and_narrower_lenses() -> None:
    ahead, turned = face(0), face(0.6)
    ink = drawn(0.6) > 60
    columns = np.nonzero(ink.any(axis=0))[0]
    right_ear, left_ear = turned[0, 0], turned[16, 0]
    assert columns.min() < right_ear + 25  # turned to its left, the head shows its right arm
    assert columns.max() > left_ear  # and a left lens that stands out beyond the ear
    lens = columns.max() - turned[42, 0]
    assert lens < 0.9 * (np.nonzero((drawn(0) > 60).any(axis=0))[0].max() - ahead[42, 0])


def test_dark_lenses_darken_the_eyes_and_clear_ones_do_not() -> None:
    x, y = face()[42].round().astype(int)
    clear = GlassesStyle((10, 10, 10), 0.4, 0.3, 0.0, 0.5, 0.03, True, 0.0, 0.0)
    dark = GlassesStyle((10, 10, 10), 0.4, 0.3, 0.0, 0.5, 0.03, True, 0.8, 0.0)
    assert drawn(0, clear)[y, x] == 0
    assert drawn(0, dark)[y, x] > 60


def test_styles_differ_and_follow_from_the_seed() -> None:
    styles = [GlassesStyle.sample(np.random.default_rng(seed)) for seed in range(200)]
    assert styles[3] == GlassesStyle.sample(np.random.default_rng(3))
    rims = Counter((style.upper_rim, style.lower_rim) for style in styles)
    assert set(rims) == {(True, True), (True, False), (False, False)}
    assert 10 < sum(style.sag > 0 for style in styles) < 60


@pytest.mark.parametrize("kind", ["_hand", "_strands", "_mug", "_microphone", "_thing"])
def test_things_before_a_face_follow_from_the_seed_and_leave_most_of_it(kind: str) -> None:
    from rtatl_core.synthetic import in_front

    image = np.full((256, 256, 3), 150, np.uint8)
    draw, marks = getattr(in_front, kind), face()
    for seed in range(15):
        one, same = (draw(image.copy(), marks, 150.0, np.random.default_rng(seed)) for _ in range(2))
        assert (one == same).all()
        covered = (np.abs(one.astype(int) - image).max(axis=2) > 40).mean()
        assert covered < 0.4
    assert covered > 0


def test_occluding_leaves_the_picture_that_came_in_alone() -> None:
    image = np.full((256, 256, 3), 150, np.uint8)
    for seed in range(10):
        occlude(image, face(), np.random.default_rng(seed))
    assert (image == 150).all()


@pytest.mark.parametrize("columns", [slice(32, 64), slice(0, 32)])
def test_light_from_one_side_falls_on_that_side(columns: slice) -> None:
    """The middle of the picture lies behind the head, its right half at the right of what the camera sees."""
    half = np.zeros((32, 64, 3), np.float32)
    half[:, columns] = 1
    to_right, to_left = sh_basis(np.array([[1.0, 0, 0], [-1, 0, 0]])) @ ambient_of(half)
    lit, dark = (to_right, to_left) if columns.start else (to_left, to_right)
    assert lit.mean() > 0.9
    assert dark.mean() < 0.1


def test_the_key_light_points_at_the_lamp_and_the_picture_shows_it(tmp_path: Path) -> None:
    """A lamp behind the head, seen in the middle of the background, shines from there."""
    room = np.full((256, 512, 3), 0.2, np.float32)
    cv2.circle(room, (256, 128), 6, (900.0, 900.0, 900.0), -1)
    cv2.imwrite(str(tmp_path / "room.hdr"), room)
    surroundings, offsets = Surroundings(hdr_files(tmp_path)), []
    for seed in range(200):
        light, background = surroundings.sample(np.random.default_rng(seed), 96, 1.4)
        x, _, z = light.key_direction
        if z > -0.88:
            continue  # the lamp is out of view, or the room is a painted one
        blurred = cv2.GaussianBlur(background, (0, 0), 3)[..., 1]
        column = np.nonzero(blurred == blurred.max())[1].mean()
        offsets.append(column - 47.5)
        assert offsets[-1] == pytest.approx(48 * x / -z / np.tan(0.7), abs=8)
    assert min(offsets) < -15
    assert max(offsets) > 15


def test_the_sun_has_no_dark_ring(tmp_path: Path) -> None:
    room = np.full((256, 512, 3), 1.0, np.float32)
    cv2.circle(room, (256, 128), 5, (50000.0, 50000.0, 50000.0), -1)
    cv2.imwrite(str(tmp_path / "sun.hdr"), room)
    surroundings = Surroundings(hdr_files(tmp_path))
    for seed in range(100):
        light, background = surroundings.sample(np.random.default_rng(seed), 96, 1.4)
        if light.key_direction[2] < -0.88:
            assert background.min() >= np.median(background[:8]) - 25
