"""The window that shows a recorded session: opened, read at a moment, zoomed and moved, as a person does it."""

from __future__ import annotations

import html
import itertools
import json
import math
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QHelpEvent, QImage, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QWidget

from au_desktop.ui.controls import OneLine
from au_desktop.ui.session_picture import SessionPicture, Wanted
from au_desktop.ui.session_plot import SessionPlot, thinned, with_strokes
from au_desktop.ui.session_window import Contents, SessionWindow, load
from au_desktop.ui.theme import DARK, LIGHT, Look, font, over_picture
from rtatl_core.errors import SessionError
from rtatl_core.handoffs import UInt8
from rtatl_core.sessions.pictures import SessionPictures
from tests.clips import number_of, write_clip
from tests.desktop.conftest import MakeDesk, wait_until
from tests.desktop.hands import LEFT, live, looked_at, press, session_window

HEADER = "frame,face_id,timestamp,success,AU01_r,AU12_r,AU01_c,AU12_c,AU01_left,AU12_left,AU01_right,AU12_right"
SECONDS = 100


def row(frame: int, face: int | str, smile: float) -> str:
    """At ten frames per second. AU1 counts the frames of a hundred up to 5, and is stronger on the left."""
    if face == "":
        return f"{frame},,{(frame - 1) / 10},0,,,,,,,,"
    brow = frame % 100 / 20
    sides = f"{brow + 0.5},{smile},{brow - 0.5},{smile}"
    return f"{frame},{face},{(frame - 1) / 10},1,{brow},{smile},{int(brow >= 1)},{int(smile >= 1)},{sides}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A hundred seconds; nobody is seen from 50 to 60 s, and a marker is set at 20 s."""
    made = tmp_path / "P01_2026-01-02T03-04-05"
    made.mkdir()
    lines = [row(n, "" if 500 <= n < 600 else 0, 3) for n in range(1, 10 * SECONDS + 2)]
    (made / "frames.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    events = ['0,1,recording_start,""', "20.0,201,marker,1", '20.2,203,warning,"The light, it seems, is low."']
    (made / "events.csv").write_text("\n".join(["timestamp,frame,kind,label", *events]) + "\n")
    facts = {
        "status": "complete",
        "model": {"name": "fake-1", "trust": {"1": "good", "12": "experimental"}},
        "settings": {"max_faces": 1, "rest": {"subtracted": {}}},
        "counts": {"dropped": 1234},
    }
    (made / "session.json").write_text(json.dumps(facts))
    return made


def show(look: Look, folder: Path, opened: list[Path] | None = None) -> tuple[SessionWindow, QWidget]:
    parent = QWidget()
    where = opened if opened is not None else []
    window = SessionWindow(look, load(folder), frozenset({1, 12, 43}), where.append, parent)
    window.show()
    assert QTest.qWaitForWindowExposed(window)
    return window, parent


def point(plot: SessionPlot, kind: QEvent.Type, x: float, held: Qt.MouseButton = Qt.MouseButton.NoButton) -> None:
    """The mouse over the curves, ``held``: the button that is pressed or released now."""
    at = QPointF(x, 100)
    pressed = held if kind is not QEvent.Type.MouseMove else Qt.MouseButton.NoButton
    event = QMouseEvent(kind, at, plot._plot.viewport().mapToGlobal(at), pressed, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(plot._plot.viewport(), event)


def wheel(plot: SessionPlot, x: float, steps: int, *, sideways: int = 0, pixels: int = 0) -> None:
    """sideways: steps, too; pixels: what a touchpad tells besides."""
    at = QPointF(x, 100)
    event = QWheelEvent(
        at,
        plot._plot.viewport().mapToGlobal(at),
        QPoint(pixels, 0),
        QPoint(120 * sideways, 120 * steps),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(plot._plot.viewport(), event)


def values(window: SessionWindow) -> list[float] | None:
    told = window.panel.rows._intensity
    return None if told is None else [round(float(value), 3) for value in told]


def test_a_recording_is_looked_at_by_the_button_of_its_message(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: desk.bridge.status.recording is not None and desk.bridge.status.recording.rows > 5)
    press(desk, Qt.Key.Key_M)
    press(desk, Qt.Key.Key_R)
    banner = desk.window.stage.banner
    assert banner._button.label == "Look at it"
    QTest.mouseClick(banner._button, LEFT)
    window = session_window(desk)
    assert window.panel.rows.aus == desk.bridge.status.aus
    assert set(window.plot.lanes) == set(desk.window.settings.curve_aus)
    assert [event.kind for event in window.plot._events] == ["marker"]
    assert values(window) is not None
    folder = window.findChildren(QLabel)
    assert any("complete" in label.text() for label in folder)
    window.close()


def test_what_is_known_of_the_whole_stands_above(look: Look, folder: Path) -> None:
    facts = load(folder).facts
    assert facts.split("  \N{MIDDLE DOT}  ") == [
        "1:40",
        "complete",
        "a face in 90% of 1,001 frames",
        "1,234 dropped",
        "fake-1",
        "counts from a rest",
    ]


def test_the_panel_reads_the_moment_at_the_pointer(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    plot = window.plot
    assert plot.lanes == (1, 12)
    point(plot, QEvent.Type.MouseMove, plot.pixel_of(33.33))
    frame = round(plot.now * 10) + 1
    assert abs(plot.now - 33.33) <= 0.1
    assert window._moment.text() == f"0:{plot.now:.2f}  frame {frame}"
    assert values(window) == [round(frame % 100 / 20, 3), 3.0]
    sides = window.panel.rows._sides
    assert sides is not None
    assert float(sides[0, 0] - sides[0, 1]) == pytest.approx(1)  # as the rows have them
    point(plot, QEvent.Type.MouseMove, plot.pixel_of(55))
    assert values(window) is None, "nobody was seen then"


def test_the_wheel_zooms_about_the_pointer_and_a_drag_moves(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    plot = window.plot
    assert plot.view == (0, SECONDS)
    x = plot.pixel_of(30)
    wheel(plot, x, 4)
    first, last = plot.view
    assert last - first == pytest.approx(SECONDS / 1.25**4)
    assert plot.pixel_of(30) == pytest.approx(x, abs=1)
    assert plot._box.viewRange()[0] == pytest.approx([first, last])
    point(plot, QEvent.Type.MouseButtonPress, x, LEFT)
    point(plot, QEvent.Type.MouseMove, x - 50, LEFT)
    assert plot.pixel_of(30) == pytest.approx(x - 50, abs=1)
    point(plot, QEvent.Type.MouseMove, x + 5000, LEFT)
    assert plot.view[0] == 0, "there is nothing before the session"
    point(plot, QEvent.Type.MouseButtonRelease, x, LEFT)
    wheel(plot, x, 60)
    assert plot.view[1] - plot.view[0] == pytest.approx(0.5)
    point(plot, QEvent.Type.MouseButtonDblClick, x, LEFT)
    assert plot.view == (0, SECONDS)
    wheel(plot, x, -3)
    assert plot.view == (0, SECONDS)


def test_a_wheel_that_turns_sideways_moves(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    plot = window.plot
    plot.zoom_to(20, 40)
    x = plot.pixel_of(30)
    wheel(plot, x, 0, sideways=1)
    assert plot.pixel_of(30) == pytest.approx(x + 60, abs=1)
    wheel(plot, x, 0, sideways=-1, pixels=-35)  # of a touchpad, which tells pixels
    assert plot.pixel_of(30) == pytest.approx(x + 25, abs=1)
    assert plot.view[1] - plot.view[0] == pytest.approx(20)


def test_only_the_button_that_holds_it_lets_it_go(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    plot = window.plot
    plot.zoom_to(20, 40)
    x = plot.pixel_of(30)
    point(plot, QEvent.Type.MouseButtonPress, x, LEFT)
    point(plot, QEvent.Type.MouseButtonPress, x, Qt.MouseButton.RightButton)
    point(plot, QEvent.Type.MouseButtonRelease, x, Qt.MouseButton.RightButton)
    point(plot, QEvent.Type.MouseMove, x - 50, LEFT)
    assert plot.pixel_of(30) == pytest.approx(x - 50, abs=1)


def test_keys_go_through_the_frames_and_to_the_events(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    plot = window.plot
    for key, moment in (
        (Qt.Key.Key_Right, 0.1),
        (Qt.Key.Key_Left, 0),
        (Qt.Key.Key_Left, 0),
        (Qt.Key.Key_PageDown, 20),
        (Qt.Key.Key_End, SECONDS),
        (Qt.Key.Key_PageUp, 20.2),
        (Qt.Key.Key_PageUp, 20),
        (Qt.Key.Key_PageUp, 20),
        (Qt.Key.Key_Home, 0),
    ):
        QTest.keyClick(plot, key)
        assert plot.now == pytest.approx(moment, abs=0.051), key
    QTest.keyClick(plot, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert plot.now == pytest.approx(1)
    for _ in range(12):
        QTest.keyClick(plot, Qt.Key.Key_Plus)
    QTest.keyClick(plot, Qt.Key.Key_End)
    assert plot.view[1] == pytest.approx(SECONDS), "it comes along"
    QTest.keyClick(plot, Qt.Key.Key_Minus)
    assert plot.view[1] - plot.view[0] == pytest.approx(SECONDS / 1.25**11)


def test_page_keys_pass_an_event_between_two_frames(look: Look, folder: Path) -> None:
    with (folder / "events.csv").open("a") as file:
        file.write("40.04,,trial,a\n60.07,,trial,b\n200,,trial,after the end\n")
    window, _parent = show(look, folder)
    moments = []
    for key in (*[Qt.Key.Key_PageDown] * 6, *[Qt.Key.Key_PageUp] * 5):
        QTest.keyClick(window.plot, key)
        moments.append(round(window.plot.now, 1))
    assert moments == [20, 20.2, 40, 60.1, 100, 100, 60.1, 40, 20.2, 20, 20]


def test_screen_readers_are_told_the_moment_its_values_and_its_events(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    plot = window.plot
    for _ in range(8):
        QTest.keyClick(plot, Qt.Key.Key_Plus)
    QTest.keyClick(plot, Qt.Key.Key_PageDown)
    assert plot.accessibleDescription() == "0:20.00  frame 201; AU1 0.1, AU12 3.0; marker 1"
    plot.go_to(55)
    assert plot.accessibleDescription() == "0:55.00  frame 551; no face"


def test_the_curves_show_that_they_have_the_keyboard(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    window.activateWindow()
    assert QTest.qWaitForWindowActive(window)
    accent = look.colour("accent").name()
    assert window.plot.hasFocus()
    window.plot.go_to(50)
    assert accent in colours(window.plot._marks.grab().toImage())
    window.panel.rows.setFocus()
    assert accent not in colours(window.plot._marks.grab().toImage())


def test_labels_have_room_and_lines_let_the_curves_be_seen(look: Look, folder: Path) -> None:
    long = "a label of many words, which are broken\ninto lines, and of which nobody knows the end"
    crowd = [f"{30 + n / 1000},,marker,{n}" for n in range(5000)]
    others = [f'10,,trial,"{long}"', '99.9,,trial,"the end of it"']
    (folder / "events.csv").write_text("\n".join(["timestamp,frame,kind,label", *crowd, *others]) + "\n")
    window, _parent = show(look, folder)
    plot, metrics = window.plot, QFontMetricsF(font(11, QFont.Weight.Medium))
    ends = [(x, x + metrics.horizontalAdvance(name)) for x, name in plot._marks.places()]
    assert ends[-1][1] <= plot._marks.width()
    assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(ends))
    at, _heights = plot._lines.getData()
    assert len(at) / 2 < 0.06 * plot.width() / 3
    height = plot._hint.height()
    plot.go_to(10)
    QApplication.processEvents()
    assert plot._hint.text() == "trial " + " ".join(long.split())
    assert plot._hint.height() == height
    plot.go_to(32)
    assert plot._hint.text().endswith(" more")
    assert len(plot._hint.text()) < 60
    (last,) = [QFontMetricsF(font(11)).horizontalAdvance(text) for _, text in [plot._ticks()[-1]]]
    assert last / 2 <= plot.width() - plot.pixel_of(SECONDS)


def test_events_stand_above_their_lines_and_are_told_in_full_at_the_pointer(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    plot = window.plot
    assert [(event.kind, event.label) for event in plot.events_in_view()] == [
        ("marker", "1"),
        ("warning", "The light, it seems, is low."),
    ]
    plot.zoom_to(10, 30)
    at, _heights = plot._lines.getData()
    assert at.tolist() == [20, 20, 20.2, 20.2]
    plot.zoom_to(0, SECONDS)
    plot.go_to(20)
    assert plot._hint.text() == "marker 1; warning The light, it seems, is low."
    plot.go_to(90)
    assert plot._hint.text().startswith("Wheel: zoom.")


def test_a_row_adds_its_curve(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    rows = window.panel.rows
    QTest.mouseClick(rows, LEFT, pos=rows.row_rect(0).center())
    assert window.plot.lanes == (12,)
    QTest.mouseClick(rows, LEFT, pos=rows.row_rect(0).center())
    assert window.plot.lanes == (1, 12)
    times, heights = window.plot._curves[12].getData()
    assert times[-1] == SECONDS
    gap = (times > 50) & (times < 59.5)
    assert np.isnan(heights[gap]).all()
    assert np.nanmax(heights) == 3  # the lowest lane begins at 0
    for row_of in (0, 1):
        QTest.mouseClick(rows, LEFT, pos=rows.row_rect(row_of).center())
    assert window.plot._hint.text() == "Click an action unit to show its curve"


def test_people_side_by_side_are_chosen_above(look: Look, folder: Path) -> None:
    lines = [row(n, face, 1 + face) for n in range(1, 101) for face in ((0, 1) if n > 30 else (1,))]
    (folder / "frames.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    facts = json.loads((folder / "session.json").read_text()) | {"settings": {"max_faces": 2}}
    (folder / "session.json").write_text(json.dumps(facts))
    window, _parent = show(look, folder)
    assert [window.people.button(i).text() for i in (0, 1)] == ["1", "0"]
    assert values(window) == [0.05, 2.0]
    QTest.mouseClick(window.people.button(1), LEFT)
    assert values(window) is None, "it was not there yet"
    QTest.keyClick(window.plot, Qt.Key.Key_End)
    assert values(window) == [0.0, 1.0]
    window.plot.zoom_to(4, 6)
    QTest.mouseClick(window.people.button(0), LEFT)
    assert window.plot.view == (4, 6)
    assert values(window) == [0.0, 2.0]


def test_nothing_is_shown_beside_the_window(look: Look, folder: Path, qapp: QApplication) -> None:
    lines = [row(n, face, 1) for n in range(1, 101) for face in (0, 1)]
    (folder / "frames.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    (folder / "session.json").write_text(json.dumps({"status": "complete", "settings": {"max_faces": 2}}))
    shown: list[QObject] = []

    class Spy(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
            if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
                shown.append(watched)
            return False

    spy = Spy()
    qapp.installEventFilter(spy)
    window, _parent = show(look, folder)
    qapp.removeEventFilter(spy)
    assert shown == [window]
    assert window.people.isVisible()


def test_long_names_are_cut_and_told_by_the_tip(look: Look, folder: Path) -> None:
    facts = json.loads((folder / "session.json").read_text()) | {"status": "interrupted, <b>since</b> the disk " * 20}
    (folder / "session.json").write_text(json.dumps(facts))
    longer = folder.rename(folder.with_name("<b>" + "x" * 200))
    window, _parent = show(look, longer)
    window.resize(700, 450)
    QApplication.processEvents()
    assert window.width() == 700
    for line in window.findChildren(OneLine):
        if line.text() in (longer.name, load(longer).facts):
            assert line.shown().endswith("\N{HORIZONTAL ELLIPSIS}")
            QApplication.sendEvent(line, QHelpEvent(QEvent.Type.ToolTip, QPoint(), QPoint()))
            assert html.escape(line.text()) in line.toolTip()
            assert len(colours(line.grab().toImage())) > 2


def test_escape_closes_the_card_of_an_au_first(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    window.activateWindow()
    assert QTest.qWaitForWindowActive(window)
    rows = window.panel.rows
    QTest.keyClick(rows, Qt.Key.Key_Question)
    assert rows.help.isVisible()
    QTest.keyClick(window, Qt.Key.Key_Escape)
    assert not rows.help.isVisible()
    assert window.isVisible()
    QTest.keyClick(window, Qt.Key.Key_Escape)
    assert not window.isVisible()


def test_of_a_crowd_those_seen_longest_are_offered(look: Look, folder: Path) -> None:
    lines = [row(n, face, 2) for n in range(1, 41) for face in range(n)]
    (folder / "frames.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    (folder / "session.json").write_text(json.dumps({"status": "complete", "settings": {"max_faces": 40}}))
    contents = load(folder)
    assert [person.ids for person in contents.people] == [str(n) for n in range(8)]
    assert "40 faces, of which 8 can be chosen" in contents.facts


def test_photos_follow_each_other_by_number(look: Look, folder: Path) -> None:
    lines = [f"{n},{face},,1,{n},{face},1,1,,,," for n in (1, 2, 3) for face in (0, 1)]
    (folder / "frames.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    window, _parent = show(look, folder)
    QTest.keyClick(window.plot, Qt.Key.Key_Right)
    assert window._moment.text() == "photo 2"
    assert values(window) == [2.0, 0.0]  # of the largest face
    assert [text for _, text in window.plot._ticks()] == ["1", "2", "3"]


@pytest.mark.parametrize("frames", ["", HEADER + "\n", HEADER + "\n1,,0.0,0,,,,,,,,\n"])
def test_an_empty_session_can_be_looked_at_and_a_broken_one_says_why(look: Look, folder: Path, frames: str) -> None:
    (folder / "frames.csv").write_text(frames)
    (folder / "events.csv").unlink()
    if not frames:
        with pytest.raises(SessionError, match="it has no header"):
            load(folder)
        return
    window, _parent = show(look, folder)
    assert values(window) is None
    for key in (Qt.Key.Key_Right, Qt.Key.Key_End, Qt.Key.Key_PageDown, Qt.Key.Key_Plus):
        QTest.keyClick(window.plot, key)
    wheel(window.plot, 300, 2)
    point(window.plot, QEvent.Type.MouseMove, 300)


def test_it_opens_by_the_dialog_for_files_and_closes_with_escape(
    make_desk: MakeDesk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(folder / "frames.csv"), ""))
    press(desk, Qt.Key.Key_O)
    window = session_window(desk)
    QTest.mouseClick(next(b for b in window.findChildren(type(desk.window.top.run)) if b.label == "Open folder"), LEFT)
    assert desk.opened == [folder]
    QTest.keyClick(window, Qt.Key.Key_Escape)
    wait_until(lambda: not desk.window.findChildren(SessionWindow))
    (folder / "frames.csv").write_text("nothing")
    desk.window.choose_file()
    banner = desk.window.stage.banner
    wait_until(banner.isVisible)
    assert banner.severity == "warning"
    assert "frames.csv cannot be read (it has no header)" in banner.text


def test_what_takes_long_to_read_is_told_and_comes_one_by_one(
    make_desk: MakeDesk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, ends = make_desk(), threading.Event()

    def slowly(where: Path) -> Contents:
        ends.wait(10)
        return load(where)

    monkeypatch.setattr("au_desktop.ui.recording.load", slowly)
    recording = desk.window.recording
    recording.look_at(folder)
    assert f"Reading {folder.name}" in desk.window.line.text
    recording.look_at(folder.parent)
    assert "Another session is still being read" in desk.window.line.text
    ends.set()
    assert looked_at(desk) == folder
    assert "read" not in desk.window.line.text


def test_it_opens_from_the_settings(make_desk: MakeDesk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make_desk()
    asked: list[str] = []

    def choose(_parent: QWidget, _title: str, root: str) -> str:
        asked.append(root)
        return str(folder) if len(asked) > 1 else ""

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", choose)
    for _ in range(2):  # the first time the person thinks better of it
        QTest.mouseClick(desk.window.top.options, LEFT)
        buttons = desk.window.options.findChildren(type(desk.window.top.run))
        QTest.mouseClick(next(button for button in buttons if button.label == "Look at one…"), LEFT)
    assert asked == [desk.window.settings.record_root] * 2
    assert looked_at(desk) == folder


def test_the_theme_changes_it_too(look: Look, folder: Path) -> None:
    window, _parent = show(look, folder)
    for choice, theme in (("light", LIGHT), ("dark", DARK)):
        look.choose(choice)
        corner = window.plot.grab().toImage().pixelColor(3, 3).name()
        assert corner == theme.surface.lower()


def test_hours_are_thinned_without_losing_a_peak() -> None:
    times = np.arange(400_000) / 30
    curve = np.zeros((len(times), 2), np.float32)
    curve[123_456, 0] = 5
    curve[200_000:300_000, 1] = np.nan
    few, thin = thinned(times, curve, 1000)
    assert len(few) == 2000
    assert thin[:, 0].max() == 5
    assert abs(few[thin[:, 0].argmax()] - times[123_456]) < 400 / 30
    assert np.isnan(thin[(few > times[200_400]) & (few < times[299_000]), 1]).all()
    same, all_of_it = thinned(times[:2000], curve[:2000], 1000)
    assert len(same) == len(all_of_it) == 2000


def test_a_photo_between_two_without_a_face_has_a_stroke() -> None:
    values = np.array([[1], [np.nan], [2], [np.nan], [3], [4], [np.nan], [5]], np.float32)
    times, heights = with_strokes(np.arange(8.0), values, 0.25)
    assert times.tolist() == [-0.25, 0.25, 1, 1.75, 2.25, 3, 4, 5, 6, 6.75, 7.25]
    np.testing.assert_array_equal(heights[:, 0], [1, 1, np.nan, 2, 2, np.nan, 3, 4, np.nan, 5, 5])
    none = np.empty((0, 1), np.float32)
    assert len(with_strokes(np.empty(0), none, 0.25)[0]) == 0


def test_the_only_frame_of_a_session_is_seen(look: Look, folder: Path) -> None:
    (folder / "frames.csv").write_text("\n".join([HEADER, row(1, 0, 3)]) + "\n")
    window, _parent = show(look, folder)
    times, _heights = window.plot._curves[12].getData()
    assert [round(window.plot.pixel_of(at) - window.plot.pixel_of(0), 1) for at in times] == [-2.5, 2.5]


@pytest.fixture
def filmed(folder: Path) -> Path:
    """The session, with the picture kept from 10 s on; a face box in its middle."""
    write_clip(folder / "video.mkv", 1200, size=(96, 64))
    facts = json.loads((folder / "session.json").read_text())
    facts |= {"source": {"kind": "camera"}, "videos": [{"file": "video.mkv", "begins_s": 10.0}]}
    (folder / "session.json").write_text(json.dumps(facts))
    header, *lines = (folder / "frames.csv").read_text().splitlines()
    boxes = [f"{line},{'40,20,60,40' if line.split(',')[3] == '1' else ',,,'}" for line in lines]
    (folder / "frames.csv").write_text("\n".join([f"{header},face_x0,face_y0,face_x1,face_y1", *boxes]) + "\n")
    return folder


def test_the_picture_of_the_moment_stands_above_the_curves(look: Look, filmed: Path) -> None:
    window, _parent = show(look, filmed)
    picture = window.picture
    assert picture is not None
    for moment in (20.0, 33.4, 55.0, 12.2):
        window.plot.go_to(moment)
    wait_until(lambda: picture.shown is not None and picture.shown.timestamp == pytest.approx(12.2))
    assert picture.image is not None
    assert number_of(picture.image) == round((12.2 - 10) * 25 + 1) % 25
    wide = picture.grab().toImage()
    whole = picture.seen()
    assert (whole.width(), whole.height()) == (96, 64)
    QTest.mouseClick(picture, LEFT)
    near = picture.seen()
    assert near.height() == 30
    assert near.contains(QRect(40, 20, 20, 20))
    assert picture.grab().toImage() != wide
    QTest.keyClick(picture, Qt.Key.Key_Space)
    assert picture.seen() == whole
    QTest.mouseClick(picture, Qt.MouseButton.RightButton)
    assert picture.seen() == whole
    window.plot.go_to(55)  # nobody is seen, but the room
    wait_until(lambda: picture.shown is not None and picture.shown.timestamp == pytest.approx(55))
    assert picture.image is not None
    QTest.mouseClick(picture, LEFT)
    assert picture.seen() == whole
    window.plot.go_to(5)
    wait_until(lambda: picture.image is None)
    assert picture.grab().toImage() != wide


def test_the_keyboard_reaches_the_picture_and_the_box_is_seen_on_it(look: Look, filmed: Path) -> None:
    look.choose("light")
    window, _parent = show(look, filmed)
    picture = window.picture
    assert picture is not None
    window.activateWindow()
    assert QTest.qWaitForWindowActive(window)
    window.plot.go_to(20)
    wait_until(lambda: picture.shown is not None and picture.shown.timestamp == 20)
    calm = picture.grab().toImage()
    assert over_picture("selected").name() in colours(calm)
    assert look.colour("accent").name() not in colours(calm)
    picture.setFocus(Qt.FocusReason.TabFocusReason)
    assert look.colour("accent").name() in colours(picture.grab().toImage())
    assert picture.accessibleDescription() == "Click to see the face from near"
    assert picture.focusPolicy() is Qt.FocusPolicy.TabFocus


def colours(image: QImage) -> set[str]:
    return {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}


def test_pictures_that_are_gone_leave_the_curves_alone(look: Look, filmed: Path) -> None:
    (filmed / "video.mkv").unlink()
    window, _parent = show(look, filmed)
    assert window.picture is None
    assert window.plot.isVisible()


class SlowPictures(SessionPictures):
    """Decodes until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.ends = threading.Event()

    def at(self, frame: int, timestamp: float) -> UInt8 | None:
        self.asked.append(frame)
        self.ends.wait(10)
        return np.full((60, 80, 3), 128, np.uint8)


def test_it_can_be_closed_while_a_picture_is_decoded(
    look: Look, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent, slow = QWidget(), SlowPictures()
    pictures, asked = weakref.ref(slow), slow.asked
    window = SessionWindow(look, replace(load(folder), pictures=slow), frozenset({1}), print, parent)
    window.show()
    wait_until(lambda: asked)
    window.plot.go_to(9)
    window.close()
    del window
    wait_until(lambda: not parent.findChildren(SessionWindow))
    slow.ends.set()
    del slow
    wait_until(lambda: not any(thread.name == "picture" for thread in threading.enumerate()))
    QApplication.processEvents()
    assert pictures() is None, "its video may be thrown away now"
    assert asked == [1], "nobody waits for the next one"
    assert "Error" not in capsys.readouterr().err


@pytest.mark.parametrize("size", [(160, 400), (400, 160)])
def test_a_face_from_near_is_seen_whole_in_any_room(look: Look, size: tuple[int, int]) -> None:
    pictures = SlowPictures()
    pictures.ends.set()
    picture = SessionPicture(look, pictures)
    picture.resize(*size)
    for box in ((20.0, 10.0, 44.0, 40.0), (79.0, 30.0, 79.0, 30.0)):  # and one without any size
        picture.show_moment(Wanted(round(box[0]), 0.0, box))
        wait_until(lambda box=box: picture.shown is not None and picture.shown.box == box)
        picture._see(near=True)
        assert picture.seen().contains(
            QRect(QPoint(round(box[0]), round(box[1])), QPoint(round(box[2]), round(box[3])))
        )
        assert not picture.seen().isEmpty()


def test_a_picture_that_is_there_is_not_decoded_again(look: Look, folder: Path) -> None:
    slow = SlowPictures()
    slow.ends.set()
    picture = SessionPicture(look, slow)
    for box in ((10.0, 10.0, 30.0, 30.0), (40.0, 10.0, 60.0, 30.0)):  # of two faces
        wanted = Wanted(7, 0.6, box)
        picture.show_moment(wanted)
        wait_until(lambda wanted=wanted: picture.shown == wanted)
    picture.show_moment(Wanted(7, 0.6, (math.nan,) * 4))
    assert slow.asked == [7]
