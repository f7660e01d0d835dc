"""Faces that FaceMesh alone does not find: the demo clip, shrunk onto a large picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import pytest

import rtatl_core.face.far as far_faces
from rtatl_core.face.find import FaceMesh, box_of
from rtatl_core.face.observe import Observer
from rtatl_core.handoffs import FaceObservation, Float32, FramePacket, UInt8
from tests.clips import demo_frames

WIDTH, HEIGHT = 1280, 720
FPS = 25


@pytest.fixture(scope="module")
def clip() -> list[UInt8]:
    return demo_frames(30)


@pytest.fixture(scope="module")
def near(clip: list[UInt8]) -> Float32:
    """The face of the first frame, in its own pixels."""
    with FaceMesh(tracking=False) as mesh:
        (face,) = mesh(clip[0])
    return face


def place(canvas: UInt8, image: UInt8, scale: float, x: int, y: int) -> UInt8:
    """Shrunk and put there, as far as it fits."""
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    part = canvas[y : y + small.shape[0], x : x + small.shape[1]]
    part[:] = small[: part.shape[0], : part.shape[1]]
    return canvas


def room() -> UInt8:
    return np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


def scale_for(near: Float32, share: float) -> float:
    """So that the face is that share of the picture's width."""
    x0, _, x1, _ = box_of(near)
    return share * WIDTH / (x1 - x0)


def error(seen: FaceObservation, near: Float32, scale: float, x: int, y: int) -> float:
    """Mean distance of the landmarks from where they are, over the distance of the eyes' outer corners."""
    truth = (near[:, :2] + 0.5) * scale - 0.5 + (x, y)
    eyes = np.linalg.norm(truth[263] - truth[33])
    return float(np.linalg.norm(seen.landmarks[:, :2] - truth, axis=1).mean() / eyes)


@pytest.fixture
def follow() -> Iterator[Observer]:
    observer = Observer()
    yield observer
    observer.close()


def run(observer: Observer, images: Iterable[UInt8]) -> list[tuple[FaceObservation, ...]]:
    return [observer(FramePacket(image, k + 1, k / FPS, 0.0)) for k, image in enumerate(images)]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that the second FaceMesh was loaded."""
    loaded: list[int] = []
    original = far_faces._far_face_mesh
    monkeypatch.setattr(far_faces, "_far_face_mesh", lambda *args: loaded.append(1) or original(*args))
    return loaded


@pytest.mark.parametrize("share", [1 / 12, 1 / 16, 1 / 20])
def test_a_far_face_has_its_landmarks_where_they_are(clip: list[UInt8], near: Float32, share: float) -> None:
    scale = scale_for(near, share)
    image = place(room(), clip[0], scale, 700, 150)
    with FaceMesh(tracking=False) as mesh:
        assert not mesh(image), "else this tests nothing"
    for tracking in (False, True):
        observer = Observer(tracking=tracking)
        ((seen,),) = run(observer, [image])
        observer.close()
        assert error(seen, near, scale, 700, 150) < 0.03
        assert seen.confidence > 0.8
        assert seen.pose.translation_mm[2] > 1500


def test_near_faces_are_as_before_and_load_nothing(follow: Observer, clip: list[UInt8], loads: list[int]) -> None:
    with FaceMesh() as mesh:
        for (seen,), frame in zip(run(follow, clip[:5]), clip[:5], strict=True):
            np.testing.assert_array_equal(seen.landmarks, mesh(frame)[0])
    assert not follow(FramePacket(room(), 6, 5 / FPS, 0.0)), "a frame without the face, as while it turns quickly"
    assert not loads


def test_nobody_is_looked_for_four_times_a_second(
    follow: Observer, loads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    original = far_faces.FarFaceMesh.__call__
    monkeypatch.setattr(
        far_faces.FarFaceMesh, "__call__", lambda mesh, image: looks.append(image[0, 0, 0]) or original(mesh, image)
    )
    pictures = [np.full((HEIGHT, WIDTH, 3), k, np.uint8) for k in range(FPS)]
    assert not any(run(follow, pictures))
    assert looks[1:] == [0, 7, 14, 21], "and one to get warm"
    assert len(loads) == 1
    follow.reset()
    assert not any(run(follow, pictures[:2]))
    assert looks[1:] == [0, 7, 14, 21, 0], "another source begins with a look"


def test_a_face_that_walks_by_is_in_every_frame(follow: Observer, clip: list[UInt8], near: Float32) -> None:
    scale = scale_for(near, 1 / 16)
    places = [40 + 12 * k for k in range(len(clip))]  # four times its width in a second
    seen = run(follow, (place(room(), frame, scale, x, 200) for frame, x in zip(clip, places, strict=True)))
    assert [face.face_id for faces in seen for face in faces] == [0] * len(clip)
    middles = np.array([(face.box[0] + face.box[2]) / 2 for (face,) in seen])
    np.testing.assert_allclose(np.diff(middles), 12, atol=6)


def test_a_face_that_comes_nearer_is_handed_over(
    follow: Observer, clip: list[UInt8], near: Float32, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each frame shows the first of the clip: that it moves is nothing new here."""
    far: list[int] = []
    original = far_faces.FarFaceMesh.__call__
    monkeypatch.setattr(far_faces.FarFaceMesh, "__call__", lambda mesh, image: far.append(k) or original(mesh, image))
    shares = np.geomspace(1 / 16, 1 / 5, FPS)
    for k, share in enumerate(shares):
        scale = scale_for(near, share)
        (seen,) = follow(FramePacket(place(room(), clip[0], scale, 300, 0), k + 1, k / FPS, 0.0))
        assert seen.face_id == 0
        assert error(seen, near, scale, 300, 0) < 0.05
    assert 4 < max(far) < 18
    assert {*far} == {*range(max(far) + 1)}, "and from then on the first one follows it alone"


