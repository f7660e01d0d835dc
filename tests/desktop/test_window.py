"""The window, driven by clicks and keys as a person would."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from au_desktop.runtime.pipeline import State
from au_desktop.settings import MOST_FACES, Settings
from au_desktop.sources import DEMO, FrameSource, SourceSpec
from au_desktop.ui.au_rows import grade
from au_desktop.ui.controls import clock, readable_size
from au_desktop.ui.icons import app_icon
from au_desktop.ui.options import Options
from au_desktop.ui.theme import AU_COLOURS, DARK, LIGHT, Look, Theme
from au_desktop.ui.trace_plot import LANE, LANE_MIN
from rtatl_core.assets import asset
from rtatl_core.errors import SourceError
from rtatl_core.facs import ACTION_UNITS
from rtatl_core.sessions.session import read_session
from tests.desktop.conftest import Desk, MakeDesk, wait_until
from tests.desktop.fakes import CAMERA, FakeEngine, camera_opener, file_spec

LEFT = Qt.MouseButton.LeftButton


def live(desk: Desk) -> Desk:
    """Starts the fake camera and waits for its first picture."""
    desk.window.open_source(CAMERA)
    wait_until(lambda: desk.bridge.latest is not None and desk.bridge.status.state is State.LIVE)
    return desk


def press(desk: Desk, key: Qt.Key) -> None:
    QTest.keyClick(desk.window, key)


def click_row(desk: Desk, au: int) -> None:
    rows = desk.window.panel.rows
    QTest.mouseClick(rows, LEFT, pos=rows.row_rect(rows.aus.index(au)).center())


# -- layers and curves ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(("layer", "lacks"), [("flow", "flow"), ("recovered", "inpainting")])
def test_a_layer_that_the_model_lacks_is_refused_and_says_why(make_desk: MakeDesk, layer: str, lacks: str) -> None:
    desk = live(make_desk(Settings(layers=("box", layer)), engine={lacks: False}))
    chips = desk.window.stage.chips
    wait_until(lambda: not chips[layer].isEnabled())
    assert chips[layer].toolTip() == f"This model carries no {lacks} decoder; train with tasks.{lacks} > 0"
    assert [name for name, chip in chips.items() if not chip.isEnabled()] == [layer]
    press(desk, Qt.Key(Qt.Key.Key_1 + list(chips).index(layer)))
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


def test_a_click_on_a_row_shows_and_hides_its_curve(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(curve_aus=(1, 12))))
    assert desk.window.traces.lanes == (1, 12)
    click_row(desk, 26)
    click_row(desk, 1)
    assert desk.window.traces.lanes == (12, 26)
    assert desk.window.settings.curve_aus == (12, 26)
    assert desk.window.traces.accessibleDescription() == "AU12 Lip corner puller, AU26 Jaw drop"


def test_rows_take_the_keyboard(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(curve_aus=(12,))))
    rows = desk.window.panel.rows
    rows.setFocus()
    QTest.keyClick(rows, Qt.Key.Key_Down)
    QTest.keyClick(rows, Qt.Key.Key_Space)
    assert desk.window.traces.lanes == (2, 12)
    assert "AU2 Outer brow raiser" in rows.accessibleDescription()
    assert desk.bridge.status.state is State.LIVE, "space toggled the row and did not pause"


def test_the_row_of_the_keyboard_stays_in_view(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.window.resize(1000, 640)
    QApplication.processEvents()
    rows = desk.window.panel.rows
    rows.setFocus(Qt.FocusReason.TabFocusReason)

    def is_seen(row: int) -> bool:
        return rows.visibleRegion().boundingRect().contains(rows.row_rect(row))

    assert not is_seen(22), "a window too low for all rows"
    for row in range(1, 23):
        QTest.keyClick(rows, Qt.Key.Key_Down)
        assert is_seen(row)
    QTest.keyClick(rows, Qt.Key.Key_Home)
    assert is_seen(0)
    assert "AU1 " in rows.accessibleDescription()
    QTest.keyClick(rows, Qt.Key.Key_End)
    assert is_seen(22)
    assert "AU43 " in rows.accessibleDescription()


def test_pointer_and_keyboard_survive_a_model_with_fewer_rows(make_desk: MakeDesk) -> None:
    panel = make_desk().window.panel
    rows = panel.rows
    rows.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(rows, Qt.Key.Key_End)
    QTest.mouseMove(rows, rows.row_rect(22).center())
    QTest.keyClick(rows, Qt.Key.Key_Question)
    assert rows.help.isVisible()
    panel.set_aus((4, 12))
    assert not rows.help.isVisible(), "it explains a row that is gone"
    rows.grab()
    QTest.keyClick(rows, Qt.Key.Key_Question)
    assert rows.help.au == 12
    QTest.keyClick(rows, Qt.Key.Key_Space)
    assert rows.chosen ^ {12} == frozenset(Settings().curve_aus)
    panel.set_aus(())
    rows.grab()


@pytest.mark.parametrize("size", [(1280, 800), (1000, 640)])
def test_curves_of_all_aus_can_be_told_apart_and_scrolled(make_desk: MakeDesk, size: tuple[int, int]) -> None:
    desk = live(make_desk(Settings(curve_aus=tuple(ACTION_UNITS)[:-1])))
    desk.window.resize(*size)
    traces = desk.window.traces
    wait_until(traces._scroll.isVisible)

    def seen() -> list[int]:
        place = traces.lanes_rect()
        return [
            au for au, top, height in traces.lane_places() if place.top() <= top and top + height <= place.bottom() + 1
        ]

    assert traces.lane_pixels() == LANE_MIN
    assert seen()[0] == 1
    assert 43 not in seen()
    click_row(desk, 43)
    assert seen()[-1] == 43, "who asks for a curve sees it"
    middle = traces._plot.mapTo(desk.window, traces._plot.rect().center())
    for _ in range(12):
        QTest.wheelEvent(desk.window.windowHandle(), QPointF(middle), QPoint(0, 120))
    assert seen()[0] == 1
    scale = traces._box.height() / traces._box.viewRect().height()
    assert scale * LANE == pytest.approx(LANE_MIN, rel=0.02), "names and curves go together"
    for au in tuple(ACTION_UNITS)[3:]:
        click_row(desk, au)
    assert not traces._scroll.isVisible()
    assert seen() == [1, 2, 4]


def test_the_time_span_is_chosen_by_click(make_desk: MakeDesk) -> None:
    desk = make_desk()
    QTest.mouseClick(desk.window.traces._span.button(2), LEFT)
    assert desk.window.traces.seconds == 30
    assert desk.window.settings.curve_seconds == 30


def test_rows_fit_800_pixels_without_scrolling(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.window.resize(1280, 800)
    QApplication.processEvents()
    rows = desk.window.panel.rows
    assert len(rows.aus) == 23
    assert rows.row_height * 23 <= rows.parentWidget().height()


def test_row_tells_muscle_grade_and_presence(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    told = desk.window.panel.rows.describe(desk.window.panel.rows.aus.index(12))
    face = desk.bridge.latest.faces[0]
    value = float(face.result.intensity[desk.bridge.latest.aus.index(12)])
    assert "AU12 Lip corner puller" in told
    assert "zygomaticus major" in told
    assert f"{value:.1f} of 5, {grade(value)}" in told


def test_trust_is_shown_and_explained(make_desk: MakeDesk) -> None:
    panel = make_desk().window.panel
    panel.set_aus((2, 4, 12), {"2": "usable", "4": "experimental", "12": "good"})
    assert [panel.rows.trust[au] for au in (2, 4, 12)] == ["usable", "experimental", "good"]
    for row, word in enumerate(("Usable", "Experimental", "Good")):
        assert word in panel.rows.describe(row)
    assert panel._legend.isVisible()
    assert panel._legend.text() == "Trust: plain good, dashed usable, dotted experimental"
    panel.set_aus((2, 4), {"2": "experimental", "4": "experimental"})
    assert panel._legend.text() == "Trust: all experimental, not yet proven on real faces"
    panel.set_aus((12,), {"12": "good"})
    assert not panel._legend.isVisible()


def test_another_model_of_the_same_name_has_its_own_rows_lanes_marks_and_chips(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(curve_aus=(1, 12))))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)  # so that nothing but the model changes
    window = desk.window
    desk.pipeline.set_engine(lambda: FakeEngine(aus=(4, 12), flow=False, trust={"12": "usable"}))
    wait_until(lambda: window.panel.rows.aus == (4, 12))
    assert window.traces.lanes == (12,)
    assert window.panel.rows.trust == {12: "usable"}
    assert not window.stage.chips["flow"].isEnabled()
    desk.pipeline.set_engine(lambda: FakeEngine(aus=(4, 12), flow=False, trust={"12": "good"}))
    wait_until(lambda: window.panel.rows.trust == {12: "good"})  # the same weights, audited anew


def test_a_picture_that_stands_has_no_values_under_the_names_of_another_model(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(curve_aus=(6,)), engine={"aus": (4, 12)}))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    rows, traces = desk.window.panel.rows, desk.window.traces
    assert rows._intensity is not None
    desk.pipeline.set_engine(lambda: FakeEngine(aus=(6, 25)))
    wait_until(lambda: rows.aus == (6, 25))
    click_row(desk, 25)
    desk.window.select_face(0)
    assert rows._intensity is None
    assert all(curve.xData is None for curve in traces._curves.values())
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: rows._intensity is not None)
    assert all(len(curve.xData) for curve in traces._curves.values())


# -- running and recording ------------------------------------------------------------------------------------


def test_space_pauses_and_goes_on(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    assert desk.window.top.run.label == "Pause"
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.window.top.run.label == "Resume")
    assert "Paused" in desk.window.line.text
    assert "frames/s" not in desk.window.line.text, "rates would tell of a moment ago"
    QTest.mouseClick(desk.window.top.run, LEFT)
    wait_until(lambda: desk.window.top.run.label == "Pause")


def test_a_pause_of_a_source_that_is_lost_can_be_taken_back(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = live(make_desk())
    lost = replace(desk.pipeline.status(), state=State.RECONNECTING, paused=True)
    desk.window.top.show_status(lost)
    assert desk.window.top.run.label == "Resume"
    asked: list[str] = []
    monkeypatch.setattr(desk.pipeline, "status", lambda: lost)
    monkeypatch.setattr(desk.pipeline, "resume", lambda: asked.append("resume"))
    desk.window.toggle_run()
    assert asked == ["resume"]


def test_space_on_a_focused_button_presses_the_button(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    chip = desk.window.stage.chips["pose"]
    chip.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(chip, Qt.Key.Key_Space)
    assert chip.isChecked()
    QTest.qWait(150)
    assert desk.bridge.status.state is State.LIVE


def test_record_and_stop_leaves_a_readable_session(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    button = desk.window.top.record
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: desk.bridge.status.recording is not None and desk.bridge.status.recording.rows > 5)
    assert button.accessibleName().startswith("Stop recording, 0:0")
    assert button._running.startswith("Stop   0:0"), "who sees it knows what a click does"
    folder = desk.bridge.status.recording.folder
    QTest.mouseClick(button, LEFT)
    banner = desk.window.stage.banner
    assert folder.name in banner.text
    wait_until(lambda: button.accessibleName() == "Record")
    facts, columns = read_session(folder)
    assert facts["status"] == "complete"
    assert len(columns["AU12_r"]) > 5
    QTest.mouseClick(banner._button, LEFT)
    assert desk.opened == [folder]
    assert not banner.isVisible()


def test_a_recording_made_in_a_pause_says_that_no_frame_came(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    QTest.qWait(100)  # what was on its way has come
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: desk.window.top.record.accessibleName().startswith("Stop recording, paused, 0:00"))
    assert not desk.window.top.record._timer.isActive()
    folder = desk.bridge.status.recording.folder
    press(desk, Qt.Key.Key_R)
    banner = desk.window.stage.banner
    assert (banner.severity, banner.text) == (
        "warning",
        f"No frame came while it recorded; {folder.name} holds no rows.",
    )


def test_a_video_is_recorded_from_its_middle_or_from_its_beginning(make_desk: MakeDesk) -> None:
    desk = make_desk(open_source=camera_opener(frames=60, fps=30.0))
    banner = desk.window.stage.banner
    desk.window.open_file("clip.mp4")
    wait_until(lambda: (desk.bridge.status.position_s or 0) > 0.2)
    press(desk, Qt.Key.Key_R)
    assert banner.text.startswith("Recording from 0:00.")
    assert banner._button.label == "Start from the beginning"
    wait_until(lambda: desk.bridge.status.recording and desk.bridge.status.recording.rows > 2)
    first = desk.bridge.status.recording.folder
    QTest.mouseClick(banner._button, LEFT)
    assert banner.text == f"Recording from the beginning; what came before is kept in {first.name}"
    wait_until(lambda: desk.window.top.run.label == "Play again")
    wait_until(lambda: "is saved in" in banner.text)
    second = desk.bridge.status.notice.folder
    assert read_session(second)[1]["frame"].tolist() == list(range(1, 61))
    QTest.mouseClick(banner._button, LEFT)
    assert desk.opened == [second]
    assert desk.window.top.record.isEnabled()
    QTest.mouseClick(desk.window.top.record, LEFT)
    wait_until(lambda: desk.window.top.run.label == "Pause")
    assert not banner.isVisible(), "it begins at the beginning, as one expects"
    wait_until(lambda: desk.bridge.status.state is State.FINISHED)
    third = desk.bridge.status.notice.folder
    assert read_session(third)[1]["frame"].tolist() == list(range(1, 61))


def test_an_information_is_told_once(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    banner = desk.window.stage.banner
    desk.pipeline.announce("A recording that was cut off is complete.")
    wait_until(banner.isVisible)
    QTest.mouseClick(banner._close, LEFT)
    desk.pipeline.warn("The memory of cuda:0 is full.")
    wait_until(banner.isVisible)
    desk.pipeline.set_engine(FakeEngine)
    wait_until(lambda: not banner.isVisible())
    QTest.qWait(200)
    assert not banner.isVisible()


def test_the_banner_leaves_the_top_of_the_picture_free(make_desk: MakeDesk) -> None:
    desk = make_desk()
    stage = desk.window.stage
    for size in ((1280, 800), (900, 600)):
        desk.window.resize(*size)
        stage.banner.show_message("warning", "Something long enough to need two lines in a narrow window. " * 2)
        QApplication.processEvents()
        assert stage._pages.geometry().contains(stage.banner.geometry())
        assert stage.banner.y() > stage._pages.height() / 2


def test_a_message_in_a_low_window_covers_no_way_in(make_desk: MakeDesk) -> None:
    desk = make_desk()
    stage = desk.window.stage
    desk.window.resize(900, 600)
    wait_until(stage.empty.isVisible)
    stage.banner.show_message("error", "Something long enough to need three lines in a narrow window. " * 3)
    QApplication.processEvents()
    for button in (stage.empty.demo, stage.empty.file):
        assert button.mapTo(stage, button.rect().bottomLeft()).y() < stage.banner.y()


def test_a_folder_that_cannot_be_written_shows_a_banner(make_desk: MakeDesk, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    desk = live(make_desk(Settings(record_root=str(blocked))))
    QTest.mouseClick(desk.window.top.record, LEFT)
    wait_until(desk.window.stage.banner.isVisible)
    assert desk.window.stage.banner.severity == "error"
    assert str(blocked) in desk.window.stage.banner.text
    wait_until(lambda: desk.bridge.status.recording is None)


def test_nothing_to_record_is_said(make_desk: MakeDesk) -> None:
    desk = make_desk()
    wait_until(lambda: desk.bridge.status.state is State.EMPTY)
    assert not desk.window.top.record.isEnabled()
    press(desk, Qt.Key.Key_R)
    assert "choose a camera or a video" in desk.window.stage.banner.text


def test_a_file_that_ended_plays_again(make_desk: MakeDesk) -> None:
    desk = make_desk(open_source=camera_opener(frames=8, fps=60.0))
    desk.window.open_file("clip.mp4")
    wait_until(lambda: desk.window.top.run.label == "Play again")
    assert "Ended" in desk.window.line.text
    opened = threading.Event()
    desk.bridge.add_view(lambda frame: opened.set())
    press(desk, Qt.Key.Key_Space)
    wait_until(opened.is_set)


def test_the_status_line_has_the_numbers(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    wait_until(lambda: "ms to screen" in desk.window.line.text and "CPU" in desk.window.line.text)
    for expected in ("Live", "frames/s", "0 dropped", "320 \N{MULTIPLICATION SIGN} 240"):
        assert expected in desk.window.line.text


# -- sources --------------------------------------------------------------------------------------------------


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


def test_empty_state_starts_a_camera_by_name(make_desk: MakeDesk) -> None:
    desk = make_desk(cameras=(CAMERA,))
    wait_until(desk.window.stage.empty.isVisible)
    buttons = desk.window.stage.empty.findChildren(QAbstractButton)
    (button,) = (b for b in buttons if b.accessibleName() == CAMERA.name)
    QTest.mouseClick(button, LEFT)
    wait_until(lambda: desk.bridge.status.state is State.LIVE)
    assert desk.window.settings.camera == CAMERA.name
    assert desk.window.windowTitle().startswith(CAMERA.name)


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
    desk.window._look_for_cameras()
    assert buttons() == [button]
    assert button.hasFocus()
    cameras.append(SourceSpec("camera", "1", "Another camera"))
    desk.window._look_for_cameras()
    assert [b.accessibleName() for b in buttons()] == [CAMERA.name, "Another camera"]
    (button, _) = buttons()
    QTest.mousePress(button, LEFT)
    desk.window._look_for_cameras()
    QTest.mouseRelease(button, LEFT)
    wait_until(lambda: desk.bridge.status.state is State.LIVE)


def test_the_source_menu_looks_for_cameras_when_it_opens(make_desk: MakeDesk) -> None:
    cameras: list[SourceSpec] = []
    desk = make_desk(cameras=cameras)
    menu = desk.window.top.source.menu_of_sources
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
        return {action.text(): action.icon().pixmap(16).toImage() for action in button.menu_of_sources.actions()}

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


def test_a_lost_camera_is_told_and_taken_back(make_desk: MakeDesk) -> None:
    desk = live(make_desk(open_source=camera_opener(fps=60.0, lost_after=15)))
    wait_until(lambda: desk.window.stage.banner.isVisible())
    assert desk.window.stage.banner.severity == "warning"
    assert "Fake camera" in desk.window.stage.banner.text
    wait_until(lambda: not desk.window.stage.banner.isVisible())


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


# -- faces and mirror -----------------------------------------------------------------------------------------


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


def test_a_picture_without_a_face_leaves_the_panel_empty(make_desk: MakeDesk) -> None:
    desk = live(make_desk(engine={"faces": 0}))
    assert desk.window.panel.rows._intensity is None
    assert desk.window.stage._faces.text() == "No face in the picture"


# -- options, theme, restart ----------------------------------------------------------------------------------


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


def test_a_smoothing_that_is_passed_by_is_not_noted(make_desk: MakeDesk) -> None:
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
    assert [line.rpartition("= ")[2].strip('"') for line in noted] == ["0.21", "0.42", "0.1"]


def test_as_many_faces_can_be_chosen_as_a_flag_may_ask_for(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(max_faces=6)))
    faces = desk.window.options.faces
    assert faces.button(5).isChecked()
    assert faces.button(MOST_FACES - 1).text() == str(MOST_FACES)
    plain = faces.grab().toImage()
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: not faces.isEnabled())
    assert "while a recording goes on" in faces.toolTip()
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
    assert "none.json is missing; name a .safetensors file" in desk.window.stage.banner.text
    weights = asset("models/rtatl-synth.safetensors")
    options.model.chosen.emit(str(weights))
    assert [settings.model for settings in wanted] == [str(weights)]
    assert options.model.text() == "rtatl-synth"


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
    first.window._body.setSizes([500, 399])
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


def test_edited_geometry_does_no_harm(make_desk: MakeDesk) -> None:
    desk = make_desk(Settings(window_geometry="not base64!", window_state="neither.this"))
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


def test_full_screen_and_back(make_desk: MakeDesk) -> None:
    desk = make_desk()
    press(desk, Qt.Key.Key_F11)
    assert desk.window.isFullScreen()
    press(desk, Qt.Key.Key_Escape)
    assert not desk.window.isFullScreen()


# -- small things ---------------------------------------------------------------------------------------------


def test_readable_figures() -> None:
    assert [clock(s) for s in (0, 65.4, 3665)] == ["0:00", "1:05", "1:01:05"]
    assert [readable_size(n) for n in (0, 820_000, 3_400_000, 2_500_000_000)] == [
        "0 kB",
        "820 kB",
        "3.4 MB",
        "2.50 GB",
    ]
    assert [grade(v) for v in (0.2, 1.0, 2.6, 5.0)] == ["absent", "A trace", "C marked", "E maximum"]


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_small_text_can_be_read_on_every_surface(theme: Theme) -> None:
    """4.5 to 1 is what WCAG 2.2 asks of text (level AA)."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    for ink in (theme.text, theme.dim, theme.faint):
        for behind in (theme.stage, theme.window, theme.surface, theme.raised):
            assert contrast(ink, behind) >= 4.5, (ink, behind)
    assert contrast(theme.on_accent, theme.accent) >= 4.5


def test_every_au_has_its_own_colour() -> None:
    assert set(AU_COLOURS) == set(ACTION_UNITS)
    for column in range(2):
        assert len({pair[column] for pair in AU_COLOURS.values()}) == len(AU_COLOURS)


def test_default_curves_differ_for_colour_blind_eyes() -> None:
    """Machado et al. 2009, severity 1, in linear RGB: the six default AUs stay apart for red- and green-blind eyes."""
    machado = {
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    }
    colours = [AU_COLOURS[au][0] for au in Settings().curve_aus]
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours])
    for matrix in machado.values():
        seen = (np.clip(rgb**2.2 @ np.array(matrix).T, 0, 1)) ** (1 / 2.2)
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 9 * np.eye(len(seen))
        assert distance.min() > 0.15


def test_the_app_icon_is_drawn(qapp: QApplication) -> None:
    image = app_icon().pixmap(64, 64).toImage()
    assert image.pixelColor(32, 20).alpha() == 255
    assert image.pixelColor(0, 0).alpha() == 0
