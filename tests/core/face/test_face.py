"""Alignment, pose, regions and ids, checked on landmarks whose truth is known: the mean face, moved."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
import tempfile
import threading

import cv2
import numpy as np
import pytest

from rtatl_core.errors import InputError
from rtatl_core.face import find
from rtatl_core.face.align import ANCHORS, ChipLayout, align_face, frontal_geometry
from rtatl_core.face.find import FaceMesh
from rtatl_core.face.mesh import EYE_INNER, EYE_OUTER, OUTER_EYE_MM, RIGID, mean_face, mirror_index
from rtatl_core.face.observe import Observer, confidence_of
from rtatl_core.face.pose import camera_matrix, euler_from_matrix, head_pose, matrix_from_euler
from rtatl_core.face.regions import REGION_AUS, WINDOW, au_regions
from rtatl_core.face.similarity import fit_similarity
from rtatl_core.face.track import FaceTracker
from rtatl_core.facs import ACTION_UNITS
from rtatl_core.handoffs import LANDMARKS, Float32, FramePacket
from tests.clips import demo_frames

LOWER_LIP = 14
"""Mesh point in the middle of its inner edge."""


def project(rotation: np.ndarray, translation: np.ndarray, width: int = 640, height: int = 480) -> Float32:
    """The mean face seen by the assumed camera: (478, 3) pixels, z on the scale of x."""
    camera = mean_face().astype(float) @ matrix_from_euler(rotation).T + translation
    k = camera_matrix(width, height)
    pixels = camera @ k.T
    points = np.empty((LANDMARKS, 3), np.float32)
    points[:468, :2] = pixels[:, :2] / pixels[:, 2:]
    points[:468, 2] = (camera[:, 2] - translation[2]) * k[0, 0] / translation[2]
    points[468:] = points[33]
    return points


def weak_perspective(rotation: np.ndarray, scale: float, shift: np.ndarray) -> Float32:
    points = np.empty((LANDMARKS, 3), np.float32)
    points[:468] = scale * mean_face() @ matrix_from_euler(rotation).T + shift
    points[468:] = points[33]
    return points


@pytest.mark.parametrize("place", ["C:/Users/J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen/au-desktop", "C:/au-desktop"])
def test_a_place_where_mediapipe_finds_none_of_its_files_is_named(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where it opens them by names that the system takes for another alphabet."""

    def load(*_: object) -> None:
        raise FileNotFoundError("The path does not exist.")

    monkeypatch.setattr(FaceMesh, "_load", load)
    monkeypatch.setattr(find, "__file__", f"{place}/find.py")
    with pytest.raises(FileNotFoundError if place.isascii() else InputError) as told:
        FaceMesh()
    assert place.isascii() or f"below {place}; move the program" in str(told.value)


def test_the_face_to_warm_up_with_is_not_read_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV finds none on Windows where that is not of the system's own alphabet."""
    monkeypatch.setattr(cv2, "imread", lambda *_: None)
    assert find._somebody().shape == (224, 224, 3)


def test_mean_face_is_symmetric_and_of_human_size() -> None:
    mean = mean_face()
    mirror = list(mirror_index())
    np.testing.assert_allclose(mean[mirror] * (-1, 1, 1), mean, atol=1e-4)
    assert sorted(mirror) == list(range(468))
    assert mirror[EYE_OUTER[0]] == EYE_OUTER[1]
    assert mirror[EYE_INNER[0]] == EYE_INNER[1]
    assert np.linalg.norm(mean[263] - mean[33]) == pytest.approx(OUTER_EYE_MM, abs=0.1)
    assert mean[152, 1] > mean[LOWER_LIP, 1] > mean[1, 1] > 0  # chin below lips below nose below eyes
    assert mean[1, 2] < mean[33, 2] < mean[234, 2]  # nose nearer than eyes nearer than ears


