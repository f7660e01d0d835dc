from __future__ import annotations

import os
import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest

from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.priority import NICENESS, awake, give_way
from tests.desktop.conftest import until
from tests.desktop.fakes import CAMERA, FakeEngine, FakeSource


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux only")
def test_the_window_gives_way_and_captures_started_later_do_not() -> None:
    nice: dict[str, int] = {}

    def mine() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    class Source(FakeSource):
        def read(self):  # type: ignore[no-untyped-def]
            nice["capture"] = mine()
            return super().read()

    def window() -> None:
        pipeline = Pipeline(FakeEngine, open_source=lambda spec: Source(spec, fps=100))  # type: ignore[arg-type]
        pipeline.start()
        give_way()
        nice["window"] = mine()
        pipeline.set_source(CAMERA)
        until(pipeline, lambda status: status.analysed > 2)
        pipeline.close()

    before = mine()
    thread = threading.Thread(target=window)
    thread.start()
    thread.join()
    assert nice == {"window": max(NICENESS, before), "capture": before}


def test_macos_lets_the_program_work_behind_other_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    process = SimpleNamespace(
        beginActivityWithOptions_reason_=lambda how, why: said.append(how) or "activity", endActivity_=said.append
    )
    framework = ModuleType("Foundation")
    framework.__dict__.update(
        NSActivityUserInitiatedAllowingIdleSystemSleep=0xEFFFFF,
        NSActivityLatencyCritical=0xFF00000000,
        NSProcessInfo=SimpleNamespace(processInfo=lambda: process),
    )
    monkeypatch.setitem(sys.modules, "Foundation", framework)
    monkeypatch.setattr(sys, "platform", "darwin")
    with awake():
        assert said == [0xFF00EFFFFF]
    assert said[1:] == ["activity"]
