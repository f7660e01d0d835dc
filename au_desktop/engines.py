"""Which engine runs: the one that was asked for or, where it cannot be used, another one, and the person is told.

Enters: settings; leaves: functions that make an engine, to be called in the analysis thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from au_desktop.settings import Settings
from rtatl_core.errors import AUError

if TYPE_CHECKING:
    from rtatl_core.engine import Engine

MakeEngine = Callable[[Settings], "Engine"]
Refused = Callable[[Settings, Settings], object]
"""Called with the settings that were asked for and those in force instead."""

_INSTEAD: tuple[tuple[dict[str, str | None], str], ...] = (
    ({"model": None}, "the model that comes with the program is used instead"),
    ({"device": "auto"}, "the program chooses the device instead"),
    ({"model": None, "device": "auto"}, "the program's own model and choice of device are used instead"),
)
"""What may stand in for remembered settings at the start, in this order."""


class Engines:
    """``on_refused`` and ``tell`` (with a sentence for the person) are called in the analysis thread."""

    def __init__(self, make: MakeEngine, on_refused: Refused, tell: Callable[[str], object]) -> None:
        self._make = make
        self._on_refused = on_refused
        self._tell = tell
        self._in_use: Settings | None = None

    def first(self, asked: Settings, replaceable: Collection[str]) -> Callable[[], Engine]:
        """At the start. ``replaceable``: settings that were remembered, so that others may take their place if need
        be; what a person asked for just now is not among them."""

        def make() -> Engine:
            try:
                return self._made(asked)
            except Exception as error:
                for changes, told in _INSTEAD:
                    instead = replace(asked, **changes)  # type: ignore[arg-type]
                    if instead != asked and changes.keys() <= set(replaceable) and (engine := self._tried(instead)):
                        self._on_refused(asked, instead)
                        self._tell(f"{_cause(error)}; {told}.")
                        return engine
                raise

        return make

    def next(self, asked: Settings) -> Callable[[], Engine]:
        """While one runs, which goes on if this one cannot be used."""

        def make() -> Engine:
            try:
                return self._made(asked)
            except Exception:
                if self._in_use is not None:
                    self._on_refused(asked, self._in_use)
                raise

        return make

    def _made(self, settings: Settings) -> Engine:
        engine = self._make(settings)
        self._in_use = settings
        return engine

    def _tried(self, settings: Settings) -> Engine | None:
        try:
            return self._made(settings)
        except Exception:  # whatever it was: the first reason is the one to tell
            return None


def _cause(error: Exception) -> str:
    text = str(error) if isinstance(error, AUError) else f"{type(error).__name__}: {error}"
    return text.rstrip(".")
