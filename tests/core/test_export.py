from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rtatl_core.cli import main
from rtatl_core.errors import WeightsError
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.runtimes import TorchRuntime, pick_runtime
from rtatl_core.weights import Calibration, load_model, save_model

CONFIG = RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    plain = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    save_model(tmp_path / "tiny", RTATL(CONFIG), plain, {"name": "tiny", "trained_on": "nothing", "trust": {}})
    return tmp_path / "tiny.safetensors"


def test_an_exported_model_runs_in_onnxruntime(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_model(model).onnx is None
    assert main(["export", "--model", str(model)]) == 0
    assert "largest difference to torch" in capsys.readouterr().out
    loaded = load_model(model)
    assert loaded.onnx == model.with_suffix(".onnx")
    assert pick_runtime(loaded.network, loaded.onnx, torch.device("cpu")).name == "onnxruntime"
    assert isinstance(pick_runtime(load_model(model).network, None, torch.device("cpu")), TorchRuntime)


@pytest.mark.parametrize("choices", [{"geometry": 0, "relation_layers": 0}, {"backbone": "mobilenet_v2"}])
def test_other_networks_export_too(tmp_path: Path, choices: dict[str, object]) -> None:
    config = RTATLConfig(aus=(1, 12), **({"width": 8, "token": 16, "geometry": 16} | choices))  # type: ignore[arg-type]
    plain = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    save_model(tmp_path / "other", RTATL(config), plain, {"name": "other", "trained_on": "nothing", "trust": {}})
    assert main(["export", "--model", str(tmp_path / "other.safetensors")]) == 0  # checks parity itself
    assert load_model(tmp_path / "other.safetensors").onnx is not None


def test_a_changed_graph_is_refused(model: Path) -> None:
    assert main(["export", "--model", str(model)]) == 0
    graph = model.with_suffix(".onnx")
    graph.write_bytes(graph.read_bytes() + b" ")
    with pytest.raises(WeightsError, match=r"graph .* is not the one its card describes"):
        load_model(model)


def test_exporting_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--model", str(tmp_path / "none.safetensors")]) == 2
    assert "is missing" in capsys.readouterr().err
