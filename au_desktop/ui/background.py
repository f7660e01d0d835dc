"""Work that would hold up the window, in a thread of its own, which the program waits for when it ends."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import shiboken6
from PySide6.QtCore import QObject, Signal

Answer = TypeVar("Answer")


class Background(QObject):
    """One piece of work at a time; what is wanted meanwhile is not done, nor what follows once ``owner`` is gone."""

    _done = Signal(object)

    def __init__(self, name: str, owner: QObject) -> None:
        super().__init__()
        self._name, self._owner = name, weakref.ref(owner)  # which a circle would keep until Python looks for such
        self._is_busy = False
        self._done.connect(self._end)

    @property
    def is_busy(self) -> bool:
        return self._is_busy

    def run(self, work: Callable[[], Answer], then: Callable[[Answer], object]) -> None:
        """``work``, which raises nothing, in another thread; ``then`` with its answer in the window's."""
        if not self._is_busy:
            self._is_busy = True
            threading.Thread(target=self._work, args=(work, then), name=self._name).start()

    def _work(self, work: Callable[[], Answer], then: Callable[[Answer], object]) -> None:
        answer = work()
        with contextlib.suppress(RuntimeError):  # the window is gone
            self._done.emit(partial(then, answer))

    def _end(self, act: Callable[[], object]) -> None:
        self._is_busy = False
        owner = self._owner()
        if owner is not None and shiboken6.isValid(owner):
            act()
