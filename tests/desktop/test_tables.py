"""The button "Make table": all recordings of the folder as tables, without a terminal."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from au_desktop.ui import tables
from rtatl_core.sessions.table import Table
from tests.desktop.conftest import Desk, MakeDesk, wait_until
from tests.desktop.hands import LEFT, live, press
from tests.tables import csv_rows


def record(desk: Desk, name: str, *, markers: int = 0) -> Path:
    desk.window.options.name_chosen.emit(name)
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: (now := desk.bridge.status.recording) is not None and now.rows > 5)
    folder = desk.bridge.status.recording.folder
    for _ in range(markers):
        rows = desk.bridge.status.recording.rows
        press(desk, Qt.Key.Key_M)
        wait_until(lambda before=rows: desk.bridge.status.recording.rows > before + 5)
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: desk.bridge.status.recording is None)
    return folder


def make_table(desk: Desk) -> None:
    QTest.mouseClick(desk.window.top.options, LEFT)
    QTest.mouseClick(desk.window.options.table, LEFT)
    assert not desk.window.options.isVisible(), "it would hide the answer"
    wait_until(lambda: not desk.window.recording._counting.is_busy)


def test_a_click_makes_a_table_of_sessions_and_one_of_trials(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    first, banner = record(desk, "P01"), desk.window.stage.banner
    root = first.parent
    record(desk, "P02", markers=2)
    make_table(desk)
    (table,), (trials,) = root.glob("table_*.csv"), root.glob("trials_*.csv")
    assert [row["name"] for row in csv_rows(table)] == ["P01", "P02"]
    assert all(float(row["AU12_max"]) >= float(row["AU12_mean"]) for row in csv_rows(table))
    assert [(row["name"], row["part"]) for row in csv_rows(trials)] == [("P02", "1"), ("P02", "2")]
    assert (banner.severity, banner.text) == (
        "info",
        f"{table.name} has 2 sessions, {trials.name} 2 parts of 1 session that begin at markers.",
    )
    QTest.mouseClick(banner._button, LEFT)
    assert desk.opened == [root]
    (first / "events.csv").write_text("timestamp;frame;kind;label")
    make_table(desk)
    assert banner.severity == "warning"
    assert f"{first / 'events.csv'} cannot be read" in banner.text, "or its trials would be missed by nobody"


def test_what_is_left_out_is_said_and_a_running_recording_is_waited_for(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    table = desk.window.options.table
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: not table.isEnabled())
    assert "stop this one first" in table.toolTip()
    press(desk, Qt.Key.Key_R)
    wait_until(table.isEnabled)
    assert table.toolTip().startswith("One table of all recordings")
    folder = record(desk, "P01")
    for name in ("a", "b", "c"):
        shutil.copytree(folder, folder.with_name(name))
        (folder.with_name(name) / "frames.csv").write_text("frame,face_id\n")
    make_table(desk)
    banner = desk.window.stage.banner
    assert banner.severity == "warning"
    assert f"{folder.with_name('b')} cannot be used, since its frames.csv has no timestamp" in banner.text
    assert banner.text.endswith("And 1 more.")


def test_a_folder_without_recordings_says_so(make_desk: MakeDesk) -> None:
    desk = make_desk()
    root = Path(desk.window.settings.record_root)
    banner = desk.window.stage.banner
    make_table(desk)
    assert banner.text == f"Nothing is recorded yet; sessions will be in {root}."
    root.mkdir()
    make_table(desk)
    assert (banner.severity, banner.text) == ("warning", f"Nothing is recorded in {root} yet.")


def test_a_table_that_cannot_be_made_says_why(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = live(make_desk())
    folder = record(desk, "P01")
    banner = desk.window.stage.banner
    make_table(desk)
    (table,) = folder.parent.glob("*.csv")
    assert banner.text == f"{table.name} has 1 session."

    def full(self: Table, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Table, "write", full)
        make_table(desk)
    assert banner.text == (
        f"{folder.parent} takes no table (No space left on device); make room there, or choose another folder."
    )
    monkeypatch.setattr(tables, "tabulate", lambda folders: 1 / 0)
    make_table(desk)
    assert banner.severity == "error"
    assert "ZeroDivisionError" in banner.text
