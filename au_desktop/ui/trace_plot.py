"""Scrolling AU curves: the chosen AUs as lanes above each other, time to the right, "now" at the right
edge.

Enters: times and values as ``History.curves`` gives them; leaves: nothing but pixels and the wish for
another time span. All lanes live in one pyqtgraph plot, each curve lifted by its lane: 17 stacked plots
cost 4.3 ms a repaint, one plot 2.6; wider pens, auto range or OpenGL would cost several times as much.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QScrollBar, QSizePolicy, QVBoxLayout, QWidget

from au_desktop.settings import CURVE_SECONDS
from au_desktop.ui.controls import Segmented
from au_desktop.ui.theme import Look, font
from rtatl_core.facs import ACTION_UNITS, MAX_INTENSITY
from rtatl_core.handoffs import Float32, Float64

LANE = MAX_INTENSITY * 1.16
"""Height of a lane: the scale 0-5 and a little air, so that a 5 does not touch the lane above."""
REPAINT_EVERY_S = 0.05
GUTTER = 64
LANE_MIN = 22
"""Least height of a lane in pixels, so that names can be read and curves seen. More lanes than fit scroll."""
_HINT = "Click an action unit to show or hide its curve"
_NO_TIME = "A photo has no time, and so no curves"
_SCALE = "Each curve runs from 0, at its line, to 5, just below the line above"

_EVERYWHERE = QRectF(-2 * CURVE_SECONDS[-1], -LANE, 2 * CURVE_SECONDS[-1], LANE * (len(ACTION_UNITS) + 2))
"""Seconds up to now, and every lane there may be."""


class _Plot(pg.PlotWidget):
    """A PlotWidget that says how long its painting took, and leaves the mouse alone."""

    def __init__(self, painted: Callable[[float], None]) -> None:
        super().__init__(useOpenGL=False)
        self._painted = painted
        self.setMouseEnabled(False, False)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setFrameShape(pg.QtWidgets.QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        # Files dropped on the plot belong to the window.
        self.setAcceptDrops(False)
        self.viewport().setAcceptDrops(False)

    def paintEvent(self, event: QPaintEvent) -> None:
        started = time.perf_counter()
        super().paintEvent(event)
        self._painted(1000 * (time.perf_counter() - started))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Left to the ``TracePlot`` around it, which scrolls the lanes."""
        event.ignore()


class _Curve(pg.PlotCurveItem):
    """A curve one pixel wide; two passes on a dense screen, since a wider pen costs four times as much. Its
    bounds are those of the plot: working them out would cost as much as painting it."""

    def boundingRect(self) -> QRectF:
        return _EVERYWHERE

    def dataBounds(self, ax: int, frac: float = 1.0, orthoRange: object = None) -> tuple[None, None]:  # noqa: N803
        return None, None

    def paint(self, painter: QPainter, option: object, widget: QWidget) -> None:
        super().paint(painter, option, widget)
        if widget.devicePixelRatioF() > 1.5:
            painter.translate(0, 0.5 * (self.pixelHeight() or 0))
            super().paint(painter, option, widget)


class _Lanes(QWidget):
    """Names of the lanes, left of the plot, and a stroke in the colour of their AU."""

    def __init__(self, look: Look, plot: TracePlot) -> None:
        super().__init__()
        self._look, self._plot = look, plot
        self.setFixedWidth(GUTTER)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            small = self._plot.lane_pixels() < 24
            painter.setFont(font(11 if small else 12, QFont.Weight.DemiBold))
            painter.setClipRect(self._plot.lanes_rect())
            painter.setPen(self._look.colour("text"))
            for au, top, height in self._plot.lane_places():
                place = QRectF(0, top, self.width() - 16, height)
                painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, f"AU{au}")
                painter.fillRect(QRect(self.width() - 11, round(top + height / 2) - 5, 3, 10), self._look.au_colour(au))