def test_similarity_is_recovered_and_never_mirrors() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(9, 3))
    rotation = matrix_from_euler(np.array([0.3, -0.4, 0.9]))
    scale, found, shift = fit_similarity(source, 2.5 * source @ rotation.T + (1, 2, 3))
    assert scale == pytest.approx(2.5)
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    np.testing.assert_allclose(shift, (1, 2, 3), atol=1e-9)
    mirrored = source * (-1, 1, 1)
    assert np.linalg.det(fit_similarity(source, mirrored)[1]) == pytest.approx(1)
    with pytest.raises(ValueError, match="coincide"):
        fit_similarity(np.ones((4, 2)), source[:4, :2])


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.3, 0, 0), (0, 0.5, 0), (0, 0, -0.4), (-0.2, 0.35, 0.25)])
def test_pose_is_recovered(angles: tuple[float, float, float]) -> None:
    translation = np.array([60.0, -30.0, 650.0])
    pose = head_pose(project(np.array(angles, float), translation), 640, 480)
    np.testing.assert_allclose(pose.rotation_rad, angles, atol=1e-3)
    np.testing.assert_allclose(pose.translation_mm, translation, atol=1)
    np.testing.assert_allclose(euler_from_matrix(matrix_from_euler(np.array(angles, float))), angles, atol=1e-12)


@pytest.mark.parametrize("seed", [77, 232, 268])
def test_no_face_is_taken_for_a_head_from_behind(seed: int) -> None:
    """Three of 1,200 such faces on which SQPnP settles on one."""
    rigid, angles = list(RIGID), np.array([-0.15, 0.1, 0.0])
    somebody = mean_face()[rigid] + np.random.default_rng(seed).normal(0, 6, (len(rigid), 3))
    pixels = (somebody @ matrix_from_euler(angles).T + (0, 0, 500)) @ camera_matrix(640, 480).T
    landmarks = np.zeros((LANDMARKS, 3), np.float32)
    landmarks[rigid, :2] = pixels[:, :2] / pixels[:, 2:]
    pose = head_pose(landmarks, 640, 480)
    np.testing.assert_allclose(pose.rotation_rad, angles, atol=0.15)
    assert pose.translation_mm[2] == pytest.approx(500, rel=0.1)


def test_no_pose_of_points_that_coincide() -> None:
    with pytest.raises(ValueError, match="no head pose"):
        head_pose(np.ones((LANDMARKS, 3), np.float32), 640, 480)


def test_pose_signs() -> None:
    """+pitch looks down, +yaw turns to the left of the picture, +roll tilts clockwise in the picture."""
    away = np.array([0, 0, 600.0])
    straight = project(np.zeros(3), away)
    nose, eye, left_eye = 1, 33, 263
    assert project(np.array([0.2, 0, 0]), away)[nose, 1] > straight[nose, 1]
    assert project(np.array([0, 0.2, 0]), away)[nose, 0] < straight[nose, 0]
    rolled = project(np.array([0, 0, 0.2]), away)
    assert rolled[left_eye, 1] > rolled[eye, 1]


def test_alignment_puts_the_anchors_in_their_places_whatever_size_place_and_roll() -> None:
    layout = ChipLayout(side=112)
    image = np.zeros((480, 640, 3), np.uint8)
    reference = align_face(image, weak_perspective(np.zeros(3), 1.0, np.array([300, 200, 0])), layout)
    assert np.abs(reference.landmarks[list(ANCHORS)] * 112 - layout.places()).max() < 3.0  # an average face fits
    eyes = reference.landmarks[list(EYE_OUTER)]
    assert eyes[1, 0] - eyes[0, 0] == pytest.approx(0.48, abs=0.02)
    for scale, roll, shift in ((0.4, 0.0, (100, 100, 0)), (2.0, 0.5, (320, 240, 0)), (1.3, -1.0, (10, 400, 5))):
        moved = align_face(image, weak_perspective(np.array([0, 0, roll]), scale, np.array(shift)), layout)
        np.testing.assert_allclose(moved.landmarks, reference.landmarks, atol=1e-4)