def test_who_sits_down_near_the_camera_comes_first(follow: Observer, clip: list[UInt8], near: Float32) -> None:
    empty = place(room(), clip[0], scale_for(near, 1 / 16), 900, 100)
    taken = place(empty.copy(), clip[0], scale_for(near, 1 / 5), 0, 100)
    seen = run(follow, [empty, empty, taken, taken])
    assert [face.box[0] > 900 for faces in seen for face in faces] == [True, True, False, False]
    assert seen[2][0].face_id == 1


def test_a_face_on_the_wall_is_not_who_went_away(clip: list[UInt8], near: Float32) -> None:
    wall = place(room(), clip[0], scale_for(near, 1 / 16), 900, 100)
    taken = place(wall.copy(), clip[0], scale_for(near, 1 / 5), 0, 100)
    further = place(wall.copy(), clip[0], scale_for(near, 1 / 7), 0, 100)
    for most, expected in ((1, [1, 0, 0, 1, 0, 1]), (2, [2, 1, 1, 2, 1, 1])):
        observer = Observer(most)
        found = [
            len(observer(FramePacket(image, k + 1, at, 0.0)))
            for k, (at, image) in enumerate(
                [(0.0, taken), (0.04, wall), (5.0, wall), (5.5, further), (9.0, wall), (16.0, wall)]
            )
        ]
        observer.close()
        assert found == expected


def test_a_group_has_nobody_twice(clip: list[UInt8], near: Float32) -> None:
    group = place(room(), clip[0], scale_for(near, 1 / 6), 0, 0)
    for x, share in ((600, 1 / 12), (950, 1 / 14)):
        place(group, clip[0], scale_for(near, share), x, 300)
    for most in (2, 3, 5):
        observer, live = Observer(most, tracking=False), Observer(most)
        ((*photo,),) = run(observer, [group])
        ((*frame,),) = run(live, [group])
        observer.close()
        live.close()
        widths = [face.box[2] - face.box[0] for face in photo]
        assert len(photo) == min(most, 3)
        assert widths == sorted(widths, reverse=True)
        assert widths[0] == pytest.approx(WIDTH / 6, rel=0.05)
        for one, other in zip(photo, frame, strict=True):
            np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_a_second_run_gives_the_same(clip: list[UInt8], near: Float32) -> None:
    """A photo by itself whatever came before, a clip after a reset."""
    images = [place(room(), frame, scale_for(near, 1 / 14), 500, 100) for frame in clip[:4]]
    images[2:2] = [room()] * 14
    for tracking in (False, True):
        observer = Observer(tracking=tracking)
        first = run(observer, images)
        observer.reset(new_ids=True)
        again = run(observer, images)
        observer.close()
        assert sum(map(len, first)) == 4
        for one, other in zip(first, again, strict=True):
            assert [face.face_id for face in one] == [face.face_id for face in other]
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a.landmarks, b.landmarks)
