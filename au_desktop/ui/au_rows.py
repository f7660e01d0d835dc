"""The AU panel: one row per AU with number, FACS name, a bar on 0-5, the value, and whether the AU occurs.

Enters: the selected face of each frame (or none); leaves: the AUs whose curves a person wants to see. One widget paints
all rows: what stays the same (names, tracks) is cached as a picture, so that 23 rows cost well under a millisecond.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QColor,
    QCursor,
    QFocusEvent,
    QFont,
    QHelpEvent,
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QMoveEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from au_desktop.ui.au_help import AUHelp
from au_desktop.ui.controls import is_space
from au_desktop.ui.theme import Look, font, static_texts
from rtatl_core.facs import ACTION_UNITS, INTENSITY_LETTERS, MAX_INTENSITY, OCCURS
from rtatl_core.handoffs import Float32

ROW_MIN, ROW_MAX = 22, 32
PAD = 20
_NUMBER_X = PAD + 20
_NAME_X = _NUMBER_X + 46
_BAR_X = _NAME_X + 136
_VALUE_W = 34
_BAR_H = 6
DIGITS_EVERY_S = 0.12
"""Bars follow every repaint; figures that change 20 times a second cannot be read."""
SHOWN = 0.05
"""What is less is told as 0.0, and has no bar."""
SIDES_DIFFER = 0.3
"""Sides that differ by at least this much get a half of the bar each, the subject's left above the right."""
TRUST_LINES = {"usable": Qt.PenStyle.DashLine, "experimental": Qt.PenStyle.DotLine}
"""Trust level -> how the AU's name is underlined; good ones are not."""
TRUST_MEANS = {
    "good": "Good: agrees with its reference on real faces.",
    "usable": "Usable: follows its reference on real faces, less exactly.",
    "experimental": "Experimental: not yet proven on real faces.",
}
_GRADES = ("absent", "trace", "slight", "marked", "severe", "maximum")


def grade(value: float) -> str:
    """2.3 -> "B slight": the FACS letter and word nearest to an intensity. Below A an AU counts as absent."""
    if value < 1:
        return _GRADES[0] if value < 0.5 else f"below {INTENSITY_LETTERS[0]}"
    level = int(min(value, MAX_INTENSITY) + 0.5)
    return f"{INTENSITY_LETTERS[level - 1]} {_GRADES[level]}"


