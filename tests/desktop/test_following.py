"""The face that panel, curves and picture follow: chosen by a click or a key, waited for, and let go again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from au_desktop.overlay import Label, draw_list
from au_desktop.runtime.status import State
from au_desktop.settings import Settings
from au_desktop.ui.following import Following
from rtatl_core.face.track import PATIENCE_S
from rtatl_core.handoffs import AnalysedFrame, FramePacket
from tests.desktop.conftest import Desk, MakeDesk, wait_until
from tests.desktop.fakes import AUS, make_face, picture
from tests.desktop.hands import LEFT, live, press


def frame(time_s: float, *ids: int) -> AnalysedFrame:
    packet = FramePacket(picture((64, 48)), 1, time_s, 0.0)
    return AnalysedFrame(packet, tuple(make_face(packet, i, 3) for i in ids), AUS)


def seen(following: Following, *frames: AnalysedFrame) -> list[tuple[int | None, str]]:
    told = [following.see(each) for each in frames]
    return [(face.observation.face_id if face else None, text) for face, text in told]


def test_a_face_is_named_where_there_is_a_choice() -> None:
    following = Following()
    assert seen(following, frame(0, 2), frame(0.1, 5, 2), frame(0.2, 5)) == [(2, ""), (2, "Face 2"), (5, "")]
    following.choose(5)
    assert seen(following, frame(0.3, 5)) == [(5, "Face 5")]


def test_nobody_takes_the_place_of_a_chosen_face_while_it_may_come_back() -> None:
    following = Following()
    following.choose(1)
    steps = [0.2 * i for i in range(round(5 * PATIENCE_S) + 10)]
    told = seen(following, frame(0, 0, 1), *(frame(step, 0) for step in steps[1:]))
    assert told[0] == (1, "Face 1")
    lost = told.count((None, "Face 1 is not seen"))
    assert 0.2 * lost == pytest.approx(PATIENCE_S, abs=0.4)
    assert set(told[lost + 1 :]) == {(0, "Face 0")}, "the largest, by its name"
    assert following.face_id == 0
    assert seen(following, frame(steps[-1] + 0.2, 0, 1)) == [(1, "Face 1")]


def test_a_chosen_face_is_waited_for_as_the_tracker_counts() -> None:
    """A pause hardly counts, and a file that plays again counts anew."""
    following = Following()
    following.choose(1)
    assert seen(following, frame(0, 1), frame(60, 0)) == [(1, "Face 1"), (None, "Face 1 is not seen")]
    assert seen(following, *(frame(60 + 0.25 * i, 0) for i in range(60)))[-1] == (0, "Face 0")
    assert seen(following, frame(0, 0), frame(0.1, 0, 1)) == [(None, "Face 1 is not seen"), (1, "Face 1")]


def paused(desk: Desk) -> Desk:
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    return desk


def selected(desk: Desk) -> list[str]:
    """Texts of the frames in the picture that are painted as followed."""
    video = desk.window.stage.video
    drawing = draw_list(video._frame, ["box"], selected=video._selected)
    return [mark.text.split("  ")[0] for mark in drawing if isinstance(mark, Label) and mark.ink == "selected"]


def test_panel_curves_and_picture_agree_that_a_chosen_face_is_not_seen(make_desk: MakeDesk) -> None:
    desk = paused(live(make_desk(Settings(max_faces=2), engine={"faces": 2})))
    window, both = desk.window, desk.bridge.latest
    window.select_face(1)
    assert (window.panel._face.text(), selected(desk)) == ("Face 1", ["Face 1"])
    packet = replace(both.packet, timestamp=both.packet.timestamp + 1)
    asked: list[int] = []
    curves = desk.pipeline.history.curves
    desk.pipeline.history.curves = lambda face_id, seconds: asked.append(face_id) or curves(face_id, seconds)
    window._show_frame(replace(both, packet=packet, faces=both.faces[:1]))
    assert window.panel._face.text() == "Face 1 is not seen"
    assert window.panel.rows._intensity is None
    assert selected(desk) == []
    window._draw_curves()
    assert set(asked) == {1}
    for i in range(1, 60):
        later = replace(packet, timestamp=packet.timestamp + 0.25 * i)
        window._settle(replace(both, packet=later, faces=both.faces[:1]))
    assert (window.panel._face.text(), selected(desk)) == ("Face 0", ["Face 0"])
    asked.clear()
    window._draw_curves()
    assert asked == [0]


def click(desk: Desk, face: int | None) -> None:
    video = desk.window.stage.video
    at = QPoint(4, 4)
    if face is not None:
        centre = desk.bridge.latest.faces[face].observation.landmarks[:, :2].mean(axis=0)
        at = QPoint(*(round(value) for value in video._to_screen(centre).tolist()))
    QTest.mouseClick(video, LEFT, pos=at)


def test_a_second_click_or_one_beside_takes_the_choice_back(make_desk: MakeDesk) -> None:
    desk = paused(live(make_desk(Settings(max_faces=2), engine={"faces": 2})))
    window = desk.window
    for back in (1, None):
        click(desk, 1)
        assert (window._following.chosen, window.panel._face.text()) == (1, "Face 1")
        assert "Following face 1; click it again for the largest" in window.line.text
        click(desk, back)
        assert (window._following.chosen, window.panel._face.text(), selected(desk)) == (None, "Face 0", ["Face 0"])
        assert "Following the largest face" in window.line.text
    window.line.say("")
    click(desk, None)
    assert "Following" not in window.line.text, "nothing was chosen"


def test_a_key_goes_through_the_faces_and_back_to_the_largest(make_desk: MakeDesk) -> None:
    desk = paused(live(make_desk(Settings(max_faces=2), engine={"faces": 2})))
    hint = desk.window.stage._faces
    assert hint.toolTip() == "2 faces, click one (or press F) to follow it"
    for width, told in ((1400, hint.toolTip()), (1280, "2 faces, click one or press F")):
        desk.window.resize(width, 800)
        QApplication.processEvents()
        assert hint.text() == told
    chosen = []
    for _ in range(4):
        press(desk, Qt.Key.Key_F)
        chosen.append((desk.window._following.chosen, selected(desk)))
    assert chosen == [(0, ["Face 0"]), (1, ["Face 1"]), (None, ["Face 0"]), (0, ["Face 0"])]


def test_the_key_says_so_where_there_is_no_face(make_desk: MakeDesk) -> None:
    desk = make_desk()
    press(desk, Qt.Key.Key_F)
    assert "There is no face to follow." in desk.window.line.text