def test_a_chip_with_margin_contains_the_chip_without() -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (480, 640, 3), np.uint8), (0, 0), 3)
    face = weak_perspective(np.array([0, 0, 0.2]), 1.1, np.array([320, 220, 0]))
    small = align_face(image, face, ChipLayout(112))
    large = align_face(image, face, ChipLayout(112, margin=16))
    assert large.chip.shape == (144, 144, 3)
    assert np.abs(large.chip[16:-16, 16:-16].astype(int) - small.chip).max() <= 2  # fixed-point warp rounding
    np.testing.assert_allclose(large.landmarks, small.landmarks, atol=1e-5)


def test_chips_are_rgb_and_a_large_picture_gives_the_same_chip() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[..., 0] = 250  # blue in BGR
    yy, xx = np.mgrid[0:480, 0:640]
    image[..., 1] = (127 + 120 * np.sin(xx / 40) * np.cos(yy / 50)).astype(np.uint8)
    face = weak_perspective(np.zeros(3), 1.0, np.array([300, 200, 0]))
    chip = align_face(image, face, ChipLayout(112)).chip
    assert chip[..., 2].mean() > 240
    assert chip[..., 0].mean() < 5
    for times in (2, 4, 7):  # the last two average blocks first
        large = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
        there = (face + 0.5) * times - 0.5  # pixel (0, 0) is a square, its centre lies half a pixel inside
        from_large = align_face(large, there.astype(np.float32), ChipLayout(112)).chip
        assert np.abs(from_large.astype(int) - chip).mean() < 0.7


def test_geometry_forgets_the_head_and_keeps_the_expression() -> None:
    for angles, scale in (((0.3, 0.5, -0.7), 0.6), ((0, 0, 0), 3.0)):
        face = weak_perspective(np.array(angles, float), scale, np.array([50, 60, 7]))
        assert np.abs(frontal_geometry(face)).max() < 1e-4
    face = weak_perspective(np.array([0.1, 0.4, 0.2]), 2.0, np.array([50, 60, 7]))
    down = matrix_from_euler(np.array([0.1, 0.4, 0.2])) @ np.array([0, 8.9, 0])  # a tenth of the eye distance
    face[LOWER_LIP] += 2.0 * down.astype(np.float32)
    geometry = frontal_geometry(face)
    np.testing.assert_allclose(geometry[LOWER_LIP], (0, 0.1, 0), atol=1e-3)


def test_every_au_has_its_regions_where_anatomy_has_them() -> None:
    assert set(REGION_AUS) == set(ACTION_UNITS)
    face = align_face(
        np.zeros((480, 640, 3), np.uint8), weak_perspective(np.zeros(3), 1, np.array([300, 200, 0])), ChipLayout(112)
    )
    regions = dict(zip(REGION_AUS, au_regions(face.landmarks, REGION_AUS), strict=True))
    for centres in regions.values():
        assert (centres >= WINDOW / 2).all()
        assert (centres <= 1 - WINDOW / 2).all()
    right_eye = face.landmarks[EYE_OUTER[0]]
    assert regions[1][0, 1] < right_eye[1]  # forehead above the eyes
    assert regions[12][0, 0] < 0.5 < regions[12][1, 0]  # mouth corners, subject's right first
    np.testing.assert_allclose(regions[12][0, 0] + regions[12][1, 0], 1.0, atol=2e-3)
    assert regions[25][0, 1] < regions[25][1, 1]  # upper lip first
    assert regions[17][0, 1] > regions[25][1, 1]  # chin below the lip
    with pytest.raises(ValueError, match="AU 99"):
        au_regions(face.landmarks, (12, 99))


def test_regions_of_a_batch_equal_those_of_each_face() -> None:
    rng = np.random.default_rng(1)
    faces = rng.uniform(0.2, 0.8, (3, LANDMARKS, 2)).astype(np.float32)
    together = au_regions(faces, (1, 12, 25))
    assert together.shape == (3, 3, 2, 2)
    for one, centres in zip(faces, together, strict=True):
        np.testing.assert_array_equal(au_regions(one, (1, 12, 25)), centres)


