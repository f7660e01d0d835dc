"""Colours, figures and the icon."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QIcon
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from au_desktop.settings import Settings
from au_desktop.ui.au_rows import grade
from au_desktop.ui.controls import Button
from au_desktop.ui.icons import app_icon
from au_desktop.ui.theme import AU_COLOURS, DARK, LIGHT, Look, Theme, over_picture
from au_desktop.words import clock, readable_size
from rtatl_core.facs import ACTION_UNITS
from tests.desktop.conftest import MakeDesk
from tests.desktop.contrast import contrast


def test_readable_figures() -> None:
    assert [clock(s) for s in (0, 65.4, 3665)] == ["0:00", "1:05", "1:01:05"]
    assert [readable_size(n) for n in (0, 820_000, 3_400_000, 2_500_000_000)] == [
        "0 kB",
        "820 kB",
        "3.4 MB",
        "2.50 GB",
    ]
    assert [grade(v) for v in (0.2, 1.0, 2.6, 5.0)] == ["absent", "A trace", "C marked", "E maximum"]
    assert [grade(v) for v in (0.5, 0.99)] == ["below A", "below A"], "the program counts it as absent"


NAMES = {DARK: "dark", LIGHT: "light"}


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_small_text_can_be_read_on_every_surface(theme: Theme) -> None:
    for ink in (theme.text, theme.dim, theme.faint):
        for behind in (theme.stage, theme.window, theme.surface, theme.raised):
            assert contrast(ink, behind) >= 4.5, (ink, behind)
    assert contrast(theme.on_accent, theme.accent) >= 4.5
    assert contrast(theme.warning, theme.surface) >= 4.5, "the status line tells of dropped frames in it"


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_curves_and_bars_can_be_made_out_and_names_of_curves_be_read(make_desk: MakeDesk, theme: Theme) -> None:
    for au, pair in AU_COLOURS.items():
        for behind in (theme.surface, theme.track):
            assert contrast(pair[theme is LIGHT], behind) >= 3, au
    traces = make_desk(Settings(curve_aus=(43,), theme=NAMES[theme])).window.traces  # the palest of the light theme
    names = traces._lanes.grab(traces.lanes_rect()).toImage()
    inks = {names.pixelColor(x, y).name() for x in range(names.width()) for y in range(names.height())}
    letters = {ink for ink in inks if ink.upper() != AU_COLOURS[43][theme is LIGHT]}
    assert max(contrast(ink, theme.surface) for ink in letters) >= 4.5
    assert len(letters) < len(inks), "the colour of the curve stands beside its name"


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_controls_and_what_is_chosen_can_be_made_out(make_desk: MakeDesk, look: Look, theme: Theme) -> None:
    """3 to 1 is what WCAG 2.2 asks of graphics (level AA)."""
    for behind in (theme.stage, theme.window, theme.surface, theme.raised):
        assert contrast(theme.edge, behind) >= 3, behind
    window = make_desk(Settings(curve_aus=tuple(ACTION_UNITS), theme=NAMES[theme])).window
    options = window.options
    options.show()
    QApplication.processEvents()
    assert look.theme is theme
    drawn = (
        options.lsl,
        options.smoothing,
        options.osc_address,
        options.faces.button(0),
        window.stage.chips["box"],
        window.traces._scroll,
    )
    for widget in drawn:
        assert has(widget, look.colour("edge")), widget
    options.hide()


def test_the_entry_of_a_menu_that_the_keyboard_is_at_can_be_made_out(make_desk: MakeDesk, look: Look) -> None:
    source = make_desk().window.top.source
    source.click()
    menu = source.choices
    assert not has(menu, look.colour("accent")), "nothing is chosen yet"
    QTest.keyClick(menu, Qt.Key.Key_Down)
    assert menu.activeAction() is not None
    assert has(menu, look.colour("accent"))
    menu.close()


def has(widget: QWidget, colour: QColor) -> bool:
    image = widget.grab().toImage()
    return any(image.pixelColor(x, y) == colour for x in range(image.width()) for y in range(image.height()))


def test_labels_over_a_white_picture_can_be_read() -> None:
    ground = over_picture("label")
    shines = 255 * (1 - ground.alphaF())
    parts = (round(ground.alphaF() * part + shines) for part in (ground.red(), ground.green(), ground.blue()))
    behind = "#" + "".join(f"{part:02x}" for part in parts)
    for ink in ("face", "selected", *(f"au{au}" for au in AU_COLOURS)):
        assert contrast(over_picture(ink).name(), behind) >= 4.5, ink


def test_every_au_has_its_own_colour() -> None:
    assert set(AU_COLOURS) == set(ACTION_UNITS)
    for column in range(2):
        assert len({pair[column] for pair in AU_COLOURS.values()}) == len(AU_COLOURS)


@pytest.mark.parametrize("column", [0, 1], ids=["dark", "light"])
def test_default_curves_differ_for_colour_blind_eyes(column: int) -> None:
    """Machado et al. 2009, severity 1, in linear RGB: the six default AUs stay apart for red- and green-blind eyes."""
    machado = {
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    }
    colours = [AU_COLOURS[au][column] for au in Settings().curve_aus]
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours])
    for matrix in machado.values():
        seen = (np.clip(rgb**2.2 @ np.array(matrix).T, 0, 1)) ** (1 / 2.2)
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 9 * np.eye(len(seen))
        assert distance.min() > 0.15


def test_the_app_icon_is_drawn(qapp: QApplication) -> None:
    image = app_icon().pixmap(64, 64).toImage()
    assert image.pixelColor(32, 20).alpha() == 255
    assert image.pixelColor(0, 0).alpha() == 0


def test_the_icon_of_a_button_that_cannot_be_used_is_as_faint_as_its_text(look: Look) -> None:
    button = Button(look, "Start", icon_name="play")
    drawn = button.icon().pixmap(QSize(18, 18), QIcon.Mode.Disabled).toImage()
    assert drawn.pixelColor(drawn.width() // 2, drawn.height() // 2) == look.colour("faint")
    button.deleteLater()


def test_the_focus_is_drawn_once(look: Look) -> None:
    """At the border of a button, not in its middle, too."""
    button = Button(look, "Watch the demo", icon_name="demo")
    button.show()
    button.activateWindow()
    assert QTest.qWaitForWindowActive(button)
    inside = button.rect().adjusted(4, 4, -4, -4)
    button.clearFocus()
    before, bare = button.grab().toImage(), button.grab(inside).toImage()
    button.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(button, Qt.Key.Key_Tab)  # which finds no other button to go to
    assert button.hasFocus()
    assert button.grab().toImage() != before
    assert button.grab(inside).toImage() == bare
    button.close()
    button.deleteLater()
