"""The card that explains an AU: three faces (at rest, intensity 3, intensity 5) and what is known of it.

Enters: an AU and the text of its row. Leaves: nothing; a window of its own that takes neither focus nor clicks, placed
beside the row so that it covers none.
"""

from __future__ import annotations

import html
from functools import lru_cache

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from au_desktop.ui.theme import Look
from rtatl_core.assets import asset
from rtatl_core.facs import au_label

FACE = 132
"""Side of one of the three faces on the card."""
_GAP = 10
_CAPTIONS = ("at rest", "intensity 3", "intensity 5")


@lru_cache(maxsize=32)
def atlas_faces(au: int) -> tuple[QPixmap, ...]:
    """The three pictures of assets/atlas; empty when there are none."""
    whole = QPixmap(str(asset(f"atlas/{au_label(au)}.jpg")))
    if whole.isNull():
        return ()
    side = whole.height()
    return tuple(
        whole.copy(part * side, 0, side, side).scaled(
            2 * FACE, 2 * FACE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        for part in range(len(_CAPTIONS))
    )


class AUHelp(QFrame):
    """Belongs to the rows it explains; hidden until ``explain``."""

    def __init__(self, look: Look, owner: QWidget) -> None:
        super().__init__(owner, Qt.WindowType.ToolTip)
        self.setObjectName("Help")
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._look, self._owner = look, owner
        self.au = 0
        self._faces = [QLabel() for _ in _CAPTIONS]
        self._pictures = QWidget()
        grid = QGridLayout(self._pictures)
        grid.setContentsMargins(0, 0, 0, 4)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(2)
        for column, (face, caption) in enumerate(zip(self._faces, _CAPTIONS, strict=True)):
            face.setFixedSize(FACE, FACE)
            face.setScaledContents(True)
            text = QLabel(caption)
            text.setObjectName("Faint")
            text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            grid.addWidget(face, 0, column)
            grid.addWidget(text, 1, column)
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setFixedWidth(len(_CAPTIONS) * FACE + 2 * 6)
        card = QVBoxLayout(self)
        card.setContentsMargins(14, 12, 14, 12)
        card.addWidget(self._pictures)
        card.addWidget(self._text)
        self._card = card
        look.changed.connect(self.hide)

    def explain(self, au: int, text: str, beside: QRect) -> None:
        """Show the card of an AU. beside: the row on the screen, in global pixels."""
        if au != self.au:
            faces = atlas_faces(au)
            self._pictures.setVisible(bool(faces))
            for label, face in zip(self._faces, faces, strict=False):
                label.setPixmap(face)
            self.au = au
        self.tell(text)
        self.move(self._place(beside))
        self.show()
        self.raise_()

    def tell(self, text: str) -> None:
        """Replaces the text, whose values change all the time: a title, paragraphs with empty lines between, a hint."""
        title, *lines = html.escape(text).splitlines()
        # Not <b>: the fonts that come with the program end at 600, and Qt would smear them.
        paragraphs = [f'<span style="font-size: 14px; font-weight: 600">{title}</span>', *lines]
        if lines:
            paragraphs[-1] = f'<span style="color: {self._look.colour("faint").name()}">{lines[-1]}</span>'
        self._text.setText("<br>".join(paragraphs).replace("<br><br>", '<p style="margin: 7px 0 0 0">'))
        self.ensurePolished()
        self._card.activate()  # forgets the least size of the text before
        self.resize(self._card.totalSizeHint())  # adjustSize keeps to 2/3 of the screen, and captions lie on faces

    def _place(self, beside: QRect) -> QPoint:
        """Left of the row if there is room, else right of it; within the screen of the row, which the window may have
        been moved to since this card was last shown."""
        screen = self._owner.screen().availableGeometry()
        spot = QRect(beside.topLeft(), self.size())
        spot.moveRight(beside.left() - _GAP)
        if spot.left() < screen.left():
            spot.moveLeft(beside.right() + _GAP)
        spot.moveCenter(QPoint(spot.center().x(), beside.center().y()))
        if spot.bottom() > screen.bottom():
            spot.moveBottom(screen.bottom())
        if spot.top() < screen.top():
            spot.moveTop(screen.top())
        return spot.topLeft()
