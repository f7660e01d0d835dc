"""The AU curves of a whole recorded session: zoomed and moved in time, with its events, and a moment to read them at.

Enters: what a session holds of one person; leaves: the moment that the pointer or the keys are at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent, QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout

from au_desktop.ui.controls import OneLine
from au_desktop.ui.lanes import GUTTER, LANE, LanePlot
from au_desktop.ui.session_marks import Marks
from au_desktop.ui.theme import Look
from au_desktop.words import clock
from rtatl_core.facs import ACTION_UNITS
from rtatl_core.handoffs import Float32, Float64
from rtatl_core.sessions.recorded import Event

_HINT = "Wheel: zoom. Drag: move. Double click: all of it. \N{LEFTWARDS ARROW} \N{RIGHTWARDS ARROW}: frame by frame"
_NO_CURVE = "Click an action unit to show its curve"
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
"""Between two ticks, in seconds or photos."""
_TICK_PIXELS = 90
_ZOOM = 1.25
"""By one step of the wheel."""
_LEAST = 0.5
"""Seconds or photos that can be seen at once."""
_RIGHT = 28
"""Right of the curves, so that the last tick's label is not cut off."""
_NEAR_PIXELS = 8
_MOST_NEAR = 3
"""Events that are told at the pointer."""
_LINES_APART = 4
"""Least pixels between two lines of events: closer ones would hide the curves."""
_STROKE_PIXELS = 5
_NOTCH_PIXELS = 60
"""What a wheel that turns sideways moves by a step."""


def thinned(times: Float64, values: Float32, most: int) -> tuple[Float64, Float32]:
    """(n,) and (n, k) -> the least and the greatest value of each of ``most`` stretches, or all where there are hardly
    more: what would be painted within one pixel anyway. Gaps (NaN) stay where a whole stretch is one."""
    if len(times) <= 2 * most:
        return times, values
    starts = np.linspace(0, len(times), most, endpoint=False).astype(np.int64)
    both = np.stack([np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)], axis=1)
    return np.repeat(times[starts], 2), both.reshape(-1, values.shape[1])


def with_strokes(times: Float64, values: Float32, reach: float) -> tuple[Float64, Float32]:
    """A moment alone between gaps, from which no line leads to another, becomes two, so that a stroke shows it."""
    there = np.isfinite(values).any(axis=1)
    alone = there & ~np.append(False, there[:-1]) & ~np.append(there[1:], False)
    each = 1 + alone
    times = np.repeat(times, each)
    seconds = np.cumsum(each)[alone] - 1
    times[seconds - 1] -= reach
    times[seconds] += reach
    return times, np.repeat(values, each, axis=0)


