"""The picture: its layers, the faces in it, the mirror."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from au_desktop.runtime.status import State
from au_desktop.settings import Settings
from au_desktop.ui import au_panel, au_rows
from au_desktop.ui.theme import Look
from au_desktop.ui.video_view import VideoView
from rtatl_core.handoffs import AnalysedFrame, FramePacket
from tests.desktop.conftest import MakeDesk, wait_until
from tests.desktop.contrast import contrast
from tests.desktop.fakes import AUS, CAMERA, camera_opener, file_spec, intensities, make_face, picture
from tests.desktop.hands import LEFT, live, press


def test_layers_are_switched_by_chip_and_by_key(make_desk: MakeDesk) -> None:
    desk = make_desk()
    stage = desk.window.stage
    assert stage.layers == {"box", "regions"}
    QTest.mouseClick(stage.chips["landmarks"], LEFT)
    press(desk, Qt.Key.Key_1)
    press(desk, Qt.Key.Key_4)
    assert stage.layers == {"landmarks", "regions", "flow"}
    assert desk.window.settings.layers == ("landmarks", "regions", "flow")


def test_a_layer_changes_the_picture(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(layers=())))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    bare = desk.window.stage.video.grab().toImage()
    press(desk, Qt.Key.Key_1)
    assert desk.window.stage.video.grab().toImage() != bare
    press(desk, Qt.Key.Key_1)
    assert desk.window.stage.video.grab().toImage() == bare


def test_the_engine_predicts_flow_only_while_it_is_shown(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(layers=())))
    assert desk.bridge.latest is not None
    assert desk.bridge.latest.faces[0].prediction.flow is None
    press(desk, Qt.Key.Key_4)
    wait_until(lambda: desk.bridge.latest.faces[0].prediction.flow is not None)


def test_patches_are_recovered_only_while_they_are_shown(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(layers=())))
    assert desk.bridge.latest.faces[0].prediction.patches is None
    press(desk, Qt.Key.Key_6)
    wait_until(lambda: desk.bridge.latest.faces[0].prediction.patches is not None)
    assert desk.window.settings.layers == ("recovered",)
    QTest.mouseClick(desk.window.stage.chips["recovered"], LEFT)
    wait_until(lambda: desk.bridge.latest.faces[0].prediction.patches is None)


@pytest.mark.parametrize("mirror", [False, True])
def test_recovered_patches_are_painted_in_place(make_desk: MakeDesk, mirror: bool) -> None:
    """The fake's patches are red towards the right of the face and green downwards; a mirror turns red round."""
    desk = live(make_desk(Settings(layers=("recovered",), mirror=mirror)))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    video = desk.window.stage.video
    shown = video.grab().toImage()
    face = desk.bridge.latest.faces[0]
    radius = 0.07 * face.aligned.chip.shape[0] / np.hypot(*face.aligned.matrix[:, 0])
    for centre in face.regions[-1]:  # painted last, over the brow
        points = [centre + np.array(step) * radius / 2 for step in ((-1, -1), (1, -1), (-1, 1))]
        at = [video._to_screen(point).tolist() for point in points]
        first, right, down = (shown.pixelColor(round(x), round(y)) for x, y in at)
        assert (at[1][0] < at[0][0]) == mirror
        assert right.red() > first.red() + 60
        assert down.green() > first.green() + 60
        assert abs(first.blue() - 60) < 12


