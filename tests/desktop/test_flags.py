from __future__ import annotations

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
