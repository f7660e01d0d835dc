"""The small controls all parts share: buttons with an icon or a menu, layer chips, a segmented choice, the record
button.

All take the keyboard (Tab, then Space or Enter) without a click giving them the focus, so that the window's
single-key shortcuts go on working while a person uses the mouse.
"""

from __future__ import annotations

import html
import math
import time
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QFont,
    QFontMetrics,
    QIcon,
    QKeyEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from au_desktop.ui.icons import icon, pixmap
from au_desktop.ui.theme import Look, font
from au_desktop.words import clock, readable_size


def is_space(event: QEvent) -> bool:
    """Whether Qt asks if the focused widget takes the space bar instead of the window; if so, it is told yes."""
    if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
        return False
    if event.key() != Qt.Key.Key_Space:
        return False
    event.accept()
    return True


def announce(widget: QWidget, text: str, *, urgent: bool = False) -> None:
    """Has a screen reader say it, wherever the focus is. ``urgent``: at once, before what it is saying."""
    event = QAccessibleAnnouncementEvent(widget, text)
    if urgent:
        event.setPoliteness(QAccessible.AnnouncementPoliteness.Assertive)
    QAccessible.updateAccessibility(event)


def refuse(control: QWidget, reason: str | None, tip: str = "") -> bool:
    """Disables a control with the reason as its tip; None enables it again, with a tip of its own. Whether that changed
    anything."""
    if (control.isEnabled(), control.toolTip()) == (reason is None, reason or tip):
        return False
    control.setEnabled(reason is None)
    control.setToolTip(reason or tip)
    control.setAccessibleDescription(reason or "")
    return True


def literal(text: str) -> str:
    """For a button or a menu, where a single & would underline the next letter as a shortcut."""
    return text.replace("&", "&&")


class OneLine(QLabel):
    """Words that never make a window wider: where there is no room for all, they end with an ellipsis, and the tip says
    the whole."""

    def __init__(self, kind: str, text: str = "") -> None:
        """``kind``: the name by which the style sheet knows it."""
        super().__init__(text)
        self.setObjectName(kind)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setMinimumWidth(1)

    def shown(self) -> str:
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.drawText(self.rect(), self.alignment(), self.shown())

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip:
            is_cut = self.shown() != self.text()
            self.setToolTip(
                f"<span>{html.escape(self.text())}</span>" if is_cut else ""
            )  # so that it has several lines
        return super().event(event)


class Button(QPushButton):
    """A push button with an icon of assets/icons and a ``kind`` that the style sheet knows."""

    def __init__(self, look: Look, text: str = "", *, icon_name: str = "", kind: str = "", tip: str = "") -> None:
        super().__init__()
        self._look = look
        self._icon_name = icon_name
        self.set_label(text)
        self.setProperty("kind", kind)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip(tip)
        self.setAccessibleName(text or tip)
        self.setIconSize(QSize(18, 18))
        look.changed.connect(self._show_icon)
        self._show_icon()

    def set_label(self, text: str, room: int | None = None) -> None:
        """``room``: pixels it may take; a longer text is cut in the middle."""
        if room is not None:
            text = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, room)
        # Style sheets cannot set the gap between icon and text; an en space is a good one.
        self.setText(literal(f"\N{EN SPACE}{text}" if text and self._icon_name else text))

    @property
    def label(self) -> str:
        return self.text().replace("&&", "&").strip()

    def set_icon(self, name: str) -> None:
        if name != self._icon_name:
            self._icon_name = name
            self._show_icon()

    def event(self, event: QEvent) -> bool:
        # Space on a focused button presses it; without this the window's own Space would win.
        return is_space(event) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def _show_icon(self) -> None:
        disabled = self._look.colour("faint")
        self.setIcon(icon(self._icon_name, self._icon_colour(), disabled=disabled) if self._icon_name else QIcon())

    def _icon_colour(self) -> QColor:
        primary = str(self.property("kind")).endswith("primary")
        return self._look.colour("on_accent" if primary else "text")