@pytest.mark.parametrize("layer", ["box", "pose"])
def test_lines_can_be_made_out_before_a_white_wall(look: Look, layer: str) -> None:
    packet = FramePacket(np.full((480, 640, 3), 255, np.uint8), 1, 0.4, 0.0)
    video = VideoView(look, lambda *_: None)
    video.resize(600, 500)
    video.show_frame(AnalysedFrame(packet, tuple(make_face(packet, i, 2, AUS) for i in range(2)), AUS))
    video.set_layers(frozenset({layer}))
    shown, place = video.grab().toImage(), video._target.toRect().adjusted(12, 100, -12, -12)  # below the tags
    places = [(x, y) for x in range(place.left(), place.right()) for y in range(place.top(), place.bottom())]
    inks = [shown.pixelColor(x, y).name() for x, y in places]
    lines = [ink for ink in inks if ink != "#ffffff"]
    seen = sum(contrast(ink, "#ffffff") >= 3 for ink in lines)
    assert seen > 0.25 * len(lines), (seen, len(lines))
    video.deleteLater()


@pytest.mark.parametrize("mirror", [False, True])
def test_labels_lie_beside_a_picture_that_has_no_room_for_them(look: Look, mirror: bool) -> None:
    """Not over the face: a tall picture leaves the widget free at its sides."""
    packet = FramePacket(picture((120, 480)), 1, 0.4, 0.0)
    video = VideoView(look, lambda *_: None)
    video.resize(600, 500)
    video.set_mirrored(mirror)
    video.set_layers(frozenset({"regions"}))
    video.show_frame(AnalysedFrame(packet, (make_face(packet, 0, 1, AUS),), AUS))
    shown, place = video.grab().toImage(), video._target.toRect()
    beside = shown.copy(0, 0, place.left(), 500) if mirror else shown.copy(place.right() + 1, 0, place.left() - 1, 500)
    stage = look.colour("stage")
    assert any(beside.pixelColor(x, y) != stage for x in range(0, 180, 4) for y in range(0, 500, 4))
    video.deleteLater()


@pytest.mark.parametrize(("layer", "lacks"), [("flow", "flow"), ("recovered", "inpainting")])
def test_a_layer_that_the_model_lacks_is_refused_and_says_why(make_desk: MakeDesk, layer: str, lacks: str) -> None:
    desk = live(make_desk(Settings(layers=("box", layer)), engine={lacks: False}))
    chips = desk.window.stage.chips
    wait_until(lambda: not chips[layer].isEnabled())
    assert chips[layer].toolTip() == f"This model carries no {lacks} decoder; train with tasks.{lacks} > 0"
    assert [name for name, chip in chips.items() if not chip.isEnabled()] == [layer]
    press(desk, Qt.Key(Qt.Key.Key_1 + list(chips).index(layer)))
    assert f"no {lacks} decoder" in desk.window.line.text
    press(desk, Qt.Key.Key_2)
    assert desk.window.settings.layers == tuple(name for name in chips if name in ("box", "landmarks", layer)), (
        "the choice is kept for a model that has the decoder"
    )
    desk.window.stage.show_model({lacks: True})
    assert chips[layer].isEnabled()
    assert chips[layer].toolTip().endswith(f"({list(chips).index(layer) + 1})")


def test_chips_give_up_their_names_before_they_are_cut_off(make_desk: MakeDesk) -> None:
    desk = make_desk()
    chips = desk.window.stage.chips.values()
    for width, named in ((1280, True), (900, False), (1280, True)):
        desk.window.resize(width, 700)
        QApplication.processEvents()
        assert all(bool(chip.label) == named for chip in chips)
        assert all(chip.width() >= chip.sizeHint().width() for chip in chips)
        assert all(chip.accessibleName() for chip in chips)


