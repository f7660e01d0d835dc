"""Where the decimal point is a comma, the small letter of I is no i, or texts are not UTF-8."""

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


@pytest.fixture(params=["de_DE.UTF-8", "tr_TR.UTF-8", "de_DE.ISO-8859-1"])
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a person with that locale."""
    if sys.platform != "linux" or shutil.which("localedef") is None:
        pytest.skip("no locale can be made here")
    name: str = request.param
    language, _, letters = name.partition(".")
    made = subprocess.run(
        ["localedef", "-i", language, "-f", letters, str(tmp_path / name)], capture_output=True, check=False
    )
    if made.returncode > 1:  # 1: made, with warnings
        pytest.skip("the sources of locales are not installed")
    others = ("LC_", "AU_DESKTOP_OPENVINO")  # it reads by the locale too, where it is used
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return environment | {"LOCPATH": str(tmp_path), "LANG": name, "QT_QPA_PLATFORM": "offscreen"}


@pytest.mark.parametrize(
    "begin",
    [
        "assert locale.setlocale(locale.LC_CTYPE) == os.environ['LANG']",
        """
from au_desktop.app import qt_application
qt_application(["test"])
from PySide6.QtCore import QTimer
QTimer(interval=20)
""",
    ],
    ids=["rtatl", "window"],
)
def test_faces_are_found_in_every_language(begin: str, foreign: dict[str, str]) -> None:
    code = f"import locale, os\n{begin}\nfrom rtatl_core.engine import Engine\nEngine().close()\nEngine().close()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=foreign, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_locale_is_put_back_after_qt_took_that_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    in_force = {locale.LC_NUMERIC: "C", locale.LC_CTYPE: "C"}

    class Qt:
        def __init__(self, arguments: list[str]) -> None:
            in_force.update(dict.fromkeys(in_force, "tr_TR.UTF-8"))

        @staticmethod
        def instance() -> None:
            return None

    monkeypatch.setattr(program, "QApplication", Qt)
    monkeypatch.setattr(locale, "setlocale", in_force.__setitem__)
    assert isinstance(program.qt_application(["test"]), Qt)
    assert in_force == {locale.LC_NUMERIC: "C", locale.LC_CTYPE: "C.UTF-8"}
