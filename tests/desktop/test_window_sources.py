"""The empty state and the source menu: how a person comes to a picture."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication

from au_desktop.runtime.status import State
from au_desktop.settings import Settings
from au_desktop.sources import DEMO, FrameSource, SourceSpec
from au_desktop.ui.empty_state import MOST_CAMERAS
from rtatl_core.errors import SourceAsked, SourceError
from tests.desktop.conftest import MakeDesk, wait_until
from tests.desktop.fakes import CAMERA, FakeSource, camera_opener, file_spec
from tests.desktop.hands import LEFT, live, press


def test_empty_state_offers_demo_and_file(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make_desk()
    wait_until(desk.window.stage.empty.isVisible)
    wanted: list[SourceSpec] = []
    monkeypatch.setattr(desk.pipeline, "set_source", wanted.append)
    monkeypatch.setattr(
        "au_desktop.ui.main_window.QFileDialog.getOpenFileName", lambda *_args: ("/films/smile.mp4", "")
    )
    QTest.mouseClick(desk.window.stage.empty.demo, LEFT)
    QTest.mouseClick(desk.window.stage.empty.file, LEFT)
    assert [(spec.kind, spec.name) for spec in wanted] == [("demo", "Demo clip"), ("file", "smile.mp4")]


def test_the_next_file_is_looked_for_beside_the_one_that_was_dropped(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def choose(_window: object, _title: str, folder: str, _kinds: str) -> tuple[str, str]:
        asked.append(folder)
        return "", ""

    monkeypatch.setattr("au_desktop.ui.main_window.QFileDialog.getOpenFileName", choose)
    desk = make_desk()
    desk.window.open_file("/films/today/smile.mp4")
    press(desk, Qt.Key.Key_O)
    assert asked == [str(Path("/films/today"))]


def test_empty_state_starts_a_camera_by_name(make_desk: MakeDesk) -> None:
    desk = make_desk(cameras=(CAMERA,))
    wait_until(desk.window.stage.empty.isVisible)
    buttons = desk.window.stage.empty.findChildren(QAbstractButton)
    (button,) = (b for b in buttons if b.accessibleName() == CAMERA.name)
    QTest.mouseClick(button, LEFT)
    wait_until(lambda: desk.bridge.status.state is State.LIVE)
    assert desk.window.settings.camera == CAMERA.name
    assert desk.window.windowTitle().startswith(CAMERA.name)


def test_a_camera_that_stands_in_at_the_start_is_not_the_one_to_remember(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(camera="Logitech C920")))
    assert desk.window.settings.camera == "Logitech C920"


def test_while_the_system_asks_about_a_camera_the_window_says_what_it_waits_for(make_desk: MakeDesk) -> None:
    def ask(spec: SourceSpec) -> FakeSource:
        raise SourceAsked("macOS asks whether Fake camera may be used.")

    desk = make_desk(open_source=ask)
    desk.window.open_source(CAMERA)
    wait_until(lambda: desk.window._state is State.ASKING)
    assert desk.window.stage.waiting.text == "Fake camera starts as soon as you allow it\N{HORIZONTAL ELLIPSIS}"
    assert desk.window.line.text.startswith("Waiting")
    press(desk, Qt.Key.Key_Space)
    assert desk.pipeline.status().paused


def test_looking_for_cameras_leaves_the_buttons_of_those_known_alone(make_desk: MakeDesk) -> None:
    cameras = [CAMERA]
    desk = make_desk(cameras=cameras)
    empty = desk.window.stage.empty
    wait_until(empty.isVisible)

    def buttons() -> list[QAbstractButton]:
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        return [b for b in empty.findChildren(QAbstractButton) if b not in (empty.demo, empty.file)]

    (button,) = buttons()
    button.setFocus()
    QTest.mousePress(button, LEFT)
    empty.look_for_cameras()
    assert buttons() == [button]
    assert button.hasFocus()
    cameras.append(SourceSpec("camera", "1", "Another camera"))
    empty.look_for_cameras()
    assert [b.accessibleName() for b in buttons()] == [CAMERA.name, "Another camera"]
    (button, _) = buttons()
    QTest.mousePress(button, LEFT)
    empty.look_for_cameras()
    QTest.mouseRelease(button, LEFT)
    wait_until(lambda: desk.bridge.status.state is State.LIVE)


def test_names_of_cameras_and_files_are_shown_as_they_are(make_desk: MakeDesk) -> None:
    """Qt takes a single & in a button or a menu for the mark of a key."""
    name = "Tom & Jerry"
    desk = make_desk(cameras=(SourceSpec("camera", "0", name),))
    empty, source = desk.window.stage.empty, desk.window.top.source
    wait_until(empty.isVisible)
    (button,) = (b for b in empty.findChildren(QAbstractButton) if b.accessibleName() == name)
    source.fill_menu()
    desk.window.open_source(SourceSpec("file", "/films/Tom & Jerry", name))
    wait_until(lambda: source.accessibleName() == f"Source: {name}")
    for shown in (button, source, source.choices.actions()[0]):
        assert shown.text().strip() == "Tom && Jerry"
    assert source.label == name


@pytest.mark.parametrize("count", [1, 3])
def test_long_names_of_cameras_fit_their_buttons(make_desk: MakeDesk, count: int) -> None:
    cameras = tuple(SourceSpec("camera", str(i), f"{i} camera with a long name " * 3) for i in range(count))
    desk = make_desk(cameras=cameras)
    empty = desk.window.stage.empty
    wait_until(empty.isVisible)
    for width in (900, 1600, 900):
        desk.window.resize(width, 640)
        wait_until(lambda width=width: desk.window.width() == width and empty.width() < width)
        buttons = [b for b in empty.findChildren(QAbstractButton) if "long" in b.accessibleName()]
        assert len(buttons) == count
        wait_until(lambda buttons=buttons: all(b.width() >= b.sizeHint().width() for b in buttons))
        assert all(empty.rect().contains(button.geometry()) for button in buttons)


def test_room_that_short_names_of_cameras_leave_is_for_long_ones(make_desk: MakeDesk) -> None:
    names = ("Integrated Camera: Integrated C", "OBS", "C920")
    desk = make_desk(cameras=tuple(SourceSpec("camera", str(i), name) for i, name in enumerate(names)))
    empty = desk.window.stage.empty
    wait_until(empty.isVisible)
    assert [button.label for button, _name in empty._named] == list(names)


@pytest.mark.parametrize("count", [0, 1, MOST_CAMERAS + 1])
def test_the_first_page_takes_no_width_from_the_panel(make_desk: MakeDesk, count: int) -> None:
    desk = make_desk(cameras=[SourceSpec("camera", str(i), f"Camera {i}") for i in range(count)])
    wait_until(desk.window.stage.empty.isVisible)
    width = desk.window.panel.width()
    desk.window.resize(900, 600)
    QApplication.processEvents()
    assert desk.window.panel.width() >= width


def test_cameras_without_a_button_are_pointed_at(make_desk: MakeDesk) -> None:
    cameras = [SourceSpec("camera", str(i), f"Camera {i}") for i in range(MOST_CAMERAS)]
    desk = make_desk(cameras=cameras)
    empty, menu = desk.window.stage.empty, desk.window.top.source
    wait_until(empty.isVisible)
    assert "menu" not in empty._hint.text()
    cameras.append(SourceSpec("camera", "9", "One more"))
    empty.look_for_cameras()
    assert "More cameras are in the menu" in empty._hint.text()
    menu.fill_menu()
    assert "One more" in [action.text() for action in menu.choices.actions()]


def test_the_keyboard_comes_to_cameras_where_they_are_seen(make_desk: MakeDesk) -> None:
    cameras = [CAMERA, SourceSpec("camera", "1", "Another camera")]
    desk = make_desk(cameras=cameras)
    empty = desk.window.stage.empty
    wait_until(empty.isVisible)
    empty.file.setFocus(Qt.FocusReason.TabFocusReason)
    names = []
    for _ in range(3):
        QTest.keyClick(desk.window, Qt.Key.Key_Tab)
        names.append(desk.window.focusWidget().accessibleName())
    assert names == [CAMERA.name, "Another camera", "Box"]


def test_the_source_menu_looks_for_cameras_when_it_opens(make_desk: MakeDesk) -> None:
    cameras: list[SourceSpec] = []
    desk = make_desk(cameras=cameras)
    menu = desk.window.top.source.choices
    desk.window.top.source.fill_menu()
    assert "No camera found" in [action.text() for action in menu.actions()]
    cameras.append(CAMERA)
    QTest.mouseClick(desk.window.top.source, LEFT)
    (action,) = (action for action in menu.actions() if action.text() == CAMERA.name)
    action.trigger()
    menu.close()
    wait_until(lambda: desk.bridge.status.state is State.LIVE)


def test_the_source_menu_marks_what_plays(make_desk: MakeDesk) -> None:
    button = make_desk(cameras=(CAMERA,)).window.top.source

    def looks() -> dict[str, QImage]:
        button.fill_menu()
        return {action.text(): action.icon().pixmap(16).toImage() for action in button.choices.actions()}

    def marked() -> list[str]:
        return [text for text, image in looks().items() if image != plain[text]]

    plain = looks()
    button.show_source(replace(CAMERA, target="3"))  # plugged in elsewhere meanwhile
    assert marked() == [CAMERA.name]
    button.show_source(DEMO)
    assert marked() == ["Demo"]
    button.show_source(file_spec("Demo clip"))
    assert marked() == []


def test_a_source_that_cannot_be_opened_shows_why(make_desk: MakeDesk) -> None:
    def refuse(spec: SourceSpec) -> FrameSource:
        raise SourceError(f"{spec.name} is in use by another program; close that program.")

    desk = make_desk(open_source=refuse)
    desk.window.open_source(CAMERA)
    banner = desk.window.stage.banner
    wait_until(banner.isVisible)
    assert (banner.severity, banner.text) == (
        "error",
        "Fake camera is in use by another program; close that program.",
    )
    wait_until(lambda: desk.window.top.run.label == "Try again")
    assert desk.window.stage.empty.isVisible()
    QTest.mouseClick(banner._close, LEFT)
    assert not banner.isVisible()


def test_why_a_camera_failed_lies_over_nothing(make_desk: MakeDesk) -> None:
    def refuse(spec: SourceSpec) -> FrameSource:
        raise SourceError(f"{spec.name} is in use by another program; close that program, or choose another source.")

    desk = make_desk(open_source=refuse, cameras=[CAMERA])
    stage = desk.window.stage
    wait_until(stage.empty.isVisible)
    assert stage.empty._picture.isVisible()
    desk.window.open_source(CAMERA)
    wait_until(stage.banner.isVisible)
    hint = stage.empty._hint
    wait_until(lambda: hint.mapTo(stage, hint.rect().bottomLeft()).y() < stage.banner.y())
    desk.window.resize(1280, 900)
    wait_until(stage.empty._picture.isVisible)
    wait_until(lambda: hint.mapTo(stage, hint.rect().bottomLeft()).y() < stage.banner.y())


def test_a_lost_camera_is_told_and_taken_back(make_desk: MakeDesk) -> None:
    desk = live(make_desk(open_source=camera_opener(fps=60.0, lost_after=15)))
    wait_until(lambda: desk.window.stage.banner.isVisible())
    assert desk.window.stage.banner.severity == "warning"
    assert "Fake camera" in desk.window.stage.banner.text
    wait_until(lambda: not desk.window.stage.banner.isVisible())


def test_values_of_a_lost_camera_do_not_pass_for_those_of_now(make_desk: MakeDesk) -> None:
    gone = threading.Event()

    def open_camera(spec: SourceSpec) -> FakeSource:
        if gone.is_set():
            raise SourceError("Fake camera is not connected.")
        return FakeSource(spec, fps=60.0, lost_after=15)

    desk = make_desk(open_source=open_camera)
    rows = desk.window.panel.rows
    desk.window.open_source(CAMERA)
    wait_until(lambda: rows._digits)
    gone.set()
    wait_until(lambda: desk.window._state is State.RECONNECTING)
    desk.window.picture()  # which shows the newest frame, and that is one of before
    assert rows._digits == []
    assert "of 5" not in rows.describe(0)
    gone.clear()
    wait_until(lambda: rows._digits)


def test_loading_is_shown_quietly(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.pipeline.set_source(None)
    wait_until(lambda: desk.bridge.status.state is State.EMPTY)
    desk.window.stage.show_status(
        type("Loading", (), {"state": State.LOADING, "source": CAMERA})(),  # type: ignore[arg-type]
        has_picture=False,
    )
    assert desk.window.stage.waiting.isVisible()
    assert desk.window.stage.waiting.text == "Loading the model\N{HORIZONTAL ELLIPSIS}"


def test_nothing_turns_where_nothing_is_on_its_way(make_desk: MakeDesk) -> None:
    """As in a pause that began before the first picture came."""
    hang = threading.Event()
    desk = make_desk(open_source=camera_opener(hang=hang))
    waiting = desk.window.stage.waiting

    def turns() -> bool:
        place = waiting.rect().adjusted(0, 0, 0, -waiting.height() // 2)  # above the text
        before = waiting.grab(place).toImage()
        return waiting.grab(place).toImage() != before

    desk.window.open_source(CAMERA)
    wait_until(lambda: desk.bridge.status.state is State.STARTING and waiting.isVisible())
    wait_until(turns)
    desk.window.toggle_run()
    wait_until(lambda: waiting.text == "Paused")
    assert not turns()
    hang.set()