class AURows(QWidget):
    """One row per AU. Keyboard: Tab to get here, arrows, Home, End, Space to show or hide a curve, ? for what it is."""

    toggled = Signal(int)
    """The AU whose curve is to be shown or hidden."""
    came_to = Signal(int)
    """The row that the keyboard has moved to."""

    def __init__(self, look: Look, painted: Callable[[float], None]) -> None:
        super().__init__()
        self._look = look
        self._painted = painted
        self.help = AUHelp(look, self)
        self.aus: tuple[int, ...] = ()
        self.chosen: frozenset[int] = frozenset()
        self.trust: Mapping[int, str] = {}
        """AU -> good, usable or experimental."""
        self._intensity: Float32 | None = None
        self._occurrence: Float32 | None = None
        self._sides: Float32 | None = None
        self._digits: list[str] = []
        self._digits_at = 0.0
        self._base: QPixmap | None = None
        self._colours: list[QColor] = []
        self._hovered = -1
        self._current = 0
        self._number_font = font(13, QFont.Weight.DemiBold)
        self._name_font = font(12)
        self._value_font = font(13, QFont.Weight.Medium)
        self._laid_out = static_texts(self._value_font)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Action units")
        look.changed.connect(self.redraw)

    # -- content -----------------------------------------------------------------------------------------

    def set_aus(self, aus: tuple[int, ...], trust: Mapping[int, str]) -> None:
        """Other rows, without values yet; pointer and keyboard stay where there is still a row."""
        self.aus, self.trust = aus, trust
        self._current = max(0, min(self._current, len(aus) - 1))
        self._hovered = self._hovered if self._hovered < len(aus) else -1
        self.help.hide()
        self.show_values(None, None)
        self.redraw()

    def show_values(self, intensity: Float32 | None, occurrence: Float32 | None, sides: Float32 | None = None) -> None:
        """Values in the order of ``aus``; None when there is no face. ``sides``: (n_aus, 2) of the subject's left and
        right, None if the model does not tell them."""
        now = time.perf_counter()
        appeared = (intensity is None) != (self._intensity is None)
        self._intensity, self._occurrence, self._sides = intensity, occurrence, sides
        if appeared or now - self._digits_at >= DIGITS_EVERY_S:
            self._set_digits(now)
        self.update()

    def settle(self) -> None:
        """The picture stands still: the figures shown must be those of this very frame."""
        self._set_digits(time.perf_counter())
        self.update()

    def _set_digits(self, now: float) -> None:
        self._digits = [] if self._intensity is None else [f"{value:.1f}" for value in self._intensity.tolist()]
        self._digits_at = now
        if self.help.isVisible():
            self.help.tell(self.describe(self.aus.index(self.help.au)))

    def redraw(self) -> None:
        self._base = None
        self.updateGeometry()
        self.update()

    # -- geometry ----------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        return QSize(400, ROW_MIN * max(1, len(self.aus)))

    def minimumSizeHint(self) -> QSize:
        return QSize(300, ROW_MIN * max(1, len(self.aus)))

    @property
    def row_height(self) -> int:
        return min(ROW_MAX, max(ROW_MIN, self.height() // max(1, len(self.aus))))

    def row_rect(self, row: int) -> QRect:
        return QRect(0, row * self.row_height, self.width(), self.row_height)

    def _middle(self, row: int) -> int:
        return row * self.row_height + self.row_height // 2

    def bar_span(self) -> tuple[int, int]:
        """Left and right end of the bars."""
        return _BAR_X, max(_BAR_X + 40, self.width() - PAD - 18 - _VALUE_W)

    def _row_at(self, y: float) -> int:
        row = int(y) // self.row_height
        return row if 0 <= row < len(self.aus) else -1

    # -- painting ----------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._base = None
        self.help.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        started = time.perf_counter()
        if self._base is None or self._base.devicePixelRatio() != self.devicePixelRatioF():
            self._base = self._paint_base()
        with QPainter(self) as painter:
            painter.drawPixmap(0, 0, self._base)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint_hover(painter)
            self._paint_values(painter)
            self._paint_focus(painter)
        self._painted(1000 * (time.perf_counter() - started))

    def _paint_base(self) -> QPixmap:
        """All that does not change from frame to frame."""
        self._colours = [self._look.au_colour(number) for number in self.aus]
        ratio = self.devicePixelRatioF()
        base = QPixmap(self.size() * ratio)
        base.setDevicePixelRatio(ratio)
        base.fill(self._look.colour("surface"))
        with QPainter(base) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for row in range(len(self.aus)):
                self._paint_swatch(painter, row)
                self._paint_name(painter, row)
                self._paint_empty_bar(painter, row)
        return base

    def _paint_swatch(self, painter: QPainter, row: int) -> None:
        """A square in the AU's colour, filled where its curve is shown."""
        square = QRectF(PAD, self._middle(row) - 5, 10, 10)
        if self.aus[row] in self.chosen:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._colours[row])
        else:
            painter.setPen(QPen(self._look.colour("faint"), 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            square.adjust(0.6, 0.6, -0.6, -0.6)
        painter.drawRoundedRect(square, 3, 3)

    def _paint_name(self, painter: QPainter, row: int) -> None:
        """Number and name, underlined by trust where the rows differ in it."""
        number, rect, middle = self.aus[row], self.row_rect(row), self._middle(row)
        line = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.setPen(self._look.colour("text"))
        painter.setFont(self._number_font)
        painter.drawText(QRect(_NUMBER_X, rect.y(), 46, rect.height()), line, f"AU{number}")
        painter.setPen(self._look.colour("dim"))
        painter.setFont(self._name_font)
        unit = ACTION_UNITS.get(number)
        name = unit.name if unit else ""
        painter.drawText(QRect(_NAME_X, rect.y(), _BAR_X - _NAME_X - 8, rect.height()), line, name)
        style = TRUST_LINES.get(self.trust.get(number, ""))
        if style is not None and len(set(self.trust.values())) > 1:
            width = painter.fontMetrics().horizontalAdvance(name)
            painter.setPen(QPen(self._look.colour("faint"), 1, style))
            painter.drawLine(QPointF(_NAME_X, middle + 8.5), QPointF(_NAME_X + width, middle + 8.5))

    def _paint_empty_bar(self, painter: QPainter, row: int) -> None:
        """The track of the bar, and a small dot where the one for presence will be."""
        x0, x1 = self.bar_span()
        middle = self._middle(row)
        ghost = self._look.colour("faint")
        ghost.setAlphaF(0.35)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ghost)
        painter.drawEllipse(QPointF(self.width() - PAD + 1, middle), 1.3, 1.3)
        painter.setBrush(self._look.colour("track"))
        painter.drawRoundedRect(QRectF(x0, middle - _BAR_H / 2, x1 - x0, _BAR_H), 3, 3)

    def _paint_hover(self, painter: QPainter) -> None:
        if self._hovered >= 0:
            wash = self._look.colour("text")
            wash.setAlphaF(0.045)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(wash)
            painter.drawRoundedRect(QRectF(self.row_rect(self._hovered)).adjusted(8, 1, -8, -1), 6, 6)

    def _paint_focus(self, painter: QPainter) -> None:
        """Over the values, whose ticks would cut it."""
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self._look.colour("accent"), 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.row_rect(self._current)).adjusted(8, 1, -8, -1), 6, 6)

    def _paint_values(self, painter: QPainter) -> None:
        x0, x1 = self.bar_span()
        cell = (x1 - x0) / MAX_INTENSITY
        digits_x, dot_x = x1 + 6 + _VALUE_W, self.width() - PAD + 1
        text, faint = self._look.colour("text"), self._look.colour("faint")
        height, bar = self.row_height, _BAR_H / 2
        intensity = [0.0] * len(self.aus) if self._intensity is None else self._intensity.tolist()
        occurs = [False] * len(self.aus) if self._occurrence is None else (self._occurrence >= OCCURS).tolist()
        sides = None if self._sides is None else self._sides.tolist()
        painter.setPen(Qt.PenStyle.NoPen)
        for row, value in enumerate(intensity):
            middle = self._middle(row)
            if value >= SHOWN or occurs[row]:
                painter.setBrush(self._colours[row])
            if value >= SHOWN:
                left, right = (value, value) if sides is None else sides[row]
                if abs(left - right) < SIDES_DIFFER:
                    length = max(min(value, MAX_INTENSITY) * cell, 2.0)
                    painter.drawRoundedRect(QRectF(x0, middle - bar, length, _BAR_H), 3, 3)
                else:  # the upper half of the bar is the subject's left, the lower half the right
                    painter.drawRect(QRectF(x0, middle - bar, left * cell, bar))
                    painter.drawRect(QRectF(x0, middle, right * cell, bar))
            if occurs[row]:
                painter.drawEllipse(QPointF(dot_x, middle), 3.2, 3.2)
        # The ticks at 1-4 are cuts through the bars, so that a bar reads as five FACS grades; 5 is its end.
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(self._look.colour("surface"))
        for tick in range(1, int(MAX_INTENSITY)):
            x = round(x0 + tick * cell)
            painter.drawLine(x, 0, x, height * len(self.aus))
        painter.setFont(self._value_font)
        for row, value in enumerate(intensity):
            digits = self._digits[row] if row < len(self._digits) else "\N{EN DASH}"
            drawn, width, line_height = self._laid_out(digits)
            painter.setPen(text if value >= 0.5 else faint)
            painter.drawStaticText(QPointF(digits_x - width, self._middle(row) - line_height / 2), drawn)

    # -- mouse and keys ----------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hover(self._row_at(event.position().y()))

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(-1)
        self.help.hide()

    def hideEvent(self, event: QHideEvent) -> None:
        self.help.hide()

    def moveEvent(self, event: QMoveEvent) -> None:
        """They were scrolled: the pointer lies on another row now, and the card would stand beside the wrong one."""
        if self.underMouse():
            self._hover(self._row_at(self.mapFromGlobal(QCursor.pos()).y()))
        elif self.help.isVisible():
            self._help(self.aus.index(self.help.au))

    def _help(self, row: int) -> None:
        """Shows the card that explains the AU of a row; -1 hides it."""
        if row < 0:
            self.help.hide()
            return
        top = self.mapToGlobal(self.row_rect(row).topLeft())
        self.help.explain(self.aus[row], self.describe(row), QRect(top, self.row_rect(row).size()))

    def _hover(self, row: int) -> None:
        if row != self._hovered:
            self._hovered = row
            if self.help.isVisible():
                self._help(row)
            self.setCursor(Qt.CursorShape.PointingHandCursor if row >= 0 else Qt.CursorShape.ArrowCursor)
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        row = self._row_at(event.position().y())
        if row >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.toggled.emit(self.aus[row])

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._announce()
        if event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            self.came_to.emit(self._current)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.help.hide()
        self.update()

    def event(self, event: QEvent) -> bool:
        if is_space(event):  # here it toggles a curve; elsewhere it pauses
            return True
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            self._help(self._row_at(event.pos().y()))
            return True
        if event.type() == QEvent.Type.WindowDeactivate:
            self.help.hide()
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        last = len(self.aus) - 1
        way = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_Home: -last, Qt.Key.Key_End: last}
        step = way.get(Qt.Key(event.key()))
        if step is not None and self.aus:
            self._current = min(max(self._current + step, 0), last)
            self._announce()
            self.came_to.emit(self._current)
            if self.help.isVisible():
                self._help(self._current)
            self.update()
        elif event.key() in (Qt.Key.Key_Question, Qt.Key.Key_F1) and self.aus:
            self._help(-1 if self.help.isVisible() else self._current)
        elif event.key() == Qt.Key.Key_Escape and self.help.isVisible():
            self.help.hide()
        elif event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.aus:
            self.toggled.emit(self.aus[self._current])
            self._announce()
        else:
            super().keyPressEvent(event)

    def describe(self, row: int) -> str:
        """What the card says of a row: name, muscle, look, FACS grade now, with empty lines between."""
        number = self.aus[row]
        unit = ACTION_UNITS.get(number)
        lines = [f"AU{number} {unit.name}", unit.muscle, "", unit.look, ""] if unit else [f"AU{number}", ""]
        if self._intensity is not None and self._occurrence is not None:
            value, presence = float(self._intensity[row]), float(self._occurrence[row])
            lines.append(f"{value:.1f} of 5, {grade(value)}; present with a probability of {presence:.0%}")
            if self._sides is not None:
                left, right = self._sides[row].tolist()
                lines.append(f"Subject's left {left:.1f}, right {right:.1f}")
            lines.append("")
        if trust := TRUST_MEANS.get(self.trust.get(number, "")):
            lines.append(trust)
        lines.append("Click to hide its curve" if number in self.chosen else "Click to show its curve")
        return "\n".join(lines)

    def _announce(self) -> None:
        if not self.aus:
            return
        self._current = min(self._current, len(self.aus) - 1)
        lines = self.describe(self._current).splitlines()
        self.setAccessibleDescription(". ".join(line.removesuffix(".") for line in lines if line))
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.DescriptionChanged))
