"""Every colour, font and style rule of the window, in one place.

Leaves: ``Look``, which the widgets ask for colours and which tells them when the theme changes. Widgets
never write a colour of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette, QStaticText, QTransform
from PySide6.QtWidgets import QApplication

from rtatl_core.assets import asset


@dataclass(frozen=True, slots=True)
class Theme:
    """Named colours. Surfaces from back to front: stage, window, surface, raised."""

    stage: str
    """Behind the picture."""
    window: str
    surface: str
    raised: str
    """Buttons, pop-ups."""
    hover: str
    line: str
    track: str
    """The empty part of a bar."""
    edge: str
    """Around what can be used or is chosen, where nothing else shows where it is."""
    text: str
    dim: str
    faint: str
    accent: str
    accent_soft: str
    """The accent as a background."""
    on_accent: str
    info: str
    warning: str
    error: str
    record: str


DARK = Theme(
    stage="#0C0F12",
    window="#13171B",
    surface="#191E23",
    raised="#222930",
    hover="#2B343C",
    line="#29313A",
    track="#2A323A",
    edge="#6F7B87",
    text="#EAEEF1",
    dim="#A3AEB8",
    faint="#87939E",
    accent="#3CC9B6",
    accent_soft="#16383A",
    on_accent="#06211E",
    info="#5FB0F2",
    warning="#F0B64A",
    error="#F2705F",
    record="#F0544F",
)

LIGHT = Theme(
    stage="#E4E8EC",
    window="#F3F5F7",
    surface="#FFFFFF",
    raised="#FFFFFF",
    hover="#EDF1F4",
    line="#DDE2E7",
    track="#E6EAEE",
    edge="#7C8690",
    text="#161B20",
    dim="#48535D",
    faint="#5D6873",
    accent="#0B8476",
    accent_soft="#D8F0EC",
    on_accent="#FFFFFF",
    info="#1F6FB8",
    warning="#9A6A00",
    error="#C23B2C",
    record="#D93A35",
)

AU_COLOURS: dict[int, tuple[str, str]] = {
    # (on dark and over the picture, on light). Chosen by search over OKLCH so that neighbours in the list,
    # the AUs of BP4D and of DISFA, and most of all the six default curves stay apart for normal,
    # deuteranope and protanope eyes alike.
    1: ("#A1D0FD", "#5681AB"),
    2: ("#E6AC3D", "#976B03"),
    4: ("#C68206", "#875806"),
    5: ("#869EFC", "#5163BC"),
    6: ("#84EEFD", "#1E92A0"),
    7: ("#DACF57", "#8A8000"),
    9: ("#FB90C1", "#B04C7D"),
    10: ("#69C1FC", "#197CB3"),
    12: ("#15AB83", "#057558"),
    14: ("#6AD18A", "#168B49"),
    15: ("#668FE8", "#395EB2"),
    16: ("#DA6E5A", "#A43D2B"),
    17: ("#1EB5E0", "#007796"),
    18: ("#CC6CA7", "#973C77"),
    20: ("#AEEEAC", "#589257"),
    22: ("#C99E1E", "#85670B"),
    23: ("#EA7CA1", "#A94268"),
    24: ("#FAB6B9", "#A7696D"),
    25: ("#F9D783", "#A2822A"),
    26: ("#AF77D0", "#7E479C"),
    27: ("#EF816B", "#AE4634"),
    28: ("#1ABCB8", "#057C79"),
    43: ("#84F3D8", "#1B9680"),
}

_OVER_PICTURE = {
    "face": "#D5DCE2",
    "selected": "#4FE0CC",
    "mesh": "#F2F6F8",
    "flow": "#FFE27A",
    "axis-x": "#FF7A70",
    "axis-y": "#7FE08A",
    "axis-z": "#74B8FF",
    "label": "#E60A0D10",
}
"""Over the picture the background is the picture, so these are the same in both themes.
A label's ground hides as much of a white picture (alpha first) as its smallest text needs to be read."""


def over_picture(ink: str) -> QColor:
    """Colour of one of ``overlay``'s inks, or of the ground of its labels."""
    if ink.startswith("au"):
        return QColor(AU_COLOURS[int(ink[2:])][0])
    return QColor(_OVER_PICTURE[ink])


