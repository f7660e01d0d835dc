"""The live picture with its overlay, letterboxed, optionally mirrored (text never is).

Enters: one ``AnalysedFrame`` at a time and the chosen layers; leaves: a painted widget, what was clicked (a face or
none), and the news that a new frame has been painted, with the time it took. The picture is brought to its size on the
screen once, and copied from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import shiboken6
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QRadialGradient,
    QRegion,
    QResizeEvent,
    QTransform,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from au_desktop.overlay import (
    Dots,
    Label,
    Patches,
    Picture,
    Primitive,
    Segments,
    Strokes,
    draw_list,
    face_at,
)
from au_desktop.picture import fit_picture
from au_desktop.ui.theme import Look, font, over_picture, static_texts
from rtatl_core.handoffs import AnalysedFrame, Float32, Float64, UInt8

CORNER = 10.0
MARGIN = 12.0


class VideoView(QWidget):
    """Paints the newest frame. ``painted`` is called after each new frame with the frame and the
    milliseconds it took."""

    face_clicked = Signal(object)
    """The id of the face, None beside all of them."""

    def __init__(self, look: Look, painted: Callable[[AnalysedFrame, float], None]) -> None:
        super().__init__()
        self._look = look
        self._painted = painted
        self._frame: AnalysedFrame | None = None
        self._size = QSize()
        self._picture: QImage | None = None
        """The frame in its size on the screen, once it was painted there."""
        self._is_new = False
        self._layers: frozenset[str] = frozenset()
        self._selected: int | None = None
        self._mirrored = False
        self._dimmed = False
        self._drawing: tuple[Primitive, ...] | None = None
        self._target = QRectF()
        self._gain = self._offset = np.ones(2)
        self._buffer: UInt8 | None = None
        self._label_font = font(12, QFont.Weight.Medium)
        self._laid_out = static_texts(self._label_font)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Live picture")
        look.changed.connect(self.update)

    # -- what to show ------------------------------------------------------------------------------------

    def show_frame(self, frame: AnalysedFrame) -> None:
        height, width = frame.packet.image.shape[:2]
        resized = self._size != QSize(width, height)
        self._size = QSize(width, height)
        self._picture = None
        if resized:
            self._place()
        self._frame = frame
        self._drawing = None
        self._is_new = True
        self.update()

    def clear(self) -> None:
        self._frame = self._picture = None
        self._drawing = None
        self.update()

    def set_layers(self, layers: frozenset[str]) -> None:
        self._layers = layers
        self._drawing = None
        self.update()

    def select(self, face_id: int | None) -> None:
        self._selected = face_id
        self._drawing = None
        self.update()

    def set_dimmed(self, on: bool) -> None:
        """A dimmed picture is not the present: its source has gone away."""
        if on != self._dimmed:
            self._dimmed = on
            self.update()

    def set_mirrored(self, on: bool) -> None:
        self._mirrored = on
        self._place()
        self.update()

    # -- where it lies -----------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._place()

    def _place(self) -> None:
        """Where the picture lies in the widget, and how its pixels map there."""
        self._picture = None
        width, height = max(1, self._size.width()), max(1, self._size.height())
        free_w, free_h = max(1.0, self.width() - 2 * MARGIN), max(1.0, self.height() - 2 * MARGIN)
        scale = min(free_w / width, free_h / height)
        w, h = round(width * scale), round(height * scale)
        self._target = QRectF(round((self.width() - w) / 2), round((self.height() - h) / 2), w, h)
        # A pixel's coordinate is its centre, hence the half; a mirrored picture runs backwards from its right edge.
        across = -self._scale if self._mirrored else self._scale
        edge = self._target.right() if self._mirrored else self._target.left()
        self._gain = np.array([across, self._scale])
        self._offset = np.array([edge, self._target.top()]) + 0.5 * self._gain
        self._drawing = None

    @property
    def _scale(self) -> float:
        return self._target.width() / max(1, self._size.width())

    def _to_screen(self, points: Float32 | Float64) -> Float64:
        """(..., 2) image pixels -> widget coordinates."""
        screen: Float64 = points * self._gain + self._offset
        return screen

    def _to_image(self, at: QPointF) -> tuple[float, float]:
        x, y = ((np.array([at.x(), at.y()]) - self._offset) / self._gain).tolist()
        return x, y

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._frame is None or event.button() != Qt.MouseButton.LeftButton:
            return
        self.face_clicked.emit(face_at(self._frame, *self._to_image(event.position())))

    # -- painting ----------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        started = time.perf_counter()
        with QPainter(self) as painter:
            frame = self._frame
            self._fill_around(painter, QRegion() if frame is None else QRegion(self._target.toRect()))
            if frame is not None:
                self._paint_picture(painter, frame)
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
                if self._drawing is None:
                    self._drawing = draw_list(frame, self._layers, selected=self._selected, scale=self._scale)
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                painter.setClipRect(self._target)
                self._paint_drawing(painter, self._drawing)
                painter.setClipping(False)
                if self._dimmed:
                    shade = self._look.colour("stage")
                    shade.setAlphaF(0.6)
                    painter.fillRect(self._target, shade)
                self._round_corners(painter)
        if frame is not None and self._is_new:
            self._is_new = False
            self._painted(frame, 1000 * (time.perf_counter() - started))

    def _fill_around(self, painter: QPainter, picture: QRegion) -> None:
        for place in QRegion(self.rect()) - picture:  # type: ignore[attr-defined] # its stubs do not know iteration
            painter.fillRect(place, self._look.colour("stage"))

    def _paint_picture(self, painter: QPainter, frame: AnalysedFrame) -> None:
        ratio = self.devicePixelRatioF()
        if self._picture is None or self._picture.devicePixelRatio() != ratio:
            size = (self._target.size() * ratio).toSize().expandedTo(QSize(1, 1))
            pixels = fit_picture(frame.packet.image, size.width(), size.height(), mirrored=self._mirrored)
            self._buffer = pixels  # which QImage borrows
            self._picture = QImage(
                pixels.data, size.width(), size.height(), pixels.strides[0], QImage.Format.Format_RGB32
            )
            self._picture.setDevicePixelRatio(ratio)
        painter.drawImage(self._target.topLeft(), self._picture)

    def _round_corners(self, painter: QPainter) -> None:
        """Four small masks in the colour behind are copied in: a clip path over the whole picture would cost more than
        the picture."""
        ratio = self.devicePixelRatioF()
        mask = _corners(self._look.colour("stage").name(), ratio)
        half, side = CORNER + 1, (CORNER + 1) * ratio
        left, top = self._target.left() - 1, self._target.top() - 1
        right, bottom = self._target.right() + 1 - half, self._target.bottom() + 1 - half
        for x, from_x in ((left, 0.0), (right, side)):
            for y, from_y in ((top, 0.0), (bottom, side)):
                painter.drawPixmap(QRectF(x, y, half, half), mask, QRectF(from_x, from_y, side, side))

    def _paint_drawing(self, painter: QPainter, drawing: tuple[Primitive, ...]) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for primitive in drawing:
            match primitive:
                case Strokes(lines, ink, width, opacity):
                    painter.setPen(_pen(ink, width, opacity))
                    for line in [_polygon(self._to_screen(line)) for line in lines]:
                        self._twice(painter, width, painter.drawPolyline, line)
                case Segments(ends, ink, width, opacity):
                    painter.setPen(_pen(ink, width, opacity))
                    points = [QPointF(x, y) for x, y in self._to_screen(ends.reshape(-1, 2)).tolist()]
                    self._twice(painter, width, painter.drawLines, points)
                case Dots(points, ink, size, opacity):
                    painter.setPen(_pen(ink, size, opacity))
                    self._twice(painter, size, painter.drawPoints, _polygon(self._to_screen(points)))
                case Patches():
                    self._paint_patches(painter, primitive)
                case Picture():
                    self._paint_small_picture(painter, primitive)
                case Label():
                    painter.setClipping(False)
                    self._paint_label(painter, primitive)
                    painter.setClipping(True)

    def _twice(self, painter: QPainter, width: float, draw: Callable[[Any], None], what: object) -> None:
        """Draws once; on a dense screen thin lines a second time, half a pixel off, so that they look as wide as
        elsewhere. A pen that wide would leave Qt's fast path and cost five times as much."""
        draw(what)
        if width <= 1 and self.devicePixelRatioF() > 1.5:
            painter.translate(0.5, 0.5)
            draw(what)
            painter.translate(-0.5, -0.5)

    def _paint_patches(self, painter: QPainter, patches: Patches) -> None:
        """Ready-made spots are copied in: painting 46 gradients would take longer than the picture."""
        diameter = max(8, 2 * round(patches.radius * self._scale))
        ratio = self.devicePixelRatioF()
        corners = self._to_screen(patches.centres) - diameter / 2
        for ink, strength, (x, y) in zip(patches.inks, patches.strengths, corners.tolist(), strict=True):
            painter.setOpacity(strength)
            painter.drawPixmap(QPointF(x, y), _spot(ink, diameter, ratio))
        painter.setOpacity(1.0)

    def _paint_small_picture(self, painter: QPainter, picture: Picture) -> None:
        pixels = np.ascontiguousarray(picture.pixels)
        height, width = pixels.shape[:2]
        linear = self._gain[:, None] * picture.matrix[:, :2]
        (a, b), (c, d) = linear.tolist()
        x, y = self._to_screen(picture.matrix[:, 2]).tolist()
        painter.save()
        painter.setTransform(QTransform(a, c, b, d, x, y), True)
        image = QImage(pixels.data, width, height, pixels.strides[0], QImage.Format.Format_RGB888)
        painter.drawImage(QRectF(0, 0, width, height), image.convertToFormat(QImage.Format.Format_RGB32))
        painter.restore()

    def _paint_label(self, painter: QPainter, label: Label) -> None:
        x, y = self._to_screen(np.array(label.at)).tolist()
        to_right = (label.side == "right") != self._mirrored
        text, text_width, text_height = self._laid_out(label.text)
        width = text_width + 14
        left = x if to_right else x - width
        is_tag = not label.ink.startswith("au")
        # A box's tag stands on the box, inside the picture; a region's label is centred on its line, and where the
        # picture has no room beside the face it lies beside the picture.
        top = y - 26 if is_tag else y - 10
        within = self._target if is_tag else QRectF(self.rect())
        left = min(max(left, within.left() + 6), within.right() - width - 6)
        top = min(max(top, self._target.top() + 6), self._target.bottom() - 26)
        body = QRectF(left, top, width, 20)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(over_picture("label"))
        painter.drawRoundedRect(body, 5, 5)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(_pen(label.ink, 1.0, 1.0))
        painter.setFont(self._label_font)
        painter.drawStaticText(QPointF(left + 7, top + 10 - text_height / 2), text)


