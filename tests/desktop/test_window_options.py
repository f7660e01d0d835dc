"""The settings pop-up, the theme, and what a restart finds again."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from PySide6.QtCore import QKeyCombination, QPoint, QSize, Qt
from PySide6.QtGui import QAccessible, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QToolTip, QWidget

from au_desktop.runtime.status import State
from au_desktop.settings import MOST_FACES, Settings
from au_desktop.ui import layout
from au_desktop.ui.layout import full_screen_key
from au_desktop.ui.options import Options
from au_desktop.ui.theme import DARK, LIGHT, Look
from rtatl_core.assets import asset
from rtatl_core.temporal import SMOOTHING_S
from tests.desktop.conftest import MakeDesk, wait_until
from tests.desktop.fakes import CAMERA
from tests.desktop.hands import LEFT, click_row, live, press


def test_options_act_at_once(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    QTest.mouseClick(desk.window.top.options, LEFT)
    options = desk.window.options
    assert options.isVisible()
    options.smoothing.setValue(20)
    wait_until(lambda: desk.window.settings.smoothing_s == pytest.approx(0.2))
    QTest.mouseClick(options.personal, LEFT)
    assert desk.window.settings.personal is False
    assert desk.pipeline._analysis.wished("personal") is False
    wanted: list[Settings] = []
    desk.window.engine_wanted.connect(wanted.append)
    QTest.mouseClick(options.faces.button(2), LEFT)
    QTest.mouseClick(options.faces.button(2), LEFT)  # the same again takes no other engine
    assert [settings.max_faces for settings in wanted] == [3]
    assert desk.window.settings.max_faces == 3
    options.close()


def test_keys_of_a_recording_act_while_the_settings_are_open(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    handle, options = desk.window.windowHandle(), desk.window.options
    QTest.mouseClick(desk.window.top.options, LEFT)
    QTest.keyClick(handle, Qt.Key.Key_R)
    wait_until(lambda: (now := desk.pipeline.status().recording) is not None and now.rows > 2)
    folder = desk.pipeline.status().recording.folder
    QTest.keyClick(handle, Qt.Key.Key_M)
    assert "Marker 1 is set" in desk.window.line.text
    QTest.mouseClick(options.mirror, LEFT)
    mirror = desk.window.settings.mirror
    QTest.keyClick(handle, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    assert desk.window.settings.mirror == mirror, "a click does not bring the keyboard there"
    options.mirror.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(handle, Qt.Key.Key_Space)
    assert desk.window.settings.mirror != mirror
    assert desk.pipeline.status().paused
    QTest.keyClick(handle, Qt.Key.Key_R)
    assert options.isVisible()
    QTest.keyClick(handle, Qt.Key.Key_Escape)
    assert not options.isVisible()
    assert "marker" in (folder / "events.csv").read_text()


@pytest.mark.parametrize("key", [Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_switches_take_the_keys_that_buttons_take(make_desk: MakeDesk, key: Qt.Key) -> None:
    desk = make_desk()
    options = desk.window.options
    desk.window.top.options.click()
    for switch in (options.personal, options.mirror):
        before = switch.isChecked()
        QTest.keyClick(switch, key)
        assert switch.isChecked() != before
    assert options.isVisible()
    options.close()


def test_every_setting_is_called_what_stands_before_it(make_desk: MakeDesk) -> None:
    """A person who speaks to the computer says what they see."""
    options = make_desk().window.options
    controls = (
        ("Smoothing", options.smoothing),
        ("Own face", options.personal),
        ("Faces", options.faces),
        ("Model", options.model),
        ("Mirror", options.mirror),
        ("Lab Streaming Layer", options.lsl),
        ("Name", options.name),
        ("OSC", options.osc),
        ("OSC", options.osc_address),
    )
    seen = {label.text() for label in options.findChildren(QLabel)}
    for title, control in controls:
        assert title in seen
        assert title in control.accessibleName()


def test_smoothing_values_that_the_slider_only_passes_are_not_recorded(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: desk.bridge.status.recording and desk.bridge.status.recording.rows > 2)
    folder = desk.bridge.status.recording.folder
    QTest.mouseClick(desk.window.top.options, LEFT)
    slider = desk.window.options.smoothing
    for _ in range(12):
        QTest.keyClick(slider, Qt.Key.Key_Right)
    wait_until(lambda: desk.window.settings.smoothing_s == pytest.approx(slider.value() / 100))
    slider.setSliderDown(True)
    for value in (40, 41, 42):
        slider.setSliderPosition(value)
        desk.window._set_mirror(False)  # settings that are shown anew leave the hand its slider
        QTest.qWait(30)
    slider.setSliderDown(False)
    assert desk.window.settings.smoothing_s == pytest.approx(0.42)
    slider.setValue(10)
    desk.window.options.close()
    assert desk.window.settings.smoothing_s == pytest.approx(0.1), "closing is choosing"
    press(desk, Qt.Key.Key_R)
    noted = [line for line in (folder / "events.csv").read_text().splitlines() if "smoothing_s" in line]
    assert [line.rpartition("= ")[2].strip('"') for line in noted] == [f"{SMOOTHING_S + 0.12:g}", "0.42", "0.1"]


def test_as_many_faces_can_be_chosen_as_a_flag_may_ask_for(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(max_faces=6)))
    faces = desk.window.options.faces
    assert faces.button(5).isChecked()
    assert faces.button(MOST_FACES - 1).text() == str(MOST_FACES)
    plain = faces.grab().toImage()
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: not faces.isEnabled())
    assert "during a recording" in faces.toolTip()
    assert faces.grab().toImage() != plain
    press(desk, Qt.Key.Key_R)
    wait_until(faces.isEnabled)
    assert faces.toolTip() == ""


def test_other_weights_are_looked_at_before_they_are_taken(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = live(make_desk())
    wanted: list[Settings] = []
    desk.window.engine_wanted.connect(wanted.append)
    options = desk.window.options
    options.model.chosen.emit(str(tmp_path / "none.safetensors"))
    assert not wanted
    told = desk.window.stage.banner.text
    assert told.startswith("These weights cannot be used: ")
    assert "none.json is missing; name a .safetensors file" in told
    weights = asset("models/rtatl-synth.safetensors")
    options.model.chosen.emit(str(weights))
    assert [settings.model for settings in wanted] == [str(weights)]
    assert options.model.text() == "rtatl-synth"


def test_the_settings_stay_on_the_screen(make_desk: MakeDesk) -> None:
    window = make_desk().window
    screen = window.screen().availableGeometry().adjusted(0, 0, 2, 2)  # offscreen, Qt imagines a frame that wide
    for corner in (screen.bottomLeft() - QPoint(0, 60), screen.topLeft() - QPoint(window.width() // 2, 0)):
        window.move(corner)
        QTest.mouseClick(window.top.options, LEFT)
        assert screen.contains(window.options.geometry())
        window.options.close()


def test_an_address_is_taken_over_with_its_switch_or_refused(make_desk: MakeDesk) -> None:
    desk = make_desk()
    options = desk.window.options
    QTest.mouseClick(desk.window.top.options, LEFT)
    options.osc_address.setFocus()
    options.osc_address.selectAll()
    QTest.keyClicks(options.osc_address, "127.0.0.1")
    QTest.keyClick(options.osc_address, Qt.Key.Key_Return)
    assert options.osc_address.text() == Settings().osc_address
    assert "HOST:PORT" in QToolTip.text()
    options.osc_address.setFocus()
    options.osc_address.selectAll()
    QTest.keyClicks(options.osc_address, "127.0.0.1:9123")
    asked: list[object] = []
    options.streams_chosen.connect(asked.append)
    QTest.mouseClick(options.osc, LEFT)
    assert asked == [{"osc_address": "127.0.0.1:9123"}, {"osc": True}]
    options.close()


def test_recordings_are_called_what_is_chosen(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    options, record = desk.window.options, desk.window.top.record

    def choose(name: str) -> None:
        QTest.mouseClick(desk.window.top.options, LEFT)
        options.name.setFocus()
        options.name.selectAll()
        QTest.keyClicks(options.name, name) if name else QTest.keyClick(options.name, Qt.Key.Key_Delete)
        options.close()

    def recorded() -> str:
        QTest.mouseClick(record, LEFT)
        wait_until(lambda: desk.bridge.status.recording and desk.bridge.status.recording.rows)
        folder = desk.bridge.status.recording.folder
        QTest.mouseClick(record, LEFT)
        wait_until(lambda: not desk.bridge.status.recording and record.accessibleName().startswith("Record"))
        return str(folder.name)

    width = record.sizeHint().width()
    choose(" P/01 ")
    assert (record.accessibleName(), "called P/01" in record.toolTip()) == ("Record P/01", True)
    assert record.sizeHint().width() > width, "whoever forgets to change it can see it"
    assert [recorded()[:5], recorded()[:5]] == ["P-01_", "P-01_"]
    assert record.accessibleName() == "Record P/01"
    choose("")
    assert (record.accessibleName(), record.sizeHint().width()) == ("Record", width)
    assert recorded().startswith(CAMERA.name)


def test_a_long_name_leaves_room_for_the_other_buttons(make_desk: MakeDesk) -> None:
    record = make_desk().window.top.record
    record.set_name("a participant of whom very much is to be said")
    assert record.sizeHint().width() < 240
    assert "very much" in record.accessibleName()


def test_the_keyboard_comes_to_the_choice_in_force(make_desk: MakeDesk) -> None:
    window = make_desk(Settings(curve_seconds=30)).window
    window.stage.chips["recovered"].setFocus(Qt.FocusReason.TabFocusReason)
    for key, seconds in ((Qt.Key.Key_Tab, 30), (Qt.Key.Key_Right, 60)):
        QTest.keyClick(window.focusWidget(), key)
        assert window.focusWidget().accessibleName() == f"Time span: {seconds} s"
        told = QAccessible.queryAccessibleInterface(window.focusWidget())
        assert told.role() == QAccessible.Role.RadioButton, "one of several"
        assert window.traces.seconds == seconds
    for reached in (window.rest.chip, window.panel.rows):
        QTest.keyClick(window, Qt.Key.Key_Tab)
        assert window.focusWidget() is reached


def test_a_device_is_offered_only_where_there_is_a_choice(look: Look) -> None:
    parent = QWidget()
    none, some = Options(look, parent), Options(look, parent, devices=("auto", "cpu", "cuda"))
    chosen: list[str] = []
    some.device_chosen.connect(chosen.append)
    some.show_settings(Settings(device="cpu"))
    assert some.device.button(1).isChecked()
    some.device.button(2).click()
    assert chosen == ["cuda"]
    assert none.device.parent() is None


def test_the_theme_goes_round(make_desk: MakeDesk) -> None:
    desk = make_desk(Settings(theme="dark"))
    dark = desk.window.grab().toImage()
    press(desk, Qt.Key.Key_T)
    assert desk.window.settings.theme == "light"
    light = desk.window.grab().toImage()
    assert light.pixelColor(4, 4).name().upper() == LIGHT.surface
    assert dark.pixelColor(4, 4).name().upper() == DARK.surface
    QTest.mouseClick(desk.window.top.theme, LEFT)
    assert desk.window.settings.theme == "system"


def test_layout_and_choices_survive_a_restart(make_desk: MakeDesk) -> None:
    first = make_desk()
    first.window.resize(900, 700)  # an offscreen screen is 800 pixels high
    first.window.desk.body.setSizes([500, 399])
    press(first, Qt.Key.Key_2)
    click_row(first, 9)
    QApplication.processEvents()
    width = first.window.panel.width()
    first.window.close()
    second = make_desk(first.window.settings)
    QApplication.processEvents()
    assert second.window.size() == QSize(900, 700)
    assert second.window.panel.width() == width
    assert second.window.stage.layers == {"box", "landmarks", "regions"}
    assert 9 in second.window.traces.lanes


@pytest.mark.parametrize("room", [QSize(1600, 1000), QSize(1097, 568), QSize(960, 468)])
def test_the_window_fits_a_small_screen(make_desk: MakeDesk, room: QSize, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_room", lambda window: room)
    window = make_desk().window
    wait_until(window.stage.empty.isVisible)
    assert window.size() == QSize(1280, 800).boundedTo(room)
    parts = (window.top, window.stage, window.traces, window.line)
    for above, below in pairwise(parts):
        assert above.mapTo(window, above.rect().bottomLeft()).y() < below.mapTo(window, QPoint()).y()
    pages, empty = window.stage._pages, window.stage.empty
    assert pages.geometry().bottom() < window.stage.chips["box"].parentWidget().geometry().top()
    shown = [part for part in (empty._lead, empty.demo, empty._hint) if part.isVisible()]
    for higher, lower in pairwise(shown):
        assert not higher.geometry().intersects(lower.geometry())
    assert window.line.mapTo(window, window.line.rect().bottomLeft()).y() < window.height()


@pytest.mark.parametrize("edited", ["not base64!", "größer"])
def test_edited_geometry_does_no_harm(make_desk: MakeDesk, edited: str) -> None:
    desk = make_desk(Settings(window_geometry=edited, window_state=f"{edited}.this"))
    assert desk.window.size() == QSize(1280, 800)


def test_every_control_has_a_name_and_a_tip(make_desk: MakeDesk) -> None:
    desk = make_desk(cameras=(CAMERA,))
    wait_until(desk.window.stage.empty.isVisible)
    for button in desk.window.findChildren(QAbstractButton):
        if button is desk.window.stage.banner._button:
            continue  # gets its name together with its message
        assert button.accessibleName(), button
    tips = {key: desk.window.stage.chips[name].toolTip() for name, key in (("box", "(1)"), ("pose", "(5)"))}
    assert all(tip.endswith(key) for key, tip in tips.items())


def test_the_model_is_named(make_desk: MakeDesk) -> None:
    desk = make_desk()
    wait_until(lambda: desk.bridge.status.model_name)
    assert desk.window.top.model.toolTip() == "Model fake-1, trained on nothing: arithmetic"


@pytest.mark.parametrize("by_keyboard", [True, False])
def test_escape_closes_the_help_and_the_message_before_it_leaves_full_screen(
    make_desk: MakeDesk, by_keyboard: bool
) -> None:
    desk = live(make_desk())  # a model that comes hides the help, too
    window, rows = desk.window, desk.window.panel.rows
    press(desk, Qt.Key.Key_F11)
    QApplication.processEvents()  # the rows get their place in it, which hides the help, too
    if by_keyboard:
        rows.setFocus(Qt.FocusReason.TabFocusReason)
        QTest.keyClick(window.windowHandle(), Qt.Key.Key_Question)
    else:
        rows._help(2)  # as the pointer does that rests there
    assert rows.help.isVisible()
    window.stage.banner.show_message("warning", "The disk is nearly full.")
    seen = []
    for _ in range(3):
        QTest.keyClick(window.windowHandle(), Qt.Key.Key_Escape)
        seen.append((rows.help.isVisible(), window.stage.banner.isVisible(), window.isFullScreen()))
    assert seen == [(False, True, True), (False, False, True), (False, False, False)]


def test_full_screen_and_back(make_desk: MakeDesk) -> None:
    desk = make_desk()
    press(desk, Qt.Key.Key_F11)
    assert desk.window.isFullScreen()
    press(desk, Qt.Key.Key_Escape)
    assert not desk.window.isFullScreen()


@pytest.mark.parametrize("key", [Qt.Key.Key_F11, Qt.Key.Key_Escape])
def test_a_maximised_window_is_so_again_after_full_screen(make_desk: MakeDesk, key: Qt.Key) -> None:
    desk = make_desk()
    desk.window.showMaximized()
    press(desk, Qt.Key.Key_F11)
    wait_until(desk.window.isFullScreen)
    press(desk, key)
    wait_until(lambda: not desk.window.isFullScreen())
    assert desk.window.isMaximized()


def test_the_key_of_the_whole_screen_is_one_that_the_system_leaves_to_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert QKeySequence(full_screen_key())[0] == QKeyCombination(
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.MetaModifier, Qt.Key.Key_F
    )
    monkeypatch.setattr(sys, "platform", "win32")
    assert full_screen_key() == "F11"
