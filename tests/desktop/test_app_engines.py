"""Weights and devices that cannot be had: who takes their place, and what is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from au_desktop import app as program
from au_desktop import settings as settings_file
from au_desktop.launch import Launch
from au_desktop.runtime.status import State
from au_desktop.settings import Settings
from rtatl_core.assets import asset
from rtatl_core.errors import InputError, WeightsError
from tests.desktop.fakes import FakeEngine
from tests.desktop.running import fake, is_live, once, run, tells

pytestmark = pytest.mark.usefixtures("no_camera")

WEIGHTS = str(asset("models/rtatl-synth.safetensors"))
"""Their card can be read; the engine below refuses them."""


def picky(settings: Settings) -> FakeEngine:
    if settings.model is not None:
        raise WeightsError("weights rtatl-synth.safetensors are not those of the card; install the model again")
    if settings.device == "cuda":
        raise InputError("device 'cuda' cannot be used here; write auto or cpu")
    return fake(settings)


@dataclass(frozen=True)
class Seen:
    settings: Settings
    shown: str
    banner: tuple[str, str]
    state: State

    @classmethod
    def of(cls, window: program.MainWindow) -> Seen:
        banner = window.stage.banner
        return cls(
            window.settings, window.options.model.text(), (banner.severity, banner.text), window._bridge.status.state
        )


def test_refused_weights_are_neither_shown_nor_kept() -> None:
    seen: list[Seen] = []

    def act(window: program.MainWindow) -> None:
        window.options.model.chosen.emit(WEIGHTS)
        once(lambda window: window.stage.banner.isVisible() and window.settings.model is None, look)

    def look(window: program.MainWindow) -> None:
        seen.append(Seen.of(window))
        window.close()

    once(is_live, act)
    assert run(Launch(source="demo"), picky) == 0
    assert seen[0].settings.model is None
    assert seen[0].shown == "rtatl-synth"
    assert seen[0].banner[0] == "warning"
    assert seen[0].banner[1].endswith("install the model again; the analysis goes on as before.")
    assert seen[0].state is State.LIVE
    assert settings_file.load()[0].model is None


@pytest.mark.parametrize(
    ("remembered", "told"),
    [
        ({"model": WEIGHTS}, "the model again; the model that comes with the program is used instead."),
        ({"device": "cuda"}, "write auto or cpu; the program chooses the device instead."),
        ({"model": WEIGHTS, "device": "cuda"}, "the program's own model and choice of device are used instead."),
    ],
)
def test_what_was_remembered_and_cannot_be_had_gives_way(remembered: dict[str, str], told: str) -> None:
    settings_file.save(Settings(**remembered))
    seen: list[Seen] = []

    def act(window: program.MainWindow) -> None:
        seen.append(Seen.of(window))
        window.close()

    once(lambda window: is_live(window) and window.stage.banner.isVisible(), act)
    assert run(Launch(source="demo"), picky) == 0
    assert seen[0].state is State.LIVE
    assert seen[0].banner[0] == "warning"
    assert seen[0].banner[1].endswith(told)
    assert (seen[0].settings.model, seen[0].settings.device) == (None, "auto")
    kept = settings_file.load()[0]
    assert (kept.model, kept.device) == (None, "auto")


def test_a_refusal_that_comes_after_the_end_does_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    def slow(settings: Settings) -> FakeEngine:
        if settings.model is not None:
            time.sleep(0.5)
        return picky(settings)

    def act(window: program.MainWindow) -> None:
        window.options.model.chosen.emit(WEIGHTS)
        window.close()

    once(is_live, act)
    assert run(Launch(source="demo"), slow) == 0
    QTest.qWait(2 * program.SAVE_AFTER_MS)
    assert "Traceback" not in capsys.readouterr().err


def test_a_script_and_a_flag_take_no_other_model(capsys: pytest.CaptureFixture[str]) -> None:
    settings_file.save(Settings(model=WEIGHTS))
    assert run(Launch(source="demo", duration=10), picky) == 2
    assert "not those of the card" in capsys.readouterr().err
    assert settings_file.load()[0].model == WEIGHTS
    settings_file.save(Settings())
    seen: list[Seen] = []

    def act(window: program.MainWindow) -> None:
        seen.append(Seen.of(window))
        window.close()

    once(lambda window: window.stage.banner.isVisible(), act)
    assert run(Launch(source="demo", model=WEIGHTS), picky) == 0
    assert seen[0].state is State.FAILED
    assert seen[0].banner[0] == "error"


def test_weights_that_were_mended_are_tried_again_without_a_source() -> None:
    mended: list[bool] = []

    def act(window: program.MainWindow) -> None:
        assert window.top.run.label == "Try again"
        mended.append(window.top.run.isEnabled())
        QTest.mouseClick(window.top.run, Qt.MouseButton.LeftButton)
        once(lambda window: not mended[0] or window._bridge.status.state is State.EMPTY, lambda window: window.close())

    once(lambda window: tells(window) and window._bridge.status.state is State.FAILED, act)
    assert run(Launch(model=WEIGHTS), lambda settings: (fake if mended else picky)(settings)) == 0
    assert mended == [True]
