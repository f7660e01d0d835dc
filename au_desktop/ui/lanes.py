"""AU curves as lanes above each other, with their names: what the live curves and those of a recorded session share.

All lanes live in one pyqtgraph plot, each curve lifted by its lane: 17 stacked plots cost 4.3 ms a repaint, one plot
2.6; wider pens, auto range or OpenGL would cost several times as much.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QGridLayout, QScrollBar, QSizePolicy, QWidget

from au_desktop.ui.theme import Look, font
from rtatl_core.facs import ACTION_UNITS, MAX_INTENSITY
from rtatl_core.handoffs import Float32, Float64

LANE = MAX_INTENSITY * 1.16
"""Height of a lane: the scale 0-5 and a little air, so that a 5 does not touch the lane above."""
GUTTER = 64
LANE_MIN = 22
"""Least height of a lane in pixels, so that names can be read and curves seen. More lanes than fit scroll."""
_SCALE = "Each curve runs from 0, at its line, to 5, just below the line above"


class Plot(pg.PlotWidget):
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
        """Left to the ``LanePlot`` around it."""
        event.ignore()


class Curve(pg.PlotCurveItem):
    """A curve one pixel wide; two passes on a dense screen, since a wider pen costs four times as much. Its
    bounds are given: working them out would cost as much as painting it."""

    def __init__(self, bounds: QRectF) -> None:
        super().__init__(antialias=True, skipFiniteCheck=True, connect="finite")
        self._bounds = bounds

    def boundingRect(self) -> QRectF:
        return self._bounds

    def dataBounds(self, ax: int, frac: float = 1.0, orthoRange: object = None) -> tuple[None, None]:  # noqa: N803
        return None, None

    def paint(self, painter: QPainter, option: object, widget: QWidget) -> None:
        super().paint(painter, option, widget)
        if widget.devicePixelRatioF() > 1.5:
            painter.translate(0, 0.5 * (self.pixelHeight() or 0))
            super().paint(painter, option, widget)


class _Names(QWidget):
    """Names of the lanes, left of the plot, and a stroke in the colour of their AU."""

    def __init__(self, look: Look, plot: LanePlot) -> None:
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


class LanePlot(QWidget):
    """The lanes of the chosen AUs over a span of time; what a span is, and the heading, its kinds know."""

    def __init__(self, look: Look, painted: Callable[[float], None]) -> None:
        super().__init__()
        self.setObjectName("Card")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._look = look
        self._aus: tuple[int, ...] = ()
        self._chosen: tuple[int, ...] = ()
        self._times = (0.0, 1.0)
        """First and last that there is."""
        self._curves: dict[int, Curve] = {}
        self._plot = Plot(painted)
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
        self._lanes = _Names(look, self)
        for part in (self._plot, self._lanes):
            part.setToolTip(_SCALE)
        self._scroll = QScrollBar(Qt.Orientation.Vertical)
        self._scroll.setAccessibleName("Scroll the curves")
        self._scroll.valueChanged.connect(self._show_lanes)
        self._scroll.hide()
        look.changed.connect(self._restyle)

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

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolls the lanes where there are more than fit."""
        if self._scroll.isVisible():
            self._scroll.event(event)

    def sizeHint(self) -> QSize:
        return QSize(640, 240)

    def minimumSizeHint(self) -> QSize:
        return QSize(320, 150)

    # -- content -----------------------------------------------------------------------------------------

    def set_aus(self, aus: tuple[int, ...]) -> None:
        """The order of the columns of values."""
        self._aus = aus
        self._rebuild()

    def set_chosen(self, aus: frozenset[int]) -> None:
        """Which AUs get a lane; lanes follow the order of the AU numbers, the lowest on top."""
        added = aus - set(self._chosen)
        self._chosen = tuple(sorted(aus))
        self._rebuild()
        if len(added) == 1:
            self._bring_into_view(*added)

    @property
    def lanes(self) -> tuple[int, ...]:
        """AUs that have a lane, from top to bottom."""
        return tuple(self._curves)

    def _set_times(self, first: float, last: float) -> None:
        """Lanes are drawn between these moments from now on."""
        self._times = first, last
        self._rebuild()

    def _draw(self, times: Float64, values: Float32) -> None:
        """times (n,), values (n, n_aus) in the order of ``set_aus``, NaN where there is a gap."""
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
        first, last = self._times
        everywhere = QRectF(first - 1, -LANE, last - first + 2, LANE * (len(ACTION_UNITS) + 2))
        for au in self._chosen:
            if au in self._aus:
                self._curves[au] = Curve(everywhere)
                self._plot.addItem(self._curves[au], ignoreBounds=True)
        shown = (f"AU{au} {ACTION_UNITS[au].name}" for au in self._curves if au in ACTION_UNITS)
        self.setAccessibleDescription(", ".join(shown))
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
        self._grid.setData(np.tile(self._times, len(base) // 2), base, connect="pairs")

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
        self._box.setYRange(top - height, top, padding=0)
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