class Look(QObject):
    """The theme in force. Widgets keep a reference, ask it when they paint and repaint on ``changed``."""

    changed = Signal()

    def __init__(self, app: QApplication, choice: str) -> None:
        super().__init__(app)
        self._app = app
        self.choice = choice
        self.theme = DARK
        app.styleHints().colorSchemeChanged.connect(self._refresh)
        self._refresh()

    def choose(self, choice: str) -> None:
        """ "dark", "light" or "system"."""
        self.choice = choice
        self._refresh()

    def colour(self, name: str) -> QColor:
        """A named colour of the theme: ``look.colour("dim")``."""
        return QColor(getattr(self.theme, name))

    def au_colour(self, au: int) -> QColor:
        """The AU's own colour, the same in panel, curves and regions. AUs outside FACS' list get the
        neutral text colour."""
        pair = AU_COLOURS.get(au)
        if pair is None:
            return self.colour("dim")
        return QColor(pair[0] if self.theme is DARK else pair[1])

    def detach(self) -> None:
        """Stops following the system's theme."""
        self._app.styleHints().colorSchemeChanged.disconnect(self._refresh)

    def _refresh(self) -> None:
        if self.choice == "system":
            is_light = self._app.styleHints().colorScheme() == Qt.ColorScheme.Light
            self.theme = LIGHT if is_light else DARK
        else:
            self.theme = LIGHT if self.choice == "light" else DARK
        self._app.setPalette(_palette(self.theme))
        self._app.setStyleSheet(_style_sheet(self.theme))
        self.changed.emit()


def load_fonts(app: QApplication) -> None:
    """Inter with figures of equal width comes with the program, so that numbers do not dance and every
    machine shows the same window; glyphs it lacks come from the system's fonts."""
    for path in sorted(asset("fonts").glob("*.ttf")):
        QFontDatabase.addApplicationFont(str(path))
    app.setFont(font(13))


def font(pixels: int, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """The interface font at that size in logical pixels."""
    made = QFont("Inter")
    made.setPixelSize(pixels)
    made.setWeight(weight)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return made


def static_texts(of: QFont) -> Callable[[str], tuple[QStaticText, float, float]]:
    """A function text -> (laid out once, width, height). The same few texts come back in every frame, and plain text
    costs five times as much to draw."""

    @lru_cache(maxsize=512)
    def lay_out(text: str) -> tuple[QStaticText, float, float]:
        made = QStaticText(text)
        made.setTextFormat(Qt.TextFormat.PlainText)
        made.setPerformanceHint(QStaticText.PerformanceHint.AggressiveCaching)
        made.prepare(QTransform(), of)
        return made, made.size().width(), made.size().height()

    return lay_out


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    for which, colour in (
        (role.Window, theme.window),
        (role.WindowText, theme.text),
        (role.Base, theme.surface),
        (role.AlternateBase, theme.window),
        (role.Text, theme.text),
        (role.Button, theme.raised),
        (role.ButtonText, theme.text),
        (role.ToolTipBase, theme.raised),
        (role.ToolTipText, theme.text),
        (role.PlaceholderText, theme.faint),
        (role.Highlight, theme.accent),
        (role.HighlightedText, theme.on_accent),
    ):
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(theme.faint))
    return palette


