"""Icons from ``assets/icons``: SVG strokes in ``currentColor``, rendered in any colour and at any pixel
density."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from rtatl_core.assets import asset


@cache
def _source(name: str) -> str:
    return asset(f"icons/{name}.svg").read_text("utf-8")


def pixmap(name: str, colour: QColor, side: int = 18) -> QPixmap:
    """The icon as a square of ``side`` logical pixels, sharp on the densest screen attached."""
    ratio = max((screen.devicePixelRatio() for screen in QGuiApplication.screens()), default=1.0)
    picture = QPixmap(QSize(side, side) * ratio)
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    renderer = QSvgRenderer(QByteArray(_source(name).replace("currentColor", colour.name()).encode()))
    with QPainter(picture) as painter:
        renderer.render(painter, QRectF(0, 0, side, side))
    return picture


def icon(name: str, colour: QColor, *, disabled: QColor | None = None) -> QIcon:
    """``disabled``: its colour on a disabled control; without it, Qt mixes one of its own."""
    made = QIcon(pixmap(name, colour))
    if disabled is not None:
        made.addPixmap(pixmap(name, disabled), QIcon.Mode.Disabled)
    return made


def app_icon() -> QIcon:
    """The program's own icon in the sizes that window managers ask for."""
    made = QIcon()
    for side in (16, 24, 32, 48, 64, 128, 256):
        made.addPixmap(pixmap("app", QColor("black"), side))
    return made
