"""A message over the picture: coloured by severity, never modal, dismissed by a click or, if it only
informs, by itself."""

from __future__ import annotations

import html
from collections.abc import Callable

from PySide6.QtCore import QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from au_desktop.ui.controls import Button, announce
from au_desktop.ui.icons import pixmap
from au_desktop.ui.theme import Look
from au_desktop.words import breakable

INFO_STAYS_MS = 8000


class Banner(QWidget):
    """Hidden until ``show_message``."""

    dismissed = Signal()
    """The person has clicked it away, or it has been there long enough."""
    passed = Signal()
    """A passing message has gone (``pass_away``)."""

    def __init__(self, look: Look, parent: QWidget, place: QWidget) -> None:
        """``place``: the child of ``parent`` over which it appears."""
        super().__init__(parent)
        self.setObjectName("Banner")
        self._look = look
        self._place = place
        self._severity, self._message = "info", ""
        self._passing = False
        self._action: Callable[[], object] | None = None
        self._sign = QLabel()
        self._sign.setFixedSize(20, 20)
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._button = Button(look, "")
        self._button.clicked.connect(self._act)
        self._close = Button(look, icon_name="close", kind="icon", tip="Dismiss this message")
        self._close.clicked.connect(self.dismiss)
        row = QHBoxLayout(self)
        row.setContentsMargins(18, 8, 8, 8)
        row.setSpacing(12)
        row.addWidget(self._sign)
        row.addWidget(self._text, 1)
        row.addWidget(self._button)
        row.addWidget(self._close)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(INFO_STAYS_MS)
        self._timer.timeout.connect(self.dismiss)
        look.changed.connect(self._restyle)
        self.hide()

    @property
    def text(self) -> str:
        return self._message

    @property
    def severity(self) -> str:
        return self._severity

    def show_message(
        self,
        severity: str,
        text: str,
        *,
        action: str = "",
        on_action: Callable[[], object] | None = None,
        passing: bool = False,
    ) -> None:
        """severity: "info", "warning" or "error". ``action``: text of a button that calls ``on_action``. ``passing``:
        it answers what a person did, and no longer holds after their next choice (``pass_away``)."""
        self._severity, self._message, self._action, self._passing = severity, text, on_action, passing
        self._text.setText(breakable(text))
        self._text.setToolTip(f"<qt>{html.escape(text)}</qt>")  # as rich text it is wrapped, and whole
        self._button.setText(action)
        self._button.setAccessibleName(action)
        self._button.setVisible(bool(action))
        self.setAccessibleName(f"{severity}: {text}")
        self._restyle()
        self.show()
        self.raise_()
        self.fit()
        announce(self, text, urgent=severity != "info")
        if severity == "info":
            self._timer.start()
        else:
            self._timer.stop()

    def dismiss(self) -> None:
        self.hide()
        self.dismissed.emit()

    def pass_away(self) -> None:
        """Hides a passing message: the person has chosen something else."""
        if self._passing and not self.isHidden():
            self._timer.stop()
            self.hide()
            self.passed.emit()

    def fit(self) -> None:
        """Centres itself at the foot of its place, as low as it fits: above are faces and their names."""
        place = self._place.geometry()
        own = min(place.width() - 48, 720)
        height = max(self.heightForWidth(own), 50)
        self.setGeometry(place.x() + (place.width() - own) // 2, place.bottom() - height - 11, own, height)

    def _act(self) -> None:
        action = self._action  # before what this hid comes back, with an action of its own or none
        self.dismiss()
        if action is not None:
            action()

    def _restyle(self) -> None:
        self._sign.setPixmap(pixmap(self._severity, self._look.colour(self._severity), 20))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            body = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
            painter.setPen(QPen(self._look.colour("line"), 1))
            painter.setBrush(self._look.colour("raised"))
            painter.drawRoundedRect(body, 10, 10)
            # A bar of the severity's colour along the left edge.
            colour = QColor(self._look.colour(self._severity))
            painter.setClipRect(QRectF(0, 0, 5, self.height()))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawRoundedRect(body, 10, 10)