def _style_sheet(theme: Theme) -> str:
    t = theme
    return f"""
* {{ font-family: "Inter"; font-size: 13px; }}
QWidget {{ color: {t.text}; }}
QMainWindow, #Desk {{ background: {t.window}; }}
QFrame#Help {{ background: {t.raised}; border: 1px solid {t.line}; }}
QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; padding: 6px 8px; }}

#TopBar {{ background: {t.surface}; border-bottom: 1px solid {t.line}; }}
#StatusLine {{ background: {t.surface}; border-top: 1px solid {t.line}; }}
#Card {{ background: {t.surface}; }}
#Stage {{ background: {t.stage}; }}
#Title {{ font-size: 13px; font-weight: 600; color: {t.text}; }}
#Quiet {{ color: {t.dim}; }}
#Faint {{ color: {t.faint}; font-size: 12px; }}
#Headline {{ font-size: 22px; font-weight: 600; color: {t.text}; }}
#Lead {{ font-size: 14px; color: {t.dim}; }}

QPushButton {{
  background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; border-radius: 8px;
  padding: 0 12px; min-height: 32px; font-weight: 500; outline: 0;
}}
QPushButton:hover {{ background: {t.hover}; }}
QPushButton:pressed {{ background: {t.line}; }}
QPushButton:focus {{ border-color: {t.accent}; }}
QPushButton:disabled {{ color: {t.faint}; background: {t.surface}; }}
QPushButton[kind="big"] {{ min-height: 44px; padding: 0 20px; border-radius: 10px; font-size: 14px; }}
QPushButton[kind="big-primary"] {{
  min-height: 44px; padding: 0 20px; border-radius: 10px; font-size: 14px; font-weight: 600;
  background: {t.accent}; color: {t.on_accent}; border-color: {t.accent};
}}
QPushButton[kind="big-primary"]:focus {{ border-color: {t.text}; }}
QPushButton[kind="icon"] {{
  background: transparent; border-color: transparent; padding: 0; min-width: 34px; max-width: 34px;
}}
QPushButton[kind="icon"]:hover {{ background: {t.hover}; }}
QPushButton[kind="icon"]:focus {{ border-color: {t.accent}; }}
QPushButton[kind="menu"] {{ padding-right: 34px; text-align: left; }}
QPushButton[kind="chip"] {{
  background: transparent; border: 1px solid transparent; border-radius: 7px; padding: 0 10px 0 7px; min-height: 26px;
  color: {t.dim}; font-weight: 500; font-size: 12px;
}}
QPushButton[kind="chip"]:hover {{ background: {t.hover}; }}
QPushButton[kind="chip"]:checked {{ background: {t.accent_soft}; color: {t.text}; border-color: {t.edge}; }}
QPushButton[kind="chip"]:focus {{ border-color: {t.accent}; }}
QPushButton[kind="chip"]:checked:focus {{ border-color: {t.text}; }}
QPushButton[kind="chip"]:disabled {{ background: transparent; color: {t.faint}; border-color: transparent; }}
QPushButton[kind="segment"] {{
  background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 0 9px; min-height: 22px;
  color: {t.dim}; font-weight: 500; font-size: 12px;
}}
QPushButton[kind="segment"]:hover {{ color: {t.text}; }}
QPushButton[kind="segment"]:checked {{ background: {t.raised}; color: {t.text}; border-color: {t.edge}; }}
QPushButton[kind="segment"]:focus {{ border-color: {t.accent}; }}
QPushButton[kind="segment"]:checked:focus {{ border-color: {t.text}; }}
QPushButton[kind="segment"]:disabled {{ color: {t.faint}; }}
QPushButton[kind="segment"]:checked:disabled {{ background: transparent; color: {t.dim}; border-color: {t.line}; }}
#Segmented {{ background: {t.window}; border-radius: 8px; }}

QMenu {{ background: {t.raised}; border: 1px solid {t.line}; padding: 6px; }}
QMenu::item {{ padding: 6px 27px 6px 9px; border: 1px solid transparent; border-radius: 6px; }}
QMenu::icon {{ padding-left: 8px; }}
QMenu::item:selected {{ background: {t.hover}; border-color: {t.accent}; }}
QMenu::item:disabled {{ color: {t.faint}; }}
QMenu::separator {{ height: 1px; background: {t.line}; margin: 6px 4px; }}
QMenu::indicator {{ width: 0; }}

#Popover {{ background: {t.raised}; border: 1px solid {t.line}; }}
#Popover QPushButton[kind=""], #Popover QPushButton[kind="menu"], #Banner QPushButton[kind=""] {{
  background: {t.hover};
}}
#Popover QPushButton[kind=""]:hover, #Popover QPushButton[kind="menu"]:hover, #Banner QPushButton[kind=""]:hover {{
  background: {t.line};
}}
QLineEdit {{
  background: {t.window}; border: 1px solid {t.edge}; border-radius: 8px; padding: 0 9px; min-height: 28px;
  selection-background-color: {t.accent}; selection-color: {t.on_accent};
}}
QLineEdit:focus {{ border-color: {t.accent}; }}
QSlider::groove:horizontal {{ height: 4px; border-radius: 2px; background: {t.edge}; }}
QSlider::sub-page:horizontal {{ height: 4px; border-radius: 2px; background: {t.accent}; }}
QSlider::handle:horizontal {{
  width: 14px; height: 14px; margin: -5px 0; border-radius: 7px; background: {t.text}; border: 0;
}}
QSlider {{ border: 1px solid transparent; border-radius: 6px; }}
QSlider:focus {{ border-color: {t.accent}; }}

QSplitter::handle {{ background: {t.line}; }}
QSplitter::handle:hover {{ background: {t.accent}; }}
QScrollArea {{ background: transparent; border: 0; }}
QScrollBar:vertical {{ width: 8px; background: transparent; margin: 0; }}
QScrollBar::handle:vertical {{ background: {t.edge}; border-radius: 4px; min-height: 32px; }}
QScrollBar::handle:vertical:hover {{ background: {t.dim}; }}
QScrollBar::add-line:vertical, QScrollBar::sub-line:vertical {{ height: 0; }}
"""