def test_a_picture_of_the_window_shows_one_frame(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live, figures wait until they can be read, and bars do not; in a picture for a paper they would contradict."""
    monkeypatch.setattr(au_rows, "DIGITS_EVERY_S", 1e9)
    desk = live(make_desk())
    rows = desk.window.panel.rows
    wait_until(lambda: bool(rows._digits))
    first = list(rows._digits)
    wait_until(lambda: np.abs(rows._intensity - np.array(first, float)).max() > 1)
    assert rows._digits == first
    assert not desk.window.picture().isNull()
    assert rows._digits == [f"{value:.1f}" for value in desk.bridge.latest.faces[0].result.intensity]


def test_faces_of_like_size_do_not_take_turns(make_desk: MakeDesk) -> None:
    desk = live(make_desk(engine={"faces": 2}))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    frame = desk.bridge.latest
    assert desk.window.panel._face.text() == "Face 0"
    desk.window._settle(replace(frame, faces=frame.faces[::-1]))
    assert desk.window.panel._face.text() == "Face 0"
    desk.window._settle(replace(frame, faces=frame.faces[1:]))
    assert desk.window.stage.video._selected == 1


@pytest.mark.parametrize("mirror", [False, True])
def test_a_click_selects_the_face_under_it(make_desk: MakeDesk, mirror: bool) -> None:
    desk = live(make_desk(Settings(max_faces=2, mirror=mirror), engine={"faces": 2}))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    video = desk.window.stage.video
    centre = desk.bridge.latest.faces[1].observation.landmarks[:, :2].mean(axis=0)
    x, y = video._to_screen(centre).tolist()
    assert (x > video.width() / 2) != mirror, "the second face stands on the right, mirrored on the left"
    QTest.mouseClick(video, LEFT, pos=QPoint(round(x), round(y)))
    assert desk.window.panel._face.text() == "Face 1"


def test_a_chosen_face_is_forgotten_with_the_people_before_a_camera_but_not_in_a_file(make_desk: MakeDesk) -> None:
    """Ids begin at 0 again in both; in a file that plays again they mean the same people."""
    for spec, kept in ((CAMERA, None), (file_spec(), 1)):
        desk = make_desk(engine={"faces": 2}, open_source=camera_opener(fps=20.0))
        desk.window.open_source(spec)
        wait_until(lambda desk=desk: desk.bridge.latest is not None and desk.bridge.latest.packet.number > 30)
        desk.window.select_face(1)
        before = desk.bridge.latest
        desk.pipeline.set_source(spec)
        wait_until(lambda desk=desk, before=before: desk.bridge.latest is not before)
        assert desk.bridge.latest.packet.number < before.packet.number
        assert desk.window._following.chosen == kept
        wait_until(lambda desk=desk, kept=kept: desk.window.panel._face.text() == f"Face {kept or 0}")


def test_a_camera_is_mirrored_pixel_by_pixel(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(layers=(), mirror=True)))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    video = desk.window.stage.video
    mirrored = video.grab().toImage()
    desk.window.options.mirror.click()
    plain = video.grab().toImage()
    assert plain != mirrored
    inner = video._target.adjusted(20, 20, -20, -20).toRect()
    difference = np.abs(grey(plain.copy(inner))[:, ::-1].astype(int) - grey(mirrored.copy(inner)))
    assert np.median(difference) <= 2


def grey(image: QImage) -> np.ndarray:
    flat = image.convertToFormat(QImage.Format.Format_Grayscale8)
    rows = np.frombuffer(flat.constBits(), np.uint8).reshape(flat.height(), flat.bytesPerLine())
    return rows[:, : flat.width()].copy()


def test_a_frame_that_comes_after_the_pause_is_shown_in_the_panel_too(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(au_panel, "REPAINT_EVERY_S", 60.0)  # so soon does it come
    desk = live(make_desk())
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    QTest.qWait(100)  # what was on its way has come
    packet = replace(desk.bridge.latest.packet, timestamp=100.0)
    desk.pipeline.view.put(AnalysedFrame(packet, (make_face(packet),), AUS))
    wait_until(lambda: desk.bridge.latest.packet.timestamp == 100.0)
    assert desk.window.panel.rows._digits == [f"{value:.1f}" for value in intensities(100.0).tolist()]


def test_a_picture_without_a_face_leaves_the_panel_empty(make_desk: MakeDesk) -> None:
    desk = live(make_desk(engine={"faces": 0}))
    assert desk.window.panel.rows._intensity is None
    assert desk.window.stage._faces.text() == "No face in the picture"
