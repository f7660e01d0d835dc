"""The network in parts in OpenVINO."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from rtatl_core import openvino_package
from rtatl_core.calibration import Calibration
from rtatl_core.card import golden_input, read_card
from rtatl_core.cli import main
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.predictor import Predictor
from rtatl_core.runtimes import openvino_runtime
from rtatl_core.runtimes.onnx_runtime import OnnxRuntime
from rtatl_core.runtimes.openvino_runtime import OpenVinoRuntime, WholeRuntime
from rtatl_core.weights import save_model
from tests.clips import cut_from_demo

if find_spec("openvino") is None:
    pytest.skip("needs openvino", allow_module_level=True)

LIFTED = Calibration(np.ones(2, np.float32), np.full(2, -0.5, np.float32))


def exported(folder: Path, **choices: object) -> Path:
    shape = {"width": 8, "token": 16, "geometry": 16, "sides": True, "reference": True} | choices
    config = RTATLConfig(aus=(1, 12), **shape)  # type: ignore[arg-type]
    torch.manual_seed(0)
    network = RTATL(config, inpainting=True)
    if network.geometry is not None and network.geometry.compares:
        network.geometry.own_spread.fill_(0.005)  # as of real faces, whose geometry is a matter of hundredths
        network.geometry.feature_mean.fill_(1.0)
    save_model(folder / "tiny", network, LIFTED, {"name": "tiny", "trained_on": "nothing", "trust": {}})
    assert main(["export", "--model", str(folder / "tiny.safetensors")]) == 0
    return folder / "tiny.safetensors"


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a CPU with bfloat16; what is computed is computed as this one can."""
    monkeypatch.setattr(openvino_runtime, "serves", lambda: True)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"geometry": 0, "reference": False, "sides": False},
        {"backbone": "mobilenet_v2"},
        {"backbone": "face_mesh"},
        {"relation_layers": 0},
    ],
)
def test_the_parts_together_say_what_the_whole_says(tmp_path: Path, choices: dict[str, object]) -> None:
    card = read_card(exported(tmp_path, **choices))
    graphs = card.graphs()
    whole, parts = OnnxRuntime(card, graphs, 1), OpenVinoRuntime(card, graphs, 1)
    rng = np.random.default_rng(0)
    chip, centres, geometry, reference = golden_input(card.config)
    chips = np.stack([chip, rng.integers(0, 256, chip.shape, np.uint8), chip[::-1]])
    unknown = np.full_like(reference, np.nan)
    inputs = chips, np.stack([centres] * 3), np.stack([geometry] * 3), np.stack([reference, geometry, unknown])
    said, expected = (runtime(*inputs, want_flow=True, want_patches=True) for runtime in (parts, whole))
    spread = float(expected.intensity.std())
    np.testing.assert_allclose(said.intensity, expected.intensity, atol=0.03 * max(1.0, spread))
    np.testing.assert_allclose(said.occurrence, expected.occurrence, atol=0.05)
    assert (said.sides is None) == (expected.sides is None)
    assert said.flow is not None
    assert expected.flow is not None
    assert said.flow.shape == expected.flow.shape
    assert said.patches is not None
    assert expected.patches is not None
    assert np.abs(said.patches.astype(int) - expected.patches.astype(int)).mean() < 2


