"""Where the decimal point is a comma."""

from __future__ import annotations

import json
import locale
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from au_desktop import app as program

ROOT = Path(__file__).resolve().parents[2]
COMMA = "de_DE.UTF-8"


@pytest.fixture
def comma(tmp_path: Path) -> dict[str, str]:
    """An environment whose decimal point is a comma."""
    if sys.platform != "linux" or shutil.which("localedef") is None:
        pytest.skip("no locale can be made here")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / COMMA)], capture_output=True, check=False
    )
    if made.returncode > 1:  # 1: made, with warnings
        pytest.skip("the sources of locales are not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    return environment | {"LOCPATH": str(tmp_path), "LANG": COMMA, "QT_QPA_PLATFORM": "offscreen"}


def test_faces_are_analysed_where_the_decimal_point_is_a_comma(comma: dict[str, str], tmp_path: Path) -> None:
    check = "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.localeconv()['decimal_point'])"
    told = subprocess.run([sys.executable, "-c", check], env=comma, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ","
    flags = ["--source", "demo", "--duration", "5", "--stats", str(tmp_path / "stats.json")]
    done = subprocess.run(
        [sys.executable, "-m", "au_desktop", *flags], cwd=ROOT, env=comma, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "stats.json").read_text())["frames_analysed"] > 0


def test_the_decimal_point_is_put_back_after_qt_took_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    in_force = {locale.LC_NUMERIC: "C"}

    class Qt:
        def __init__(self, arguments: list[str]) -> None:
            in_force[locale.LC_NUMERIC] = COMMA

        @staticmethod
        def instance() -> None:
            return None

    monkeypatch.setattr(program, "QApplication", Qt)
    monkeypatch.setattr(locale, "setlocale", in_force.__setitem__)
    assert isinstance(program.qt_application(["test"]), Qt)
    assert in_force[locale.LC_NUMERIC] == "C"
