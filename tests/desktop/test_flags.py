from __future__ import annotations

import subprocess
import sys

import pytest

import rtatl_core
from au_desktop.__main__ import _parser
from au_desktop.settings import LAYERS


def test_layers_are_all_or_named() -> None:
    assert _parser().parse_args(["--layers", "all"]).layers == LAYERS
    assert _parser().parse_args(["--layers", "box,flow"]).layers == ("box", "flow")
    assert _parser().parse_args(["--layers", ""]).layers == ()
    assert _parser().parse_args([]).layers is None


def test_an_unknown_layer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        _parser().parse_args(["--layers", "halo"])
    assert "'halo' names no layers; write all, or some of box," in capsys.readouterr().err


def test_the_version_is_that_of_rtatl(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        _parser().parse_args(["--version"])
    assert capsys.readouterr().out == f"au-desktop {rtatl_core.__version__}\n"


@pytest.mark.parametrize("works", [False, True])
def test_a_thread_that_does_not_end_is_left_behind(works: bool) -> None:
    """Ended by the interpreter inside native code it would abort the process."""
    begin = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()" if works else "None"
    program = (
        "import atexit, threading, time\nfrom au_desktop import __main__ as command\n"
        "atexit.register(print, 'interpreter ends')\n"
        f"command.main = lambda: ({begin}, print('said'), 3)[-1]\ncommand.start()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 3
    assert ended.stdout.split("\n") == (["said", ""] if works else ["said", "interpreter ends", ""])
