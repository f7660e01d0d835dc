"""The strip above the curves of a session: what its events are called, and where the keyboard is.

Enters: a ``SessionPlot``, which is asked at each painting; leaves: nothing but pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from au_desktop.ui.theme import Look, font
from rtatl_core.sessions.recorded import Event

if TYPE_CHECKING:
    from au_desktop.ui.session_plot import SessionPlot

_SENTENCES = (
    *("pause", "resume", "rest", "setting", "engine", "source_lost", "source_back"),
    *("clock", "notice", "warning", "interrupted"),
)
"""Kinds of events whose label is one."""
_LABEL_PIXELS = 160
_MARKS_HEIGHT = 22


def name_of(event: Event) -> str:
    """What stands above its line: what a person or a program called it; of what this program tells by itself in a
    sentence, the kind of it."""
    return event.kind.replace("_", " ") if event.kind in _SENTENCES else event.label


class Marks(QWidget):
    """Labels of the events above their lines, as many as do not lie over each other; and where the keyboard is."""

    def __init__(self, look: Look, plot: SessionPlot) -> None:
        super().__init__()
        self._look, self._plot = look, plot
        self.setFixedHeight(_MARKS_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def places(self) -> list[tuple[float, str]]:
        """Left ends of the labels that are shown, and these."""
        metrics, free_from = QFontMetricsF(_label_font()), 0.0
        first, last = self._plot.view
        left, right = self._plot.pixel_of(first), self._plot.pixel_of(last)
        found = []
        for one in self._plot.events_in_view():
            x = left + (one.timestamp - first) / (last - first) * (right - left)
            if x + 2 >= free_from:
                name = metrics.elidedText(name_of(one), Qt.TextElideMode.ElideRight, _LABEL_PIXELS)
                width = metrics.horizontalAdvance(name)
                x = min(x + 2, self.width() - width - 4)
                if x >= free_from:
                    found.append((x, name))
                    free_from = x + width + 6
        return found

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setFont(_label_font())
            painter.setPen(self._look.colour("dim"))
            for x, name in self.places():
                painter.drawText(QPointF(x, self.height() - 8), name)
            first, last = self._plot.view
            if self._plot.hasFocus() and first <= self._plot.now <= last:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(self._look.colour("accent"))
                x, end = self._plot.pixel_of(self._plot.now), self.height()
                painter.drawPolygon(
                    QPolygonF([QPointF(x - 5, end - 6), QPointF(x + 6, end - 6), QPointF(x + 0.5, end)])
                )


def _label_font() -> QFont:
    return font(11, QFont.Weight.Medium)
