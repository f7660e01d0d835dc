from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from au_desktop.runtime.awake import awake


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
