"""Scrolling AU curves: the chosen AUs as lanes above each other, time to the right, "now" at the right
edge.

Enters: times and values as ``History.curves`` gives them; leaves: nothing but pixels and the wish for
another time span.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout

from au_desktop.settings import CURVE_SECONDS
from au_desktop.ui.controls import Segmented
from au_desktop.ui.lanes import LanePlot
from au_desktop.ui.theme import Look
from rtatl_core.handoffs import Float32, Float64

REPAINT_EVERY_S = 0.05
_HINT = "Click an action unit to show or hide its curve"
_NO_TIME = "A photo has no time, and so no curves"


class TracePlot(LanePlot):
    """Heading with the choice of time span, lane names and the plot."""

    seconds_chosen = Signal(int)

    def __init__(self, look: Look, painted: Callable[[float], None]) -> None:
        super().__init__(look, painted)
        self.setAccessibleName("AU curves")
        self._seconds = 10
        self._shown_at = 0.0
        self._title = QLabel("Curves")
        self._title.setObjectName("Title")
        self._hint = QLabel(_HINT)
        self._hint.setObjectName("Faint")
        self._hint.setMinimumWidth(1)  # or the window could not become narrower than it
        self._span = Segmented(
            look,
            [f"{seconds} s" for seconds in CURVE_SECONDS],
            name="Time span",
            tips=[f"Show the last {seconds} seconds" for seconds in CURVE_SECONDS],
        )
        self._span.chosen.connect(lambda index: self._choose_span(CURVE_SECONDS[index]))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._heading())
        column.addLayout(self._body(), 1)
        self._set_times(-float(CURVE_SECONDS[-1]), 0.0)
        self.set_seconds(10)

    def _heading(self) -> QHBoxLayout:
        heading = QHBoxLayout()
        heading.setContentsMargins(20, 8, 16, 6)
        heading.setSpacing(12)
        heading.addWidget(self._title)
        heading.addWidget(self._hint)
        heading.addStretch()
        heading.addWidget(self._span)
        return heading

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_hint()

    def _fit_hint(self) -> None:
        """Hides the hint where it would be cut off."""
        wanted = sum(part.sizeHint().width() for part in (self._title, self._hint, self._span))
        self._hint.setVisible(wanted + 70 <= self.width())  # margins and gaps

    # -- choices -----------------------------------------------------------------------------------------

    def set_still(self, still: bool) -> None:
        """still: the source is a photo, which has no curves."""
        self._hint.setText(_NO_TIME if still else _HINT)
        self._fit_hint()

    def set_seconds(self, seconds: int) -> None:
        self._seconds = seconds
        self._span.choose(CURVE_SECONDS.index(seconds))
        step = {5: 1, 10: 2, 30: 5, 60: 10}[seconds]
        # A tick exactly on the border is left out by a rounding error.
        ticks = [(-0.9999 * t, "now" if t == 0 else f"\N{MINUS SIGN}{t} s") for t in range(0, seconds + 1, step)]
        self._axis.setTicks([ticks])
        self._box.setXRange(-seconds, 0, padding=0)

    @property
    def seconds(self) -> int:
        return self._seconds

    def _choose_span(self, seconds: int) -> None:
        self.set_seconds(seconds)
        self.seconds_chosen.emit(seconds)

    def _rebuild(self) -> None:
        self._shown_at = 0.0
        super()._rebuild()

    # -- data --------------------------------------------------------------------------------------------

    def is_due(self) -> bool:
        """Whether the last repaint is long enough ago; reading the history is not worth it otherwise."""
        return time.perf_counter() - self._shown_at >= REPAINT_EVERY_S

    def show_curves(self, times: Float64, values: Float32) -> None:
        """times (n,) seconds up to now (<= 0), values (n, n_aus) in the order of ``set_aus``, NaN where
        there is a gap."""
        self._shown_at = time.perf_counter()
        if values.shape[1] != len(self._aus):
            self.clear()
            return
        self._draw(times, values)