@pytest.mark.slow
@pytest.mark.usefixtures("wanted")
def test_landmarks_are_compared_in_full_precision(tmp_path: Path) -> None:
    """What tells two faces apart may be a thousandth of the numbers that describe them."""
    card = read_card(exported(tmp_path))
    graphs = card.graphs()
    whole, parts = OnnxRuntime(card, graphs, 1), OpenVinoRuntime(card, graphs, 1)
    chip, centres, geometry, _ = golden_input(card.config)
    near = (1 + geometry, 1 + geometry * np.float32(1.05))
    changes = []
    for runtime in (whole, parts):
        a, b = (runtime(chip[None], centres[None], one[None], near[0][None]).intensity for one in near)
        changes.append(b - a)
    assert np.abs(changes[0]).max() > 1e-3
    np.testing.assert_allclose(changes[1], changes[0], rtol=0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("wanted")
def test_it_is_taken_where_it_serves_and_only_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = exported(tmp_path)
    assert Predictor(model, "cpu").runtime == "openvino"
    path = model.with_suffix(".json")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"onnx_parity": facts["onnx_parity"] | {"precision": "int8"}}))
    assert Predictor(model, "cpu").runtime == "onnxruntime"  # its ranges are ONNX Runtime's
    path.write_text(json.dumps(facts))
    monkeypatch.setattr(openvino_runtime, "serves", lambda: False)
    assert Predictor(model, "cpu").runtime == "onnxruntime"


@pytest.mark.parametrize(("switch", "can", "serves"), [("", True, True), ("", False, False), ("0", True, False)])
def test_it_serves_where_the_processor_can_and_nobody_says_no(
    monkeypatch: pytest.MonkeyPatch, switch: str, can: bool, serves: bool
) -> None:
    monkeypatch.setenv(openvino_runtime.SWITCH, switch)
    monkeypatch.setattr(openvino_runtime, "has_bfloat16", lambda: can)
    assert openvino_runtime.serves() == serves


@pytest.mark.slow
@pytest.mark.usefixtures("wanted")
def test_an_export_tells_how_far_it_is_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = exported(tmp_path)
    capsys.readouterr()
    clip = str(cut_from_demo(tmp_path / "face.mp4", 40))
    assert main(["export", "--model", str(model), "--parity-on", clip]) == 0
    assert "OpenVINO as used here" in capsys.readouterr().out
    told = read_card(model).facts["onnx_parity"]["openvino_bf16"]
    assert told["faces"] > 20
    assert told["au_difference"]["p99"] < 0.05


def test_it_reports_to_nobody() -> None:
    """openvino's converter would send what it is used for, if it could load what sends it."""
    code = (
        "import sys\n"
        "from rtatl_core.card import read_card\n"
        "from rtatl_core.runtimes.openvino_runtime import OpenVinoRuntime, WholeRuntime\n"
        "card = read_card(None)\n"
        "OpenVinoRuntime(card, card.graphs(), 1)\n"
        "print([name for name, module in sys.modules.items() if 'openvino_telemetry' in name and module])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.slow
def test_other_programs_get_the_graph_in_openvinos_own_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = exported(tmp_path)
    clip = str(cut_from_demo(tmp_path / "face.mp4", 40))
    capsys.readouterr()
    arguments = ["export", "--model", str(model), "--parity-on", clip, "--openvino", str(tmp_path / "ir")]
    assert main(arguments) == 0
    assert "OpenVINO in fp32 throughout" in capsys.readouterr().out
    assert {file.name for file in (tmp_path / "ir").iterdir()} == {"tiny.xml", "tiny.bin"}
    card = read_card(model)
    parity = card.facts["onnx_parity"]["openvino"]
    assert parity["fp32"]["au_difference"]["max"] < 0.01
    assert parity["fp32"]["faces"] > 20
    graphs = dict(card.graphs())
    told = WholeRuntime(card, graphs | {"network": tmp_path / "ir" / "tiny.xml"}, 1, "f32")
    np.testing.assert_allclose(told.golden_answer(), card.golden, atol=0.01)
    assert main([*arguments, "--precision", "int8", "--ranges-from", clip]) == 0
    assert set(read_card(model).facts["onnx_parity"]["openvino"]) == {"int8"}
    assert main([*arguments[:-1], str(tmp_path / "face.mp4" / "ir")]) == 2
    assert "name another folder" in capsys.readouterr().err
    monkeypatch.setattr(openvino_package, "is_installed", lambda: False)
    assert main(arguments) == 2
    assert "-e '.[openvino]'" in capsys.readouterr().err