class MenuButton(Button):
    """Opens a menu below itself; a chevron says so."""

    def __init__(self, look: Look, text: str = "", *, icon_name: str = "", tip: str = "") -> None:
        super().__init__(look, text, icon_name=icon_name, kind="menu", tip=tip)
        self.choices = QMenu(self)
        self.clicked.connect(lambda: self.choices.popup(self.mapToGlobal(QPoint(0, self.height() + 6))))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        with QPainter(self) as painter:
            sign = pixmap("chevron", self._look.colour("dim"), 16)
            painter.drawPixmap(self.width() - 26, (self.height() - 16) // 2, sign)


class Chip(Button):
    """A small switch with icon and name."""

    def __init__(self, look: Look, text: str, *, icon_name: str, tip: str) -> None:
        super().__init__(look, text, icon_name=icon_name, kind="chip", tip=tip)
        self.setCheckable(True)
        self.setIconSize(QSize(16, 16))
        self.toggled.connect(lambda _on: self._show_icon())
        self._name, self._tip = text, tip

    def show_name(self, on: bool) -> None:
        """False: the icon alone; screen readers still get the name."""
        self.set_label(self._name if on else "")

    def refuse(self, reason: str | None) -> None:
        """See ``refuse``. Its state is kept."""
        if refuse(self, reason, self._tip):  # a new icon each time would fill Qt's cache of pictures
            self._show_icon()

    def _icon_colour(self) -> QColor:
        return self._look.colour("accent" if self.isChecked() and self.isEnabled() else "faint")


class Segmented(QWidget):
    """One choice out of a few, side by side."""

    chosen = Signal(int)
    """Index of the choice a person made."""

    def __init__(self, look: Look, labels: Sequence[str], *, name: str, tips: Sequence[str] = ()) -> None:
        super().__init__()
        self.setObjectName("Segmented")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(1)
        self._group = QButtonGroup(self)
        for i, label in enumerate(labels):
            button = Button(look, label, kind="segment", tip=tips[i] if tips else "")
            button.setCheckable(True)
            button.setAutoExclusive(True)  # told to screen readers as one of several, not as a check box
            button.setAccessibleName(f"{name}: {label}")
            self._group.addButton(button, i)
            row.addWidget(button)
        self._group.idClicked.connect(self.chosen)

    def choose(self, index: int) -> None:
        """Shows that choice without announcing it. Tab reaches it, and the arrow keys the others from there."""
        self._group.button(index).setChecked(True)
        for button in self._group.buttons():
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus if button.isChecked() else Qt.FocusPolicy.NoFocus)

    def button(self, index: int) -> QAbstractButton:
        return self._group.button(index)


class RecordButton(Button):
    """ "Record" with a red dot, and what the recording will be called, if that was chosen; while recording "Stop" with
    elapsed time, size and a square, which pulses unless the recording is paused."""

    PULSE_MS = 80
    TIP = "Record AU values of every frame to a new session folder (R)"
    _LONGEST_NAME = 120
    """Pixels."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, "Record", tip=self.TIP)
        self._font = font(13, QFont.Weight.Medium)
        self._idle, self._idle_words, self._idle_tip = "Record", "Record", self.TIP
        self._timer = QTimer(self)
        self._timer.setInterval(self.PULSE_MS)
        self._timer.timeout.connect(self.update)
        self._running = ""

    def set_name(self, name: str) -> None:
        """What the next recording will be called; empty: nothing was chosen."""
        shown = QFontMetrics(self._font).elidedText(name, Qt.TextElideMode.ElideRight, self._LONGEST_NAME)
        self._idle, self._idle_words = f"Record {shown}".strip(), f"Record {name}".strip()
        self._idle_tip = f"{self.TIP}, called {name}" if name else self.TIP
        if not self._running:
            self._show_idle()

    def show_recording(self, elapsed_s: float, size: int, *, paused: bool = False, film: bool = False) -> None:
        """film: the picture is kept, too, and who is filmed can read it here."""
        so_far = f"{clock(elapsed_s)}   {readable_size(size)}{'   video' if film else ''}"
        self._running = f"Stop   {so_far}"
        self.setAccessibleName(f"Stop recording{', paused' if paused else ''}{', with video' if film else ''}")
        self.setToolTip("Stop recording and close the files (R); M sets a marker")
        if paused:
            self._timer.stop()
        elif not self._timer.isActive():
            self._timer.start()
        self.updateGeometry()
        self.update()

    def show_idle(self) -> None:
        if not self._running:
            return
        self._timer.stop()
        self._running = ""
        self._show_idle()

    def _show_idle(self) -> None:
        self.setAccessibleName(self._idle_words)
        self.setToolTip(self._idle_tip)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        if not self._running and self._idle == "Record":
            return QSize(100, 34)
        # In steps, so that the neighbours do not move with every digit.
        width = QFontMetrics(self._font).horizontalAdvance(self._running or self._idle) + 48
        return QSize(16 * math.ceil(width / 16), 34)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint_body(painter)
            self._paint_sign(painter)
            painter.setPen(self._look.colour("text" if self.isEnabled() else "faint"))
            painter.setFont(self._font)
            inside = self.rect().adjusted(33, 0, -10, 0)
            line = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
            painter.drawText(inside, line, self._running or self._idle)

    def _paint_body(self, painter: QPainter) -> None:
        ground = self._look.colour("raised" if self.isEnabled() else "surface")
        border = self._look.colour("line")
        if self._running:
            ground, border = self._look.colour("record"), self._look.colour("record")
            ground.setAlphaF(0.14)
            border.setAlphaF(0.55)
        elif self.underMouse() and self.isEnabled():
            ground = self._look.colour("hover")
        if self.hasFocus():
            border = self._look.colour("accent")
        painter.setPen(border)
        painter.setBrush(ground)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)

    def _paint_sign(self, painter: QPainter) -> None:
        """A dot; while recording a square, which pulses."""
        colour = self._look.colour("record" if self.isEnabled() else "faint")
        if self._timer.isActive():
            colour.setAlphaF(0.45 + 0.55 * (0.5 + 0.5 * math.cos(2 * math.pi * (time.monotonic() % 1.4) / 1.4)))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        sign = QRectF(13.5, self.height() / 2 - 5.5, 11, 11)
        if self._running:
            painter.drawRoundedRect(sign, 2, 2)
        else:
            painter.drawEllipse(sign)
