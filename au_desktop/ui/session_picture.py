"""The picture at the moment of a session that is read, with the box of the face whose AUs are shown."""

from __future__ import annotations

import math
from typing import NamedTuple

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QFocusEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from au_desktop.picture import fit_picture
from au_desktop.ui.background import Background
from au_desktop.ui.theme import Look, over_picture
from rtatl_core.handoffs import UInt8
from rtatl_core.sessions.pictures import SessionPictures

_MARGIN = 12
_AROUND = 1.5
"""What is shown of a face from near, at least, in widths and heights of its box."""
_WHOLE, _NEAR = "Click to see the face from near", "Click to see the whole picture"
_TOGGLE = (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Wanted(NamedTuple):
    frame: int
    timestamp: float
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the face, in pixels of the picture; NaN without one."""


class SessionPicture(QWidget):
    """Decodes in the background; where the pointer moves faster, the pictures between are left out. Keyboard: Tab to
    get here, Space for the face from near."""

    def __init__(self, look: Look, pictures: SessionPictures) -> None:
        super().__init__()
        self.setObjectName("Stage")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Picture at this moment")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._look = look
        self._pictures = pictures
        self._is_near = False
        self._decoding = Background("picture", self)
        self._wanted: Wanted | None = None
        self._shown: Wanted | None = None
        self._image: UInt8 | None = None
        self._fitted: QImage | None = None
        self._see(near=False)
        look.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(640, 320)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 90)

    @property
    def shown(self) -> Wanted | None:
        return self._shown

    @property
    def image(self) -> UInt8 | None:
        """(height, width, 3) BGR as it was decoded; None: there is none for this moment."""
        return self._image

    def show_moment(self, wanted: Wanted) -> None:
        self._wanted = wanted
        if self._shown is not None and self._shown.frame == wanted.frame:  # perhaps of another face
            self._shown, self._fitted = wanted, None
            self.update()
        elif not self._decoding.is_busy:
            self._decode(wanted)

    def _decode(self, wanted: Wanted) -> None:
        def then(image: UInt8 | None) -> None:
            self._shown, self._image, self._fitted = wanted, image, None
            self.update()
            if self._wanted is not None:
                self.show_moment(self._wanted)

        self._decoding.run(lambda: self._pictures.at(wanted.frame, wanted.timestamp), then)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fitted = None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._see(near=not self._is_near)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in _TOGGLE:
            self._see(near=not self._is_near)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.update()

    def _see(self, *, near: bool) -> None:
        self._is_near, self._fitted = near, None
        tip = _NEAR if near else _WHOLE
        self.setToolTip(tip)
        self.setAccessibleDescription(tip)
        self.update()

    def seen(self) -> QRect:
        """What is shown of the picture, in its pixels: all of it, or the face from near, as wide as there is room."""
        if self._image is None or self._shown is None:
            return QRect()
        whole = QRect(0, 0, self._image.shape[1], self._image.shape[0])
        left, top, right, bottom = self._shown.box
        if not self._is_near or math.isnan(left):
            return whole
        room = (self.width() - 2 * _MARGIN) / (self.height() - 2 * _MARGIN)
        wide, high = _AROUND * max(right - left, 1), _AROUND * max(bottom - top, 1)
        height = min(round(max(high, wide / room)), whole.height())
        width = min(round(max(height * room, wide)), whole.width())
        at = QPoint(round((left + right - width) / 2), round((top + bottom - height) / 2))
        at.setX(min(max(at.x(), 0), whole.width() - width))
        at.setY(min(max(at.y(), 0), whole.height() - height))
        return QRect(at, QSize(width, height))

    def _place(self, seen: QRect) -> QRectF:
        """Where that is painted: in the middle, and as large as fits."""
        scale = min((self.width() - 2 * _MARGIN) / seen.width(), (self.height() - 2 * _MARGIN) / seen.height())
        width, height = max(1, round(seen.width() * scale)), max(1, round(seen.height() * scale))
        return QRectF((self.width() - width) // 2, (self.height() - height) // 2, width, height)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if self._shown is not None:
                self._paint_picture(painter, self._shown)
            if self.hasFocus():
                painter.setPen(QPen(self._look.colour("accent"), 1.2))
                painter.drawRoundedRect(QRectF(self.rect()).adjusted(4.5, 4.5, -4.5, -4.5), 6, 6)

    def _paint_picture(self, painter: QPainter, shown: Wanted) -> None:
        seen = self.seen()
        if self._image is None or seen.isEmpty():
            painter.setPen(self._look.colour("faint"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "There is no picture of this moment")
            return
        place = self._place(seen)
        if self._fitted is None:
            self._fitted = self._fit(self._image, seen, place)
        painter.drawImage(place.topLeft(), self._fitted)
        left, top, right, bottom = shown.box
        if not math.isnan(left):
            scale = place.width() / seen.width()
            corner = QPointF(left - seen.left(), top - seen.top()) * scale + place.topLeft()
            painter.setClipRect(place)
            painter.setPen(QPen(over_picture("selected"), 1.5))
            painter.drawRoundedRect(QRectF(corner, QSizeF(right - left, bottom - top) * scale), 6, 6)
            painter.setClipping(False)

    def _fit(self, image: UInt8, seen: QRect, place: QRectF) -> QImage:
        ratio = self.devicePixelRatioF()
        width, height = round(place.width() * ratio), round(place.height() * ratio)
        part = image[seen.top() : seen.top() + seen.height(), seen.left() : seen.left() + seen.width()]
        pixels = fit_picture(part, width, height, mirrored=False)
        fitted = QImage(pixels.data, width, height, pixels.strides[0], QImage.Format.Format_RGB32).copy()
        fitted.setDevicePixelRatio(ratio)
        return fitted