class SessionPlot(LanePlot):
    """Keyboard: arrows by a frame, with Shift by a second; Home, End; + and - zoom; Page up and down to the events."""

    at = Signal(float)
    """The moment to be read, in seconds, or the number of a photo."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, lambda _ms: None)
        self.setAccessibleName("AU curves of the session")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._moments: Float64 = np.empty(0)
        self._values: Float32 = np.empty((0, 0), np.float32)
        self._events: tuple[Event, ...] = ()
        self._event_times: Float64 = np.empty(0)
        self._of_photos = False
        self._view = (0.0, 1.0)
        self._now = 0.0
        self._held: tuple[float, tuple[float, float]] | None = None
        """Where the mouse was pressed, in pixels, and what was seen then."""
        self._lines = pg.PlotCurveItem(connect="pairs", skipFiniteCheck=True)
        self._cursor = pg.PlotCurveItem(connect="pairs", skipFiniteCheck=True)
        for item in (self._lines, self._cursor):
            self._plot.addItem(item, ignoreBounds=True)
        self._marks = Marks(look, self)
        self._plot.viewport().installEventFilter(self)
        self._plot.viewport().setMouseTracking(True)
        self._plot.setToolTip("")
        self._plot.getPlotItem().layout.setContentsMargins(GUTTER, 0, _RIGHT, 0)
        title = QLabel("Curves")
        title.setObjectName("Title")
        self._hint = OneLine("Faint", _HINT)
        heading = QHBoxLayout()
        heading.setContentsMargins(20, 10, 16, 2)
        heading.setSpacing(12)
        heading.addWidget(title)
        heading.addWidget(self._hint, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(heading)
        column.addWidget(self._marks)
        column.addLayout(self._body(), 1)
        self._box.sigResized.connect(lambda _box: self._show_view())
        self._restyle()

    def sizeHint(self) -> QSize:
        return QSize(760, 560)

    # -- content -----------------------------------------------------------------------------------------

    def show_session(
        self, moments: Float64, values: Float32, events: Sequence[Event] = (), *, of_photos: bool = False
    ) -> None:
        """moments: (n,) ascending, in seconds or numbers of photos; values: (n, n_aus) in the order of ``set_aus``, NaN
        where the face was not found; events: in the order of time."""
        self._moments, self._values = moments, values
        self._events = tuple(one._replace(label=" ".join(one.label.split())) for one in events)
        self._event_times = np.array([one.timestamp for one in events])
        self._of_photos = of_photos
        first, last = (float(moments[0]), float(moments[-1])) if len(moments) else (0.0, 1.0)
        last = max(last, first + _LEAST)
        self._set_times(first, last)
        self.go_to(min(max(self._now, first), last))
        self.zoom_to(first, last)

    def show_values(self, values: Float32) -> None:
        """Of another face, at the same moments."""
        self._values = values
        self._show_view()
        self.go_to(self._now)

    def zoom_to(self, first: float, last: float) -> None:
        """Shows these moments; no less than ``_LEAST``, and nothing beside the session."""
        begin, end = self._times
        width = min(max(last - first, _LEAST), end - begin)
        first = min(max(first, begin), end - width)
        self._view = first, first + width
        self._show_view()

    @property
    def view(self) -> tuple[float, float]:
        return self._view

    @property
    def now(self) -> float:
        return self._now

    def go_to(self, moment: float) -> None:
        """Reads the frame nearest to it."""
        if not len(self._moments):
            return
        self._now = float(self._moments[self._nearest(moment)])
        self._draw_cursor()
        self._show_hint()
        self.at.emit(self._now)

    def tell(self, at: str) -> None:
        """Tells screen readers what is read here; ``at``: the moment in words."""
        values = dict(zip(self._aus, self._values[self.row()].tolist(), strict=True))
        read = [f"AU{au} {values[au]:.1f}" for au in self._curves if not math.isnan(values[au])]
        said = [at, ", ".join(read) or "no face" if self._curves else "", self._near()]
        self.setAccessibleDescription("; ".join(part for part in said if part))
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.DescriptionChanged))

    def _near(self) -> str:
        """The events at the moment that is read."""
        first, last = self._view
        reach = _NEAR_PIXELS * self._per_pixel()
        near = self._between(max(first, self._now - reach), min(last, self._now + reach))
        told = [f"{one.kind.replace('_', ' ')} {one.label}" for one in near[:_MOST_NEAR]]
        return "; ".join([*told, *([f"{len(near) - _MOST_NEAR:,} more"] if len(near) > _MOST_NEAR else [])])

    def _show_hint(self) -> None:
        self._hint.setText(self._near() or (_HINT if self._curves else _NO_CURVE))

    def row(self) -> int:
        """Of the frame that is read."""
        return self._nearest(self._now)

    def _nearest(self, moment: float) -> int:
        after = int(np.searchsorted(self._moments, moment))
        candidates = [i for i in (after - 1, after) if 0 <= i < len(self._moments)]
        return min(candidates, key=lambda i: abs(float(self._moments[i]) - moment))

    def events_in_view(self) -> list[Event]:
        return list(self._between(*self._view))

    def _between(self, first: float, last: float) -> Sequence[Event]:
        begin, end = np.searchsorted(self._event_times, first), np.searchsorted(self._event_times, last, side="right")
        return self._events[begin:end]

    def pixel_of(self, moment: float) -> float:
        """From the left edge of the widget."""
        first, last = self._view
        place = self._box.sceneBoundingRect()
        return float(place.left()) + (moment - first) / (last - first) * float(place.width())

    def _per_pixel(self) -> float:
        """Seconds or photos."""
        first, last = self._view
        return (last - first) / max(float(self._box.width()), 1.0)

    def _moment_at(self, x: float) -> float:
        first, last = self._view
        place = self._box.sceneBoundingRect()
        return first + (x - float(place.left())) / max(float(place.width()), 1.0) * (last - first)

    # -- what a person does ------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The plot's mouse is this widget's."""
        if isinstance(event, QWheelEvent):
            self._turn(event)
        elif event.type() == QEvent.Type.MouseButtonDblClick:
            self.zoom_to(*self._times)
        elif isinstance(event, QMouseEvent):
            self._point(event)
        else:
            return False
        return True

    def _turn(self, event: QWheelEvent) -> None:
        """Up and down zooms; sideways moves, as on a touchpad."""
        turned = event.angleDelta()
        if abs(turned.x()) > abs(turned.y()):
            self._move(self._view, event.pixelDelta().x() or turned.x() / 120 * _NOTCH_PIXELS)
        else:
            self._zoom(_ZOOM ** (-turned.y() / 120), self._moment_at(event.position().x()))

    def _move(self, view: tuple[float, float], pixels: float) -> None:
        """Shows what was seen then, moved to the right by so much."""
        first, last = view
        moved = -pixels / max(float(self._box.width()), 1.0) * (last - first)
        self.zoom_to(first + moved, last + moved)

    def _point(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if event.type() == QEvent.Type.MouseButtonPress and event.button() is Qt.MouseButton.LeftButton:
            self.setFocus(Qt.FocusReason.MouseFocusReason)
            self._held = x, self._view
        elif event.type() == QEvent.Type.MouseButtonRelease and event.button() is Qt.MouseButton.LeftButton:
            self._held = None
        elif self._held is not None:
            pressed, view = self._held
            self._move(view, x - pressed)
        elif x >= GUTTER:
            self.go_to(self._moment_at(x))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = Qt.Key
        step = 1 if event.key() in (keys.Key_Right, keys.Key_PageDown, keys.Key_End) else -1
        if event.key() in (keys.Key_Left, keys.Key_Right):
            far = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self._bring(self._now + step if far else self._beside(step))
        elif event.key() in (keys.Key_PageUp, keys.Key_PageDown):
            self._bring(self._event_beside(step))
        elif event.key() in (keys.Key_Home, keys.Key_End):
            self._bring(self._times[step > 0])
        elif event.key() in (keys.Key_Plus, keys.Key_Equal):
            self._zoom(1 / _ZOOM, self._now)
        elif event.key() == keys.Key_Minus:
            self._zoom(_ZOOM, self._now)
        else:
            super().keyPressEvent(event)

    def _beside(self, step: int) -> float:
        if not len(self._moments):
            return self._now
        return float(self._moments[min(max(self.row() + step, 0), len(self._moments) - 1)])

    def _event_beside(self, step: int) -> float:
        """The frame of the next event, or of the last before; an event may lie between two frames."""
        here = self._now
        ways = (float(self._moments[self._nearest(at)]) - here for at in self._event_times if len(self._moments))
        return here + min((way for way in ways if way * step > 0), key=abs, default=0.0)

    def _bring(self, moment: float) -> None:
        """Reads it, and moves the view if it lies outside."""
        if len(self._moments):
            moment = float(self._moments[self._nearest(moment)])
        first, last = self._view
        if not first <= moment <= last:
            self.zoom_to(moment - (last - first) / 2, moment + (last - first) / 2)
        self.go_to(moment)

    def _zoom(self, factor: float, about: float) -> None:
        first, last = self._view
        about = min(max(about, first), last)
        self.zoom_to(about - (about - first) * factor, about + (last - about) * factor)

    # -- looks -------------------------------------------------------------------------------------------

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._marks.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._marks.update()

    def _rebuild(self) -> None:
        super()._rebuild()
        self._show_view()
        self._show_hint()

    def _show_view(self) -> None:
        first, last = self._view
        self._box.setXRange(first, last, padding=0)
        self._axis.setTicks([self._ticks()])
        begin = max(0, int(np.searchsorted(self._moments, first)) - 1)
        end = int(np.searchsorted(self._moments, last, side="right")) + 1
        if self._values.shape[1] == len(self._aus):
            most = max(200, round(float(self._box.width())))
            few = thinned(self._moments[begin:end], self._values[begin:end], most)
            self._draw(*with_strokes(*few, _STROKE_PIXELS / 2 * self._per_pixel()))
        times = self._event_times[(self._event_times >= first) & (self._event_times <= last)]
        apart = _LINES_APART * self._per_pixel()
        at = np.repeat(times[np.unique(times // apart, return_index=True)[1]], 2)
        self._lines.setData(at, np.tile(_heights(), len(at) // 2), connect="pairs")
        self._marks.update()

    def _draw_cursor(self) -> None:
        self._cursor.setData(np.repeat(self._now, 2), np.array(_heights()), connect="pairs")
        self._marks.update()

    def _ticks(self) -> list[tuple[float, str]]:
        first, last = self._view
        most = max(2.0, float(self._box.width()) / _TICK_PIXELS)
        steps = [step for step in _STEPS if step >= 1 or not self._of_photos]
        step = next((step for step in steps if (last - first) / step <= most), steps[-1])
        places = [i * step for i in range(math.ceil(first / step - 1e-6), math.floor(last / step + 1e-6) + 1)]
        return [(min(max(at, first), last), self._told(at, step)) for at in places]

    def _told(self, moment: float, step: float) -> str:
        if self._of_photos:
            return f"{moment:.0f}"
        if moment < 0:  # an event before the first frame
            return f"\N{MINUS SIGN}{-moment:g} s"
        return clock(moment) if step >= 1 else f"{clock(moment)}.{round(moment * 10) % 10}"

    def _restyle(self) -> None:
        super()._restyle()
        for item, colour, style in (
            (self._lines, "edge", Qt.PenStyle.DashLine),
            (self._cursor, "accent", Qt.PenStyle.SolidLine),
        ):
            pen = QPen(QColor(self._look.colour(colour)), 1, style)
            pen.setCosmetic(True)
            item.setPen(pen)
        self._marks.update()


def _heights() -> tuple[float, float]:
    """Below and above all lanes."""
    return -LANE, LANE * (len(ACTION_UNITS) + 2)
