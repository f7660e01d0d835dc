"""The AU panel: heading, scale, and one row per AU.

Enters: the selected face of each frame (or none); leaves: the AUs whose curves a person wants to see.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from au_desktop.ui.au_rows import PAD, TRUST_MEANS, AURows
from au_desktop.ui.theme import Look, font
from rtatl_core.facs import INTENSITY_LETTERS, MAX_INTENSITY
from rtatl_core.handoffs import AnalysedFace

REPAINT_EVERY_S = 0.045


class _Scale(QWidget):
    """The FACS letters above the bars."""

    def __init__(self, look: Look, rows: AURows) -> None:
        super().__init__()
        self._look, self._rows = look, rows
        self.setFixedHeight(18)
        self.setToolTip("FACS intensity: A trace, B slight, C marked, D severe, E maximum")
        look.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setPen(self._look.colour("faint"))
            painter.setFont(font(10, QFont.Weight.Medium))
            x0, x1 = self._rows.bar_span()
            cell = (x1 - x0) / MAX_INTENSITY
            for i, letter in enumerate(INTENSITY_LETTERS):
                at = QRectF(x0 + (i + 1) * cell - 10, 0, 20, self.height())
                painter.drawText(at, Qt.AlignmentFlag.AlignCenter, letter)


class AUPanel(QWidget):
    """Heading, scale and rows. ``curves_chosen`` gives the new set of AUs whose curves are wanted."""

    curves_chosen = Signal(object)

    def __init__(self, look: Look, painted: Callable[[float], None], beside: QWidget) -> None:
        """``beside``: stands in the heading."""
        super().__init__()
        self.setObjectName("Card")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.rows = AURows(look, painted)
        self.rows.toggled.connect(self._toggle)
        self._shown_at = 0.0

        title = QLabel("Action units")
        title.setObjectName("Title")
        self._face = QLabel()
        self._face.setObjectName("Faint")
        heading = QHBoxLayout()
        heading.setContentsMargins(PAD, 14, PAD, 0)
        heading.setSpacing(10)
        heading.addWidget(title)
        heading.addStretch()
        heading.addWidget(self._face)
        heading.addWidget(beside)

        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(self.rows)
        self._area = area
        self.rows.came_to.connect(self._bring_into_view)

        self._legend = QLabel()
        self._legend.setObjectName("Faint")
        self._legend.setContentsMargins(PAD, 6, PAD, 0)
        self._legend.hide()

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 10)
        column.setSpacing(0)
        column.addLayout(heading)
        column.addWidget(_Scale(look, self.rows))
        column.addWidget(area, 1)
        column.addWidget(self._legend)
        self.setMinimumWidth(360)

    def set_aus(self, aus: tuple[int, ...], trust: Mapping[str, str] | None = None) -> None:
        """The model's AUs, and how far each may be trusted: "good", "usable" or "experimental" by AU
        number."""
        trust = trust or {}
        self.rows.set_aus(aus, {au: trust[str(au)] for au in aus if str(au) in trust})
        levels = set(self.rows.trust.values())
        marks = {"good": "good", "usable": "usable (dashed)", "experimental": "experimental (dotted)"}
        legend = ", ".join(mark for level, mark in marks.items() if level in levels) if levels != {"good"} else ""
        if levels == {"experimental"}:
            legend = "all experimental, not yet proven on real faces"
        self._legend.setText(f"Trust: {legend}" if legend else "")
        self._legend.setToolTip("<br>".join(TRUST_MEANS.values()))
        self._legend.setVisible(bool(legend))
        self.show_face(None)

    def set_chosen(self, aus: frozenset[int]) -> None:
        self.rows.chosen = aus
        self.rows.redraw()

    def show_face(self, face: AnalysedFace | None, caption: str = "") -> None:
        """The selected face's values, and a caption: its name, or that it is not seen. Repaints at most about 20 times
        a second."""
        now = time.perf_counter()
        if face is not None and now - self._shown_at < REPAINT_EVERY_S:
            return
        self._shown_at = now
        if face is None or len(face.result.intensity) != len(self.rows.aus):
            self.rows.show_values(None, None)
            self._face.setText(caption if face is None else "")
            return
        self.rows.show_values(face.result.intensity, face.result.occurrence, face.result.sides)
        self._face.setText(caption)

    def settle(self, face: AnalysedFace | None, caption: str = "") -> None:
        """Shows exactly this face's values, now: the picture stands still."""
        self._shown_at = 0.0
        self.show_face(face, caption)
        self.rows.settle()

    def _bring_into_view(self, row: int) -> None:
        place = self.rows.row_rect(row)
        self._area.ensureVisible(0, place.center().y(), 0, place.height())

    def _toggle(self, au: int) -> None:
        self.set_chosen(self.rows.chosen ^ {au})
        self.curves_chosen.emit(self.rows.chosen)