def boxes(*corners: tuple[float, float], size: float = 100) -> Float32:
    """(n, 4) square boxes of that size, by their upper left corners."""
    return np.array([(x, y, x + size, y + size) for x, y in corners], np.float32).reshape(-1, 4)


def test_ids_stay_when_faces_move_and_change_their_order() -> None:
    tracker = FaceTracker()
    assert tracker.assign(boxes((0, 0), (300, 0)), 0.0) == [0, 1]
    assert tracker.assign(boxes((290, 5), (20, 0)), 0.03) == [1, 0]
    assert tracker.assign(boxes((40, 0)), 0.06) == [0]
    assert tracker.assign(boxes((45, 0), (295, 5)), 0.5) == [0, 1]  # came back in time


def test_ids_are_never_used_again() -> None:
    tracker = FaceTracker()
    assert tracker.assign(boxes((0, 0)), 0.0) == [0]
    for tenth in range(1, 120):
        assert tracker.assign(boxes(), tenth / 10) == []
    assert tracker.assign(boxes((0, 0)), 12.0) == [1]  # too long away
    assert tracker.assign(boxes((400, 300)), 12.03) == [2]  # too far away
    tracker.forget()
    assert tracker.assign(boxes((400, 300)), 0.0) == [3]


def test_who_turns_away_for_some_seconds_is_the_same() -> None:
    tracker = FaceTracker()
    assert tracker.assign(boxes((0, 0)), 0.0) == [0]
    for tenth in range(1, 80):
        assert tracker.assign(boxes(), tenth / 10) == []
    assert tracker.assign(boxes((10, 0)), 8.0) == [0]
    for tenth in range(81, 190):
        assert tracker.assign(boxes(), tenth / 10) == []
    assert tracker.assign(boxes((10, 0)), 19.0) == [1]


def test_who_comes_back_at_another_size_is_somebody_else() -> None:
    tracker = FaceTracker()
    assert tracker.assign(boxes((0, 0)), 0.0) == [0]
    assert tracker.assign(boxes((30, 30), size=45), 0.5) == [0], "just now: it leans back"
    for tenth in range(6, 40):
        tracker.assign(boxes(), tenth / 10)
    assert tracker.assign(boxes((0, 0)), 4.0) == [1]
    for tenth in range(41, 60):
        tracker.assign(boxes(), tenth / 10)
    assert tracker.assign(boxes((0, 0), size=70), 6.0) == [1]


def test_ids_stay_over_time_without_frames() -> None:
    tracker = FaceTracker()
    assert tracker.assign(boxes((0, 0)), 0.0) == [0]
    assert tracker.assign(boxes((10, 0)), 600.0) == [0]
    assert tracker.assign(boxes(), 600.5) == []
    assert tracker.assign(boxes((10, 0)), 1200.0) == [0]


def test_ids_stay_after_a_picture_without_a_time() -> None:
    tracker = FaceTracker()
    face = boxes((0, 0))
    assert tracker.assign(face, 1000.0) == [0]
    assert tracker.assign(face, math.nan) == [0]
    assert tracker.assign(face, 1000.04) == [0]
    tracker.forget()
    assert [tracker.assign(face, step / 25) for step in range(3)] == [[1]] * 3
    for tenth in range(1, 120):
        tracker.assign(boxes(), tenth / 10)
    assert tracker.assign(face, 12.0) == [2], "a source of its own has a time of its own"


def test_confidence_falls_with_turning_and_leaving() -> None:
    def confidence(yaw: float, x: float) -> float:
        translation = np.array([x, 0, 600.0])
        face = project(np.array([0, yaw, 0]), translation)
        return confidence_of(face, head_pose(face, 640, 480), 640, 480)

    assert confidence(0, 0) == pytest.approx(1, abs=0.01)
    assert confidence(0.8, 0) == pytest.approx(np.cos(0.8), abs=0.03)
    assert 0.2 < confidence(0, 300) < 0.8
    assert confidence(0, 900) == 0


