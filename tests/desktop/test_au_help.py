"""The card that explains an AU, and the two halves of its bar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QHelpEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from au_desktop.ui import au_help
from au_desktop.ui.au_rows import AURows
from au_desktop.ui.theme import Look
from rtatl_core.facs import ACTION_UNITS

AUS = (1, 6, 12)


@pytest.fixture
def atlas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Pictures for AU12 alone: red, green, blue."""
    image = QImage(3 * 32, 32, QImage.Format.Format_RGB888)
    for part, colour in enumerate((Qt.GlobalColor.red, Qt.GlobalColor.green, Qt.GlobalColor.blue)):
        for x in range(32):
            for y in range(32):
                image.setPixelColor(part * 32 + x, y, colour)
    (tmp_path / "atlas").mkdir()
    image.save(str(tmp_path / "atlas" / "AU12.png"))
    (tmp_path / "atlas" / "AU12.png").rename(tmp_path / "atlas" / "AU12.jpg")
    monkeypatch.setattr(au_help, "asset", lambda name: tmp_path / name)
    au_help.atlas_faces.cache_clear()
    yield tmp_path
    au_help.atlas_faces.cache_clear()


@pytest.fixture
def rows(look: Look, atlas: Path) -> Iterator[AURows]:
    made = AURows(look, lambda _: None)
    made.aus, made.trust = AUS, {12: "good"}
    made.resize(420, 3 * 30)
    made.move(600, 200)
    made.show()
    QTest.qWaitForWindowExposed(made)
    yield made
    made.help.hide()
    made.close()
    made.deleteLater()


def point(rows: AURows, row: int) -> QPoint:
    return rows.row_rect(row).center()


def rest_on(rows: AURows, row: int) -> None:
    at = point(rows, row)
    QApplication.sendEvent(rows, QHelpEvent(QHelpEvent.Type.ToolTip, at, rows.mapToGlobal(at)))


def test_resting_on_a_row_explains_its_au(rows: AURows) -> None:
    rest_on(rows, 2)
    assert rows.help.isVisible()
    assert rows.help.au == 12
    assert ACTION_UNITS[12].look in rows.help._text.text()
    assert not rows.help._pictures.isHidden()
    colours = [face.pixmap().toImage().pixelColor(20, 20) for face in rows.help._faces]
    assert [max(("red", "green", "blue"), key=lambda c: getattr(colour, c)()) for colour in colours] == [
        "red",
        "green",
        "blue",
    ]


def test_the_card_covers_no_row_and_follows_the_pointer(rows: AURows) -> None:
    rest_on(rows, 2)
    own = QRect(rows.mapToGlobal(QPoint(0, 0)), rows.size())
    assert not rows.help.geometry().intersects(own)
    QTest.mouseMove(rows, point(rows, 0))
    rows._hover(0)
    assert rows.help.au == 1
    assert rows.help._pictures.isHidden()  # the atlas has no AU1 here: text alone
    rows._hover(-1)


def test_the_card_follows_its_window_to_another_screen(rows: AURows, monkeypatch: pytest.MonkeyPatch) -> None:
    before = SimpleNamespace(availableGeometry=lambda: QRect(1000, 0, 800, 800))  # right of the one it is on now
    monkeypatch.setattr(rows.help, "screen", lambda: before)
    rest_on(rows, 1)
    assert rows.help.geometry().right() < rows.mapToGlobal(QPoint(0, 0)).x(), "on the left, where there is room"


def test_the_card_tells_the_values_of_its_row(rows: AURows) -> None:
    """They go on while it is open."""
    rest_on(rows, 2)
    for value in (3.0, 0.2):
        rows.show_values(np.array([0, 0, value], np.float32), np.zeros(3, np.float32))
        rows.settle()
        assert f"{value:.1f} of 5" in rows.help._text.text()


def test_a_card_is_as_high_as_what_it_holds(rows: AURows) -> None:
    """On a screen of a few lines too: captions stay below their faces."""
    rest_on(rows, 2)
    rows.help.tell("word " * 600)
    assert rows.help.height() > rows.help.screen().availableGeometry().height()
    assert rows.help._pictures.height() >= rows.help._pictures.sizeHint().height() > au_help.FACE
    rows.help.tell("line")
    assert rows.help.height() < 2 * au_help.FACE


def test_the_card_is_written_in_weights_that_come_with_the_program(rows: AURows) -> None:
    """Bold would be Qt's own, smeared."""
    rest_on(rows, 2)
    told = rows.help._text.text()
    assert "AU12 Lip corner puller</span>" in told
    assert "<b>" not in told
    rows.setFocus()
    assert rows.accessibleDescription().startswith("AU1 Inner brow raiser. frontalis, pars medialis. The inner ")


def test_leaving_closes_the_card(rows: AURows) -> None:
    rest_on(rows, 1)
    assert rows.help.isVisible()
    rows.hide()
    assert not rows.help.isVisible()


def test_the_keyboard_opens_moves_and_closes_it(rows: AURows) -> None:
    rows.setFocus()
    QTest.keyClick(rows, Qt.Key.Key_Down)
    QTest.keyClick(rows, Qt.Key.Key_Question)
    assert rows.help.isVisible()
    assert rows.help.au == 6
    QTest.keyClick(rows, Qt.Key.Key_Down)
    assert rows.help.au == 12
    QTest.keyClick(rows, Qt.Key.Key_Escape)
    assert not rows.help.isVisible()


def test_sides_are_told_and_drawn_apart(rows: AURows) -> None:
    intensity, occurrence = np.array([0, 0, 2.5], np.float32), np.array([0, 0, 1], np.float32)
    sides = np.array([[0, 0], [0, 0], [4, 1]], np.float32)
    rows.show_values(intensity, occurrence, sides)
    assert "Subject's left 4.0, right 1.0" in rows.describe(2)
    image = rows.grab().toImage()
    x0, x1 = rows.bar_span()
    middle, at = rows._middle(2), x0 + int(2.5 / 5 * (x1 - x0))
    ratio = image.devicePixelRatio()
    upper, lower = (image.pixelColor(int(at * ratio), int((middle + dy) * ratio)) for dy in (-2, 1))
    track = rows._look.colour("track")
    assert upper != track
    assert lower == track
    rows.show_values(intensity, occurrence, np.array([[0, 0], [0, 0], [2.5, 2.5]], np.float32))
    image = rows.grab().toImage()
    at = x0 + int(2.2 / 5 * (x1 - x0))
    upper, lower = (image.pixelColor(int(at * ratio), int((middle + dy) * ratio)) for dy in (-2, 1))
    assert upper == lower != track


def test_every_au_is_described() -> None:
    for unit in ACTION_UNITS.values():
        assert unit.look.endswith(".")
        assert 30 < len(unit.look) < 130