@lru_cache(maxsize=256)
def _pen(ink: str, width: float, opacity: float) -> QPen:
    """Lines up to width 1 are cosmetic, one pixel of the screen: Qt's fast path, eight times as fast as width 1.1."""
    colour = over_picture(ink)
    colour.setAlphaF(opacity)
    pen = QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
    pen.setCosmetic(width <= 1)
    return pen


def _polygon(points: Float64) -> QPolygonF:
    """(n, 2) -> QPolygonF by one copy into Qt's own memory; 478 points one by one would cost 0.2 ms."""
    polygon = QPolygonF()
    polygon.resize(len(points))
    memory = shiboken6.VoidPtr(polygon.data(), 16 * len(points), True)  # type: ignore[call-arg,arg-type]
    np.frombuffer(memory, np.float64)[:] = points.ravel()  # type: ignore[call-overload]
    return polygon


@lru_cache(maxsize=8)
def _corners(colour: str, ratio: float) -> QPixmap:
    """What lies around a rounded square of twice the corner's radius, a pixel wider on each side."""
    side = 2 * CORNER + 2
    picture = QPixmap(round(side * ratio), round(side * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    around = QPainterPath()
    around.addRect(QRectF(0, 0, side, side))
    around.addRoundedRect(QRectF(1, 1, side - 2, side - 2), CORNER, CORNER)  # odd-even filling leaves it out
    with QPainter(picture) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillPath(around, QColor(colour))
    return picture


@lru_cache(maxsize=128)  # several faces at once; more would hold hundreds of megabytes on a large, dense screen
def _spot(ink: str, diameter: int, ratio: float) -> QPixmap:
    """A round spot in that ink: dense in the middle, thin towards a fine border."""
    picture = QPixmap(round((diameter + 2) * ratio), round((diameter + 2) * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    centre, radius = QPointF(diameter / 2 + 1, diameter / 2 + 1), diameter / 2
    glow = QRadialGradient(centre, radius)
    for stop, alpha in ((0.0, 0.9), (0.6, 0.5), (1.0, 0.15)):
        colour = over_picture(ink)
        colour.setAlphaF(alpha)
        glow.setColorAt(stop, colour)
    border = over_picture(ink)
    border.setAlphaF(0.45)
    with QPainter(picture) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(border, 1.2))
        painter.setBrush(glow)
        painter.drawEllipse(centre, radius, radius)
    return picture