@pytest.fixture(scope="module")
def demo_frame() -> np.ndarray:
    return demo_frames(1)[0]


def test_observer_finds_the_face_of_the_demo(demo_frame: np.ndarray) -> None:
    observer = Observer()
    try:
        (face,) = observer(FramePacket(demo_frame, 1, 0.0, 0.0))
        blank = observer(FramePacket(np.zeros_like(demo_frame), 2, 0.04, 0.0))
    finally:
        observer.close()
    assert face.face_id == 0
    x0, y0, x1, y1 = face.box
    assert 0 < x0 < x1 < 640
    assert 0 < y0 < y1 < 480
    assert 0.7 < face.confidence <= 1
    assert 200 < face.pose.translation_mm[2] < 2000
    assert np.abs(face.pose.rotation_rad).max() < 0.5
    assert blank == ()


def test_two_faces_get_two_ids_largest_first(demo_frame: np.ndarray) -> None:
    small = cv2.resize(demo_frame[:, 100:540], (330, 360))
    canvas = np.full((480, 880, 3), 90, np.uint8)
    canvas[:, :440] = demo_frame[:, 100:540]
    canvas[60:420, 500:830] = small
    observer = Observer(max_faces=2)
    try:
        for k in range(3):
            faces = observer(FramePacket(canvas, k + 1, k / 25, 0.0))
    finally:
        observer.close()
    assert len(faces) == 2
    assert {face.face_id for face in faces} == {0, 1}
    assert faces[0].box[2] < 460 < faces[1].box[0]


def test_a_mirrored_picture_mirrors_the_observation(demo_frame: np.ndarray) -> None:
    with FaceMesh(tracking=False) as mesh:
        (plain,) = mesh(demo_frame)
        (mirrored,) = mesh(np.ascontiguousarray(demo_frame[:, ::-1]))
    a, b = head_pose(plain, 640, 480), head_pose(mirrored, 640, 480)
    np.testing.assert_allclose(a.rotation_rad * (1, -1, -1), b.rotation_rad, atol=0.05)


def test_mediapipe_keeps_silent_and_others_are_heard() -> None:
    code = (
        "import sys\n"
        "from rtatl_core.assets import asset\n"
        "from rtatl_core.face.find import FaceMesh\n"
        "import cv2\n"
        "for tracking in (True, False):\n"
        "    assert FaceMesh(tracking=tracking)(cv2.imread(str(asset('atlas/AU06.jpg')))[:, :224])\n"
        "print('heard', file=sys.stderr)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stderr == "heard\n"


def test_a_disk_without_room_for_what_mediapipe_says_keeps_no_face_finder_from_loading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    FaceMesh().close()


def test_what_is_meant_for_the_person_is_heard_while_a_face_finder_is_loaded(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, loaded = threading.Event(), threading.Event()

    def load() -> None:
        with find._silence():
            loads.set()
            loaded.wait(10)

    monkeypatch.setattr(find, "_HEARD_AFTER_S", 20.0)
    loader = threading.Thread(target=load)
    loader.start()
    loads.wait(10)
    threading.Timer(0.3, loaded.set).start()
    with find.heard():
        os.write(2, b"heard\n")
    loader.join()
    os.write(2, b"and afterwards\n")
    monkeypatch.setattr(find, "_HEARD_AFTER_S", 0.05)
    with find._stderr, find.heard():
        pass  # a loading that hangs keeps nobody waiting for good
    assert capfd.readouterr().err == "heard\nand afterwards\n"


def test_loading_mediapipe_loads_no_plots_and_leaves_matplotlib_usable() -> None:
    code = (
        "import sys\n"
        "from rtatl_core.face.find import FaceMesh\n"
        "FaceMesh().close()\n"
        "assert 'matplotlib' not in sys.modules, 'a second at every start'\n"
        "import matplotlib.pyplot\n"
        "assert matplotlib.pyplot.figure\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
