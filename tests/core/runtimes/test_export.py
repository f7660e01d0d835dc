from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from rtatl_core.calibration import Calibration
from rtatl_core.card import read_card
from rtatl_core.cli import main
from rtatl_core.errors import SourceError, WeightsError
from rtatl_core.handoffs import CHIP_SIDE
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.predictor import Predictor
from rtatl_core.runtimes.export import export_onnx
from rtatl_core.runtimes.quantise import network_inputs
from rtatl_core.weights import save_model
from tests.clips import cut_from_demo, write_clip

CONFIG = RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16)
LIFTED = Calibration(np.ones(2, np.float32), np.full(2, -0.5, np.float32))
"""Moves the answers of an untrained network to the middle of the scale, where nothing is clipped."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = RTATL(CONFIG, inpainting=True)
    save_model(tmp_path / "tiny", network, LIFTED, {"name": "tiny", "trained_on": "nothing", "trust": {}})
    return tmp_path / "tiny.safetensors"


def test_an_exported_model_runs_in_onnxruntime(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_card(model).graphs() == {}
    assert Predictor(model, "cpu").runtime == "torch"
    assert main(["export", "--model", str(model)]) == 0
    assert "largest difference to torch" in capsys.readouterr().out
    assert {file.name for file in read_card(model).graphs().values()} == {
        "tiny.onnx",
        "tiny.flow.onnx",
        "tiny.recovery.onnx",
    }
    assert Predictor(model, "cpu").runtime == "onnxruntime"


def test_a_full_disk_leaves_the_card_as_it_was(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = model.with_suffix(".json").read_text()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rtatl_core.files.os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        export_onnx(model)
    assert model.with_suffix(".json").read_text() == before


@pytest.mark.slow
def test_an_int8_graph_is_smaller_and_answers_nearly_the_same(
    model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["export", "--model", str(model)]) == 0
    large = model.with_suffix(".onnx").stat().st_size
    clip = str(cut_from_demo(tmp_path / "face.mp4", 40))
    arguments = ["--precision", "int8", "--ranges-from", clip, "--parity-on", clip]
    assert main(["export", "--model", str(model), *arguments]) == 0
    assert "99th percentile" in capsys.readouterr().out
    card = read_card(model)
    parity = card.facts["onnx_parity"]
    assert parity["precision"] == "int8"
    assert parity["faces"] > 20
    assert 0 < parity["au_difference"]["p99"] < 0.15
    assert model.with_suffix(".onnx").stat().st_size < 0.6 * large
    assert Predictor(model, "cpu").runtime == "onnxruntime"  # checks the golden answer of the graph itself
    assert main(["export", "--model", str(model)]) == 0
    assert "golden_intensity" not in read_card(model).facts["onnx_parity"]


def test_depthwise_convolutions_stay_in_float(tmp_path: Path) -> None:
    network = RTATL(dataclasses.replace(CONFIG, backbone="face_mesh"), flow=False)
    save_model(tmp_path / "light", network, LIFTED, {"name": "light", "trained_on": "nothing", "trust": {}})
    clip = str(cut_from_demo(tmp_path / "face.mp4", 20))
    model = str(tmp_path / "light.safetensors")
    assert main(["export", "--model", model, "--precision", "int8", "--ranges-from", clip, "--parity-on", clip]) == 0
    graph = onnx.load(tmp_path / "light.onnx").graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 20
    assert {kinds[node.input[1]] for node in convolutions} == {onnx.TensorProto.FLOAT}
    assert onnx.TensorProto.INT8 in kinds.values()


@pytest.mark.slow
def test_an_int8_graph_that_differs_too_much_is_not_kept(
    model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["export", "--model", str(model)]) == 0
    before = {file: file.read_bytes() for file in model.parent.iterdir()}
    monkeypatch.setattr("rtatl_core.runtimes.export.PARITY_INT8", 0.0)
    clip = str(cut_from_demo(tmp_path / "face.mp4", 40))
    assert main(["export", "--model", str(model), "--precision", "int8", "--ranges-from", clip]) == 2
    assert "export it with --precision fp32" in capsys.readouterr().err
    assert (
        main(["export", "--model", str(model), "--parity-on", str(tmp_path / "none.mp4"), "--precision", "int8"]) == 2
    )
    assert {file: file.read_bytes() for file in model.parent.iterdir() if file.suffix != ".mp4"} == before
    assert Predictor(model, "cpu").runtime == "onnxruntime"


@pytest.mark.parametrize(
    "choices", [{"geometry": 0, "relation_layers": 0}, {"backbone": "mobilenet_v2"}, {"backbone": "face_mesh"}]
)
def test_other_networks_export_too(tmp_path: Path, choices: dict[str, object]) -> None:
    config = RTATLConfig(aus=(1, 12), **({"width": 8, "token": 16, "geometry": 16} | choices))  # type: ignore[arg-type]
    network = RTATL(config, flow=False)
    save_model(tmp_path / "other", network, LIFTED, {"name": "other", "trained_on": "nothing", "trust": {}})
    assert main(["export", "--model", str(tmp_path / "other.safetensors")]) == 0  # checks parity itself
    assert set(read_card(tmp_path / "other.safetensors").graphs()) == {"network"}


def test_a_changed_graph_is_refused_and_a_missing_one_means_torch(model: Path) -> None:
    assert main(["export", "--model", str(model)]) == 0
    graph = model.with_suffix(".flow.onnx")
    whole = graph.read_bytes()
    graph.write_bytes(whole + b" ")
    with pytest.raises(WeightsError, match=r"graph .*flow\.onnx is not the one its card describes"):
        Predictor(model, "cpu")
    graph.unlink()
    assert Predictor(model, "cpu").runtime == "torch"


def test_a_graph_that_answers_wrongly_is_noticed(model: Path) -> None:
    assert main(["export", "--model", str(model)]) == 0
    path = model.with_suffix(".json")
    facts = read_card(path).facts
    path.write_text(json.dumps(facts | {"golden_intensity": [4.9, 4.9]}))
    with pytest.raises(WeightsError, match="golden input"):
        Predictor(model, "cpu")


def test_exporting_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--model", str(tmp_path / "none.safetensors")]) == 2
    assert "is missing" in capsys.readouterr().err


def test_the_live_path_of_an_exported_model_needs_no_torch() -> None:
    """A second or two at every start, and half a gigabyte of a packaged program."""
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # importing it raises ImportError
        "from rtatl_core.engine import Engine\n"
        "from rtatl_core.assets import asset\n"
        "from rtatl_core.video import VideoReader\n"
        "engine = Engine(device='cpu')\n"
        "engine.want_flow = engine.want_patches = True\n"
        "with VideoReader(asset('demo.mp4')) as reader:\n"
        "    (face,) = engine.process(reader.read()).faces\n"
        "engine.close()\n"
        "assert face.prediction.flow is not None and face.prediction.patches is not None\n"
        "print(engine.runtime)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "onnxruntime", done.stderr


def test_videos_without_a_face_give_no_ranges(tmp_path: Path) -> None:
    grey = write_clip(tmp_path / "grey.mp4", 4)
    with pytest.raises(SourceError, match=r"No face was found in .*grey\.mp4; name videos with faces"):
        network_inputs([grey], (1, 12), CHIP_SIDE)
