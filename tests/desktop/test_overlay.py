"""What is painted over a face, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from au_desktop.overlay import (
    FLOW_GAIN,
    LABEL_EDGE_PX,
    LABEL_STEP_PX,
    LABELS,
    TAG_PX,
    Dots,
    Label,
    Patches,
    Picture,
    Primitive,
    Segments,
    Strokes,
    draw_list,
    face_at,
    pick_face,
)
from au_desktop.settings import LAYERS
from rtatl_core.handoffs import AnalysedFace, AnalysedFrame, AUResult, FramePacket, HeadPose
from rtatl_core.models.decoders import cut_patches
from tests.desktop.fakes import AUS, make_face, picture


def frame_of(*faces: AnalysedFace) -> AnalysedFrame:
    return AnalysedFrame(FramePacket(picture((640, 480)), 1, 0.4, 0.0), faces, AUS)


def a_face(face_id: int = 0, of: int = 1, *, timestamp: float = 0.4, flow: bool = False) -> AnalysedFace:
    return make_face(FramePacket(picture((640, 480)), 1, timestamp, 0.0), face_id, of, AUS, flow)


def with_values(face: AnalysedFace, values: dict[int, float]) -> AnalysedFace:
    intensity = np.array([values.get(au, 0.0) for au in AUS], np.float32)
    return replace(face, result=AUResult(intensity, intensity, intensity / 5))


def kinds(drawing: Sequence[Primitive], kind: type) -> list:
    return [primitive for primitive in drawing if isinstance(primitive, kind)]


def test_nothing_without_layers_or_faces() -> None:
    assert draw_list(frame_of(a_face()), ()) == ()
    assert draw_list(frame_of(), LAYERS) == ()


def test_box_names_the_face_and_marks_the_selected_one() -> None:
    frame = frame_of(a_face(0, 2), a_face(1, 2))
    labels = kinds(draw_list(frame, ["box"], selected=1), Label)
    assert [(label.text, label.ink) for label in labels] == [("Face 0  95%", "face"), ("Face 1  95%", "selected")]
    largest, gone = (kinds(draw_list(frame, ["box"], selected=which), Label) for which in (None, 7))
    assert [label.ink for label in largest] == ["selected", "face"]
    assert [label.ink for label in gone] == ["face", "face"], "nobody takes the place of the selected one"


def test_tags_that_would_lie_over_each_other_are_bare_numbers() -> None:
    frame = frame_of(*(a_face(i, 3) for i in range(3)))
    for scale, texts in ((1.0, [f"Face {i}  95%" for i in range(3)]), (0.3, ["0", "1", "2"])):
        assert [label.text for label in kinds(draw_list(frame, ["box"], scale=scale), Label)] == texts
    (alone,) = kinds(draw_list(frame_of(a_face()), ["box"], scale=0.1), Label)
    assert alone.text == "Face 0  95%"


@pytest.mark.parametrize(("scale", "lower"), [(1.0, False), (0.2, True)], ids=["large", "small"])
def test_the_tag_of_a_small_face_at_the_upper_edge_does_not_hide_it(scale: float, lower: bool) -> None:
    face = a_face()
    x0, y0, x1, y1 = face.observation.box
    high = replace(face, observation=replace(face.observation, box=(x0, 2.0, x1, 2.0 + y1 - y0)))
    (tag,) = kinds(draw_list(frame_of(high), ["box"], scale=scale), Label)
    assert (tag.at[1] * scale - 26 > high.observation.box[3] * scale) == lower
    (free,) = kinds(draw_list(frame_of(face), ["box"]), Label)
    assert free.at[1] < y0


def test_pick_face() -> None:
    frame = frame_of(a_face(0, 2), a_face(1, 2))
    assert pick_face(frame, 1) is frame.faces[1]
    assert pick_face(frame, None) is frame.faces[0]
    assert pick_face(frame, 7) is None
    assert pick_face(frame_of(), 0) is None


def test_face_at_takes_the_smallest_box() -> None:
    large, small = a_face(0), a_face(1)
    x0, y0, x1, y1 = large.observation.box
    inner = (x0 + 40, y0 + 40, x0 + 80, y0 + 80)
    frame = frame_of(large, replace(small, observation=replace(small.observation, box=inner)))
    assert face_at(frame, x0 + 60, y0 + 60) == 1
    assert face_at(frame, x1 - 5, y1 - 5) == 0
    assert face_at(frame, 1, 1) is None


def test_regions_are_tinted_by_intensity_faintest_first() -> None:
    face = with_values(a_face(), {12: 3.0, 4: 1.0, 1: 0.2})
    (patches,) = kinds(draw_list(frame_of(face), ["regions"]), Patches)
    assert patches.inks == ("au4", "au4", "au12", "au12"), "0.2 is noise and stays untinted"
    np.testing.assert_allclose(patches.centres[2:], face.regions[AUS.index(12)])
    assert patches.strengths[0] < patches.strengths[2] < 1


def test_the_strongest_regions_are_labelled_apart_from_each_other() -> None:
    values = {au: 5 - 0.1 * i for i, au in enumerate((12, 14, 15, 20, 25, 26, 17))}
    scale = 0.8
    drawing = draw_list(frame_of(with_values(a_face(), values)), ["regions"], scale=scale)
    labels = kinds(drawing, Label)
    assert {label.ink for label in labels} == {"au12", "au14", "au15", "au20"}
    assert len(labels) == LABELS
    heights = sorted(label.at[1] for label in labels)
    assert min(np.diff(heights)) >= LABEL_STEP_PX / scale - 1e-3


def test_labels_stand_beside_the_face_and_inside_the_picture() -> None:
    face = with_values(a_face(), {12: 3.0})
    (label,) = kinds(draw_list(frame_of(face), ["regions"]), Label)
    assert label.side == "right"
    assert label.at[0] > face.observation.box[2]
    assert label.text == "AU12  3.0"
    narrow = AnalysedFrame(FramePacket(picture((420, 480)), 1, 0.4, 0.0), (face,), AUS)
    (label,) = kinds(draw_list(narrow, ["regions"]), Label)
    assert label.side == "left"
    assert label.at[0] < face.observation.box[0]


@pytest.mark.parametrize("cut", ["above", "below"])
def test_labels_of_a_face_at_the_edge_are_apart_where_they_can_be_seen(cut: str) -> None:
    face = with_values(a_face(), {12: 5.0, 25: 4.0, 26: 3.0} if cut == "below" else {1: 5.0, 2: 4.0, 4: 3.0})
    mouth, brow = float(face.regions[AUS.index(12)][0][1]), float(face.regions[AUS.index(1)][0][1])
    moved = replace(face, regions=face.regions - np.float32([0, brow - 4])) if cut == "above" else face
    height = round(mouth) + 4 if cut == "below" else 480
    scene = AnalysedFrame(FramePacket(picture((640, height)), 1, 0.4, 0.0), (moved,), AUS)
    heights = sorted(label.at[1] for label in kinds(draw_list(scene, ["regions"]), Label))
    assert len(heights) == 3
    assert min(np.diff(heights)) >= LABEL_STEP_PX - 1e-3
    assert heights[0] >= LABEL_EDGE_PX - 1e-3
    assert heights[-1] <= height - LABEL_EDGE_PX + 1e-3


def test_labels_of_a_small_face_leave_its_tag_alone() -> None:
    face = with_values(a_face(), {12: 3.0})
    x0, _, x1, _ = face.observation.box
    scale = 50 / (x1 - x0)  # 50 pixels wide on the screen
    wide = AnalysedFrame(FramePacket(picture((420, 4000)), 1, 0.4, 0.0), (face,), AUS)
    tag, label = kinds(draw_list(wide, ["box", "regions"], scale=scale), Label)
    assert tag.text.startswith("Face ")
    assert label.side == "right"
    assert (label.at[0] - tag.at[0]) * scale >= TAG_PX - 1e-3


def test_only_the_selected_face_has_labels() -> None:
    faces = [with_values(a_face(i, 2), {12: 3.0}) for i in range(2)]
    drawing = draw_list(frame_of(*faces), ["regions"], selected=1)
    (label,) = kinds(drawing, Label)
    right = faces[1].observation.box
    assert label.at[0] > right[2] or label.at[0] < right[0]
    assert len(kinds(drawing, Patches)) == 2


def test_no_other_face_is_drawn_over_the_labels() -> None:
    faces = [with_values(a_face(i, 2), {12: 3.0}) for i in range(2)]
    *_, label = draw_list(frame_of(*faces), ["box", "regions"], selected=0)
    assert isinstance(label, Label)
    assert label.ink == "au12"


def test_landmarks_are_where_the_observation_says() -> None:
    face = a_face()
    drawing = draw_list(frame_of(face), ["landmarks"])
    (dots,) = kinds(drawing, Dots)
    np.testing.assert_array_equal(dots.points, face.observation.landmarks[:468, :2])
    (strokes,) = kinds(drawing, Strokes)
    iris = strokes.lines[-1]
    centre, rim = face.observation.landmarks[473, :2], face.observation.landmarks[474, :2]
    np.testing.assert_allclose(np.linalg.norm(iris - centre, axis=1), np.linalg.norm(rim - centre), rtol=1e-4)


def test_flow_is_carried_back_from_the_chip() -> None:
    """A constant flow to the right of a chip that is turned against the image points along the chip's x axis."""
    face = a_face(timestamp=2.0)
    side, matrix = face.aligned.chip.shape[0], face.aligned.matrix
    assert abs(matrix[0, 1]) > 0.01, "the test needs a tilted face"
    flow = np.zeros((28, 28, 2), np.float32)
    flow[..., 0] = 0.02
    moved = replace(face, prediction=replace(face.prediction, flow=flow))
    (segments,) = kinds(draw_list(frame_of(moved), ["flow"]), Segments)
    shafts = segments.ends[: len(segments.ends) // 3]
    expected = np.linalg.inv(matrix[:, :2]) @ [FLOW_GAIN * 0.02 * side, 0]
    np.testing.assert_allclose(shafts[:, 2:] - shafts[:, :2], np.tile(expected, (len(shafts), 1)), atol=1e-2)
    x0, y0, x1, y1 = face.observation.box
    assert (shafts[:, 0] > x0).all()
    assert (shafts[:, 0] < x1).all()
    assert (shafts[:, 1] > y0).all()
    assert (shafts[:, 1] < y1).all()


def test_a_still_face_shows_dots_instead_of_arrows() -> None:
    face = a_face(flow=True)
    calm = replace(face, prediction=replace(face.prediction, flow=np.zeros((28, 28, 2), np.float32)))
    drawing = draw_list(frame_of(calm), ["flow"])
    assert len(kinds(drawing, Dots)[0].points) > 10
    assert len(kinds(drawing, Segments)[0].ends) == 0
    assert draw_list(frame_of(a_face()), ["flow"]) == (), "a frame without predicted flow shows none"


def test_recovered_patches_lie_where_they_were_cut() -> None:
    """What is cut out of the chip as training does it, and laid back, is the image that the chip shows."""
    face = make_face(FramePacket(picture((640, 480)), 1, 2.0, 0.0), want_patches=True)
    patches, matrix = face.prediction.patches, face.aligned.matrix
    assert patches is not None
    assert abs(matrix[0, 1]) > 0.01, "the test needs a tilted face"
    y, x = torch.meshgrid(torch.arange(112.0), torch.arange(112.0), indexing="ij")  # a chip that tells where it is
    cut = cut_patches(torch.stack([x, y, x])[None], torch.from_numpy(patches.centres)[None], patches.window, 16)[0]
    drawing = draw_list(frame_of(face), ["recovered"])
    pictures, frames = kinds(drawing, Picture), kinds(drawing, Strokes)
    assert [frame.ink for frame in frames] == ["au1", "au43"]
    assert len(pictures) == 4
    for k, shown in enumerate(pictures):
        au, region = divmod(k, 2)
        np.testing.assert_array_equal(shown.pixels, patches.pixels[au, region])
        row, column = np.mgrid[0:16, 0:16] + 0.5
        image = np.stack([column, row], axis=-1) @ shown.matrix[:, :2].T + shown.matrix[:, 2]
        in_chip = image @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(in_chip, cut[au, region, :2].permute(1, 2, 0).numpy(), atol=1e-3)
        corners = np.array([(0, 0), (16, 0), (16, 16), (0, 16), (0, 0)]) @ shown.matrix[:, :2].T + shown.matrix[:, 2]
        np.testing.assert_allclose(frames[au].lines[region], corners, atol=1e-3)
    assert draw_list(frame_of(a_face()), ["recovered"]) == (), "a frame without recovered patches shows none"


@pytest.mark.parametrize(
    ("rotation", "axis", "component", "sign"),
    [
        ((0.4, 0, 0), "z", 1, +1),  # looks down
        ((0, 0.4, 0), "z", 0, -1),  # turns to the subject's right, the left of the picture
        ((0, 0, 0.4), "x", 1, +1),  # tilts clockwise as seen: its x axis points down
    ],
)
def test_axes_follow_the_sign_conventions(
    rotation: tuple[float, float, float], axis: str, component: int, sign: int
) -> None:
    face = a_face()
    pose = HeadPose(face.observation.pose.translation_mm, np.array(rotation, np.float64))
    turned = replace(face, observation=replace(face.observation, pose=pose))
    (line,) = (s for s in kinds(draw_list(frame_of(turned), ["pose"]), Segments) if s.ink == f"axis-{axis}")
    start, tip = line.ends[0, :2], line.ends[0, 2:]
    assert sign * (tip - start)[component] > 10


def test_a_head_straight_ahead_has_axes_right_and_up() -> None:
    face = a_face()
    pose = HeadPose(face.observation.pose.translation_mm, np.zeros(3))
    straight = replace(face, observation=replace(face.observation, pose=pose))
    ends = {s.ink: s.ends[0, 2:] - s.ends[0, :2] for s in kinds(draw_list(frame_of(straight), ["pose"]), Segments)}
    assert ends["axis-x"][0] > 10
    assert ends["axis-y"][1] < -10
    np.testing.assert_allclose(ends["axis-z"], 0, atol=1e-3)
