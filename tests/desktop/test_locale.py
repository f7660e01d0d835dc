"""Where the decimal point is a comma."""

from __future__ import annotations

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


def test_faces_are_found_where_the_decimal_point_is_a_comma(comma: dict[str, str]) -> None:
    code = """
import locale
from au_desktop.app import qt_application
from rtatl_core.face.observe import Observer
qt_application(["test"])
assert locale.setlocale(locale.LC_CTYPE) == "de_DE.UTF-8"
Observer().close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=comma, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


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
