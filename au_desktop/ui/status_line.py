"""The line at the bottom: what the program does now, and the numbers that tell whether it keeps up."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from au_desktop.runtime.status import State, Status
from au_desktop.ui.controls import announce
from au_desktop.ui.theme import Look, font
from au_desktop.words import clock

_STATES = {
    State.LOADING: ("Loading the model", "faint"),
    State.EMPTY: ("No source", "faint"),
    State.STARTING: ("Opening", "faint"),
    State.LIVE: ("Live", "accent"),
    State.PAUSED: ("Paused", "warning"),
    State.ASKING: ("Waiting", "warning"),
    State.RECONNECTING: ("Reconnecting", "warning"),
    State.FINISHED: ("Ended", "dim"),
    State.FAILED: ("Not working", "error"),
}
_AT_REST = (State.PAUSED, State.FINISHED, State.RECONNECTING, State.FAILED)
"""No frame comes."""
SAID_FOR_MS = 4000


class StatusLine(QWidget):
    """Painted as a row of caption and figure. Fields keep their width, so that nothing moves when a digit
    changes."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.setObjectName("StatusLine")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedHeight(30)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._look = look
        self._state = ("", "faint")
        self._left: list[tuple[str, str, str]] = []
        self._right = ""
        self._said = ""
        self._passing = False
        self._moment = QTimer(self)
        self._moment.setSingleShot(True)
        self._moment.setInterval(SAID_FOR_MS)
        self._moment.timeout.connect(lambda: self.say(""))
        self._figure_font = font(12, QFont.Weight.Medium)
        self._caption_font = font(12)
        self._advance = QFontMetricsF(self._figure_font).horizontalAdvance
        self._advance_caption = QFontMetricsF(self._caption_font).horizontalAdvance
        self.setToolTip(
            "Analysed frames per second; median time from capture to screen over the last two seconds;\n"
            "frames that were captured but given up because a newer one was there"
        )
        look.changed.connect(self.update)

    @property
    def text(self) -> str:
        """All that is shown, as one line (for screen readers and tests)."""
        figures = (f"{figure} {caption}" for figure, caption, _ in self._left)
        fields = [self._state[0], *figures, self._said or self._right]
        return "  ".join(field for field in fields if field)

    def say(self, text: str, *, passing: bool = False) -> None:
        """Shows this sentence for a moment, in place of size and device. ``passing``: it tells what to do first, and no
        longer holds once that is done (``pass_away``)."""
        self._said, self._passing = text, passing
        if text:
            self._moment.start()
            announce(self, text)
        self.setAccessibleName(self.text)
        self.update()

    def pass_away(self) -> None:
        """Takes a passing sentence back."""
        if self._passing:
            self.say("")

    def show_status(self, status: Status, delay_ms: float | None) -> None:
        name, colour = _STATES[status.state]
        if status.state is State.LIVE and status.source is not None and not status.source.live:
            name = "Playing"
        still = status.source is not None and status.source.still
        if still and status.state is State.FINISHED:
            name = "Photo"
        self._state = (name, colour)
        self._left = []
        if status.analysed and status.state not in _AT_REST:  # figures of a moment ago would mislead
            delay = "\N{EN DASH}" if delay_ms is None else f"{delay_ms:.0f}"
            self._left = [(f"{status.fps:.1f}", "frames/s", "text"), (delay, "ms to screen", "text")]
        if status.analysed and not still:
            self._left.append((f"{status.dropped}", "dropped", "warning" if status.dropped else "text"))
            if status.position_s is not None and status.duration_s:
                # Rounded: the last frame of four seconds is at 3.97.
                position, length = clock(round(status.position_s)), clock(round(status.duration_s))
                self._left.append((position, f"of {length}", "text"))
        size = status.source_size
        parts = [
            *status.streams,  # nobody sends numbers without seeing it
            f"{size[0]} \N{MULTIPLICATION SIGN} {size[1]}" if size else "",
            (status.device or "").upper(),
        ]
        self._right = "   ".join(part for part in parts if part)
        self.setAccessibleName(self.text)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(600, 30)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            look = self._look
            painter.fillRect(self.rect(), look.colour("surface"))
            painter.fillRect(0, 0, self.width(), 1, look.colour("line"))
            state, colour = self._state
            middle = self.height() / 2 + 0.5
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.colour(colour))
            painter.drawEllipse(QPointF(23, middle), 4, 4)
            line = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
            painter.setFont(self._figure_font)
            painter.setPen(look.colour("text"))
            painter.drawText(QRectF(36, 0, 160, self.height()), line, state)
            x = 36 + max(74.0, self._advance(state) + 20)
            for figure, caption, ink in self._left:
                width = max(self._advance(figure), self._advance("00.0"))
                painter.setFont(self._figure_font)
                painter.setPen(look.colour(ink))
                place = QRectF(x, 0, width, self.height())
                painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, figure)
                painter.setFont(self._caption_font)
                painter.setPen(look.colour("faint"))
                painter.drawText(QRectF(x + width + 5, 0, 140, self.height()), line, caption)
                x += width + 5 + self._advance_caption(caption) + 24
            painter.setPen(look.colour("text" if self._said else "faint"))
            right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
            room = QRectF(x, 0, self.width() - 20 - x, self.height())
            # Of a long sentence the end is kept, which follows the name in it; else the streams, which begin it.
            cut = Qt.TextElideMode.ElideLeft if self._said else Qt.TextElideMode.ElideRight
            text = painter.fontMetrics().elidedText(self._said or self._right, cut, int(room.width()))
            painter.drawText(room, right, text)