class TracePlot(QWidget):
    """Heading with the choice of time span, lane names and the plot."""

    seconds_chosen = Signal(int)

    def __init__(self, look: Look, painted: Callable[[float], None]) -> None:
        super().__init__()
        self.setObjectName("Card")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("AU curves")
        self._look = look
        self._aus: tuple[int, ...] = ()
        self._chosen: tuple[int, ...] = ()
        self._seconds = 10
        self._shown_at = 0.0
        self._curves: dict[int, _Curve] = {}

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

        self._plot = _Plot(painted)
        self._box: pg.ViewBox = self._plot.getViewBox()
        self._box.disableAutoRange()
        self._box.setDefaultPadding(0)
        self._box.sigResized.connect(lambda _box: self._set_range())
        self._plot.hideAxis("left")
        self._axis: pg.AxisItem = self._plot.getAxis("bottom")
        self._axis.setHeight(24)
        self._plot.getPlotItem().layout.setContentsMargins(GUTTER, 0, 18, 0)
        self._grid = pg.PlotCurveItem(connect="pairs", skipFiniteCheck=True)
        self._plot.addItem(self._grid, ignoreBounds=True)
        self._lanes = _Lanes(look, self)
        for part in (self._plot, self._lanes):
            part.setToolTip(_SCALE)

        self._scroll = QScrollBar(Qt.Orientation.Vertical)
        self._scroll.setAccessibleName("Scroll the curves")
        self._scroll.valueChanged.connect(self._show_lanes)
        self._scroll.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._heading())
        column.addLayout(self._body(), 1)
        look.changed.connect(self._restyle)
        self.set_seconds(10)
        self._restyle()

    def _heading(self) -> QHBoxLayout:
        heading = QHBoxLayout()
        heading.setContentsMargins(20, 8, 16, 6)
        heading.setSpacing(12)
        heading.addWidget(self._title)
        heading.addWidget(self._hint)
        heading.addStretch()
        heading.addWidget(self._span)
        return heading

    def _body(self) -> QGridLayout:
        """Names over the left margin of the plot, and a scroll bar beside it."""
        body = QGridLayout()
        body.setContentsMargins(0, 0, 0, 8)
        body.setSpacing(0)
        body.addWidget(self._plot, 0, 0)
        body.addWidget(self._lanes, 0, 0, Qt.AlignmentFlag.AlignLeft)
        body.addWidget(self._scroll, 0, 1)
        self._lanes.raise_()
        return body

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_hint()

    def _fit_hint(self) -> None:
        """Hides the hint where it would be cut off."""
        wanted = sum(part.sizeHint().width() for part in (self._title, self._hint, self._span))
        self._hint.setVisible(wanted + 70 <= self.width())  # margins and gaps

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolls the lanes where there are more than fit."""
        if self._scroll.isVisible():
            self._scroll.event(event)

    def sizeHint(self) -> QSize:
        return QSize(640, 240)

    def minimumSizeHint(self) -> QSize:
        return QSize(320, 150)

    # -- choices -----------------------------------------------------------------------------------------

    def set_aus(self, aus: tuple[int, ...]) -> None:
        """The order of the columns that ``show_curves`` will bring."""
        self._aus = aus
        self._rebuild()

    def set_chosen(self, aus: frozenset[int]) -> None:
        """Which AUs get a lane; lanes follow the order of the AU numbers, the lowest on top."""
        added = aus - set(self._chosen)
        self._chosen = tuple(sorted(aus))
        self._rebuild()
        if len(added) == 1:
            self._bring_into_view(*added)

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
        self._set_range()

    @property
    def seconds(self) -> int:
        return self._seconds

    @property
    def lanes(self) -> tuple[int, ...]:
        """AUs that have a lane, from top to bottom."""
        return tuple(self._curves)

    def _choose_span(self, seconds: int) -> None:
        self.set_seconds(seconds)
        self._shown_at = 0.0
        self.seconds_chosen.emit(seconds)

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
        for lane, (au, curve) in enumerate(reversed(self._curves.items())):
            height = np.clip(values[:, self._aus.index(au)], 0, MAX_INTENSITY) + lane * LANE
            curve.setData(times, height, skipFiniteCheck=True, connect="finite")

    def clear(self) -> None:
        for curve in self._curves.values():
            curve.clear()

    # -- looks -------------------------------------------------------------------------------------------

    def lane_pixels(self) -> float:
        return max(float(self._box.height()) / max(1, len(self._curves)), LANE_MIN)

    def lanes_rect(self) -> QRect:
        """Where lanes are seen, in pixels of the plot widget; as wide as their names."""
        top = self._plot.mapFromScene(self._box.sceneBoundingRect().topLeft()).y()
        return QRect(0, top, GUTTER, round(self._box.height()))

    def lane_places(self) -> list[tuple[int, float, float]]:
        """(AU, top, height) of each lane in pixels of the plot widget; some may lie outside ``lanes_rect``."""
        top, height = self.lanes_rect().top() - self._scroll.value(), self.lane_pixels()
        return [(au, top + i * height, height) for i, au in enumerate(self._curves)]

    def _rebuild(self) -> None:
        for curve in self._curves.values():
            self._plot.removeItem(curve)
        self._curves = {}
        for au in self._chosen:
            if au in self._aus:
                curve = _Curve(antialias=True, skipFiniteCheck=True, connect="finite")
                self._plot.addItem(curve, ignoreBounds=True)
                self._curves[au] = curve
        shown = (f"AU{au} {ACTION_UNITS[au].name}" for au in self._curves if au in ACTION_UNITS)
        self.setAccessibleDescription(", ".join(shown))
        self._shown_at = 0.0
        self._restyle()
        self._set_range()

    def _set_range(self) -> None:
        lanes = max(1, len(self._curves))
        hidden = round(lanes * self.lane_pixels() - self._box.height())
        self._scroll.setVisible(hidden > 0)
        self._scroll.setRange(0, max(0, hidden))
        self._scroll.setPageStep(round(self._box.height()))
        self._scroll.setSingleStep(LANE_MIN)
        self._show_lanes()
        # One base line per lane.
        base = np.repeat(np.arange(lanes) * LANE, 2) if self._curves else np.empty(0)
        self._grid.setData(np.tile([-float(self._seconds), 0.0], len(base) // 2), base, connect="pairs")

    def _bring_into_view(self, au: int) -> None:
        if au in self._curves:
            top, height = round(list(self._curves).index(au) * self.lane_pixels()), round(self.lane_pixels())
            least, most = top + height - round(self._box.height()), top
            self._scroll.setValue(min(max(self._scroll.value(), least), most))

    def _show_lanes(self) -> None:
        """Shows the lanes at the scroll bar's position; at its top, those from the lowest AU on."""
        in_lanes = LANE / self.lane_pixels()
        top = (max(1, len(self._curves)) - 0.05) * LANE - self._scroll.value() * in_lanes
        height = (float(self._box.height()) + 0.07 * self.lane_pixels()) * in_lanes
        self._box.setRange(xRange=(-self._seconds, 0), yRange=(top - height, top), padding=0)
        self._lanes.update()

    def _restyle(self) -> None:
        look = self._look
        self._plot.setBackground(look.colour("surface"))
        line = QPen(look.colour("line"), 1)
        line.setCosmetic(True)
        self._grid.setPen(line)
        self._axis.setPen(QPen(QColor(0, 0, 0, 0)))
        self._axis.setTextPen(look.colour("faint"))
        self._axis.setStyle(tickFont=font(11), tickLength=0, tickAlpha=0, tickTextOffset=6, hideOverlappingLabels=24)
        for au, curve in self._curves.items():
            pen = QPen(look.au_colour(au), 1)
            pen.setCosmetic(True)
            curve.setPen(pen)
        self._lanes.update()
