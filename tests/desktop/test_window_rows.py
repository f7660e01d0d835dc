"""The AU panel and the curves, driven by clicks and keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QCursor, QHelpEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolTip, QWidget

from au_desktop.runtime.status import State
from au_desktop.settings import Settings
from au_desktop.ui.au_rows import grade
from au_desktop.ui.lanes import LANE, LANE_MIN
from rtatl_core.errors import SourceError
from rtatl_core.facs import ACTION_UNITS
from rtatl_core.handoffs import AnalysedFrame, FramePacket
from tests.desktop.conftest import MakeDesk, wait_until
from tests.desktop.fakes import AUS, FILE, FakeEngine, FakeSource, make_face
from tests.desktop.hands import LEFT, click_row, live, press


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


def test_rows_that_are_scrolled_are_pointed_at_where_they_are_now(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.window.resize(900, 600)
    QApplication.processEvents()
    rows, scroll = desk.window.panel.rows, desk.window.panel._area.verticalScrollBar()
    at = rows.mapToGlobal(rows.row_rect(8).center())
    QCursor.setPos(at)
    wait_until(lambda: rows._hovered == 8)
    rows._help(8)
    scroll.setValue(2 * rows.row_height)
    assert rows._hovered == 10
    assert rows.help.au == rows.aus[10]
    QCursor.setPos(desk.window.mapToGlobal(QPoint(5, 5)))
    wait_until(lambda: rows._hovered == -1)
    rows.setFocus(Qt.FocusReason.TabFocusReason)
    for _ in range(6):
        QTest.keyClick(rows, Qt.Key.Key_Down)
    QTest.keyClick(rows, Qt.Key.Key_Question)
    before = rows.help.y()
    scroll.setValue(scroll.value() + rows.row_height)
    assert rows.help.isVisible()
    assert rows.help.au == rows.aus[6]
    assert rows.help.y() < before, "it stays beside its row"


def test_the_card_goes_when_its_row_is_elsewhere_or_another_window_comes_to_the_front(make_desk: MakeDesk) -> None:
    """It is a window of its own, above all others, and would stay over them, or over the rows."""
    desk = make_desk()
    rows = desk.window.panel.rows
    rows._help(3)
    assert rows.help.isVisible()
    press(desk, Qt.Key.Key_F11)
    wait_until(lambda: not rows.help.isVisible())
    rows._help(3)
    assert rows.help.isVisible()
    other = QWidget()
    other.show()
    other.activateWindow()
    wait_until(lambda: not rows.help.isVisible())
    other.close()


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


def test_a_longer_span_is_filled_while_the_picture_stands(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(curve_aus=(1,), curve_seconds=5)))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    QTest.qWait(100)  # what was on its way has come
    for tenth in range(200):
        packet = replace(desk.bridge.latest.packet, timestamp=100 + tenth / 10)
        desk.pipeline.history.append(AnalysedFrame(packet, (make_face(packet),), AUS))
    QTest.mouseClick(desk.window.traces._span.button(2), LEFT)
    (curve,) = desk.window.traces._curves.values()
    assert curve.xData[0] == pytest.approx(-19.9)


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


def test_the_name_of_the_face_keeps_clear_of_the_button_beside_it(make_desk: MakeDesk) -> None:
    desk = live(make_desk(engine={"faces": 2, "max_faces": 2}))
    name, chip = desk.window.panel._face, desk.window.rest.chip
    wait_until(lambda: name.text() == "Face 0")
    chip.set_label("From rest")
    wait_until(lambda: chip.width() >= chip.sizeHint().width())
    QApplication.processEvents()
    right = name.mapTo(desk.window, name.rect().topRight()).x()
    assert chip.mapTo(desk.window, chip.rect().topLeft()).x() - right > 8


def test_curves_say_what_their_height_means(make_desk: MakeDesk) -> None:
    desk = make_desk()
    traces = desk.window.traces
    for part in (traces._plot.viewport(), traces._lanes):
        at = part.rect().center()
        QApplication.sendEvent(part, QHelpEvent(QEvent.Type.ToolTip, at, part.mapToGlobal(at)))
        assert "from 0, at its line, to 5" in QToolTip.text()
        QToolTip.hideText()
        wait_until(lambda: not QToolTip.isVisible())


def test_trust_is_shown_and_explained(make_desk: MakeDesk) -> None:
    panel = make_desk().window.panel
    panel.set_aus((2, 4, 12), {"2": "usable", "4": "experimental", "12": "good"})
    assert [panel.rows.trust[au] for au in (2, 4, 12)] == ["usable", "experimental", "good"]
    for row, word in enumerate(("Usable", "Experimental", "Good")):
        assert word in panel.rows.describe(row)
    assert panel._legend.isVisible()
    assert panel._legend.text() == "Trust: good, usable (dashed), experimental (dotted)"
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
    desk.pipeline.set_engine(lambda: FakeEngine(aus=(6, 25), work_s=0.5))  # not at once with the picture at rest
    wait_until(lambda: rows.aus == (6, 25))
    click_row(desk, 25)
    desk.window.select_face(0)
    assert rows._intensity is None
    assert all(curve.xData is None for curve in traces._curves.values())
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: rows._intensity is not None)
    wait_until(lambda: all(curve.xData is not None for curve in traces._curves.values()))


@pytest.mark.parametrize("aus", [(4, 12), (6, 25)], ids=["the same AUs", "others"])
def test_a_picture_that_stands_is_read_by_another_model_at_once(aus: tuple[int, ...], make_desk: MakeDesk) -> None:
    """Its values may be there before the window knows of the model."""
    desk = live(make_desk(engine={"aus": (4, 12)}))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    rows = desk.window.panel.rows
    for level in ("good", "usable", "experimental"):
        trust = {"12": level}
        desk.pipeline.set_engine(lambda trust=trust: FakeEngine(aus=aus, trust=trust))  # type: ignore[misc]
        wait_until(lambda trust=trust: desk.bridge.status.model["trust"] == trust)  # type: ignore[misc]
        wait_until(lambda: rows.aus == aus and rows._digits)


def test_values_of_a_source_that_failed_do_not_stay_beside_the_invitation(make_desk: MakeDesk) -> None:
    class Failing(FakeSource):
        def read(self) -> FramePacket | None:
            if self._number >= 20:
                raise SourceError("fake.mp4 cannot be read any more.")
            return super().read()

    engine = {"blind": lambda packet: packet.number > 10}
    desk = make_desk(engine=engine, open_source=lambda spec: Failing(spec, frames=1000))
    rows, traces = desk.window.panel.rows, desk.window.traces
    desk.window.open_source(FILE)
    wait_until(lambda: desk.window._state is State.FAILED)
    assert desk.bridge.latest is not None
    assert desk.window.stage.empty.isVisible()
    assert rows._digits == []
    assert all(curve.xData is None for curve in traces._curves.values())
    assert desk.window.stage._faces.text() == "", "there is no picture in which a face could be"
