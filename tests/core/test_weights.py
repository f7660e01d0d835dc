from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rtatl_core import card as cards
from rtatl_core.calibration import Calibration
from rtatl_core.errors import WeightsError
from rtatl_core.facs import ACTION_UNITS
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.weights import load_model, save_model

CONFIG = RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16)
PLAIN = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
DESCRIPTION = {"name": "tiny", "trained_on": "nothing", "trust": {"1": "experimental", "12": "experimental"}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "tiny", RTATL(CONFIG), PLAIN, DESCRIPTION)
    return tmp_path / "tiny.safetensors"


def test_round_trip(model: Path) -> None:
    loaded = load_model(model)
    assert loaded.name == "tiny"
    assert loaded.aus == (1, 12)
    assert not loaded.network.training
    assert loaded.facts["inpainting"] is False
    assert loaded.network.inpainting is None
    assert load_model(model.with_suffix(".json")).facts == loaded.facts


def test_tensors_that_are_read_otherwise_have_another_hash(tmp_path: Path) -> None:
    """Studies name a model by it."""
    network = RTATL(CONFIG)
    steeper = dataclasses.replace(PLAIN, gain=np.full(2, 1.5, np.float32))
    told = [save_model(tmp_path / "tiny", network, calibration, DESCRIPTION) for calibration in (PLAIN, PLAIN, steeper)]
    assert told[0]["sha256"] == told[1]["sha256"] != told[2]["sha256"]


def test_names_in_any_script_survive_a_locale_that_lacks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "text_encoding", lambda encoding, _stacklevel=2: encoding or "cp1252")  # as on Windows
    subjects = ["Jürgen.mp4", "李.mp4"]
    save_model(tmp_path / "tiny", RTATL(CONFIG), PLAIN, {**DESCRIPTION, "training": {"subjects": subjects}})
    assert load_model(tmp_path / "tiny.safetensors").facts["training"]["subjects"] == subjects


def test_the_inpainting_decoder_travels_with_the_model(tmp_path: Path) -> None:
    """It is there after loading, bit for bit, and the answer about AUs does not depend on it."""
    torch.manual_seed(0)
    network = RTATL(CONFIG, inpainting=True)
    card = save_model(tmp_path / "whole", network, PLAIN, DESCRIPTION)
    assert card["inpainting"] is True
    loaded = load_model(tmp_path / "whole.safetensors").network
    assert network.inpainting is not None
    assert loaded.inpainting is not None
    for name, tensor in network.inpainting.state_dict().items():
        torch.testing.assert_close(loaded.inpainting.state_dict()[name], tensor, rtol=0, atol=0)
    network.inpainting = None
    assert save_model(tmp_path / "bare", network, PLAIN, DESCRIPTION)["golden_intensity"] == card["golden_intensity"]


def test_cards_from_before_the_decoder_travelled_still_load(model: Path) -> None:
    card = json.loads(model.with_suffix(".json").read_text())
    del card["inpainting"]
    model.with_suffix(".json").write_text(json.dumps(card))
    assert load_model(model).network.inpainting is None


def test_the_bundled_model_is_whole() -> None:
    model = load_model()
    assert model.facts["trained_on"] == "synthetic faces and AI-rated photos"
    assert set(model.aus) <= set(ACTION_UNITS)
    assert set(model.facts["trust"]) == {str(au) for au in model.aus}
    assert set(model.facts["trust"].values()) <= {"good", "usable", "experimental"}


def test_missing(tmp_path: Path, model: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing\.json is missing; name a \.safetensors file"):
        load_model(tmp_path / "nothing.safetensors")
    with pytest.raises(WeightsError, match=r"one of: .*rtatl-synth"):
        load_model("unknown-name")
    (tmp_path / "best.pt").touch()
    with pytest.raises(WeightsError, match=r"best\.pt is no model file; name a \.safetensors file"):
        load_model(tmp_path / "best.pt")
    model.unlink()
    with pytest.raises(WeightsError, match=r"tiny\.safetensors is missing"):
        load_model(model)
    model.with_suffix(".onnx").touch()
    with pytest.raises(WeightsError, match=r"tiny\.safetensors are missing, there are graphs only"):
        load_model(model)


def test_changed_file_has_the_wrong_hash(model: Path) -> None:
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    with pytest.raises(WeightsError, match="sha256 differs"):
        load_model(model)


def rehash(model: Path, **changes: object) -> None:
    card = json.loads(model.with_suffix(".json").read_text())
    card["sha256"] = cards.file_hash(model)
    model.with_suffix(".json").write_text(json.dumps(card | changes))


def test_corrupt_file_with_a_fitting_hash(model: Path) -> None:
    model.write_bytes(b"no tensors here")
    rehash(model)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(model)


def test_wrong_shape_is_named(model: Path) -> None:
    tensors = load_file(model)
    tensors["backbone.conv1.weight"] = torch.zeros(4, 3, 7, 7)
    save_file(tensors, model)
    rehash(model)
    with pytest.raises(WeightsError, match=r"backbone\.conv1\.weight is \(4, 3, 7, 7\), expected \(8, 3, 7, 7\)"):
        load_model(model)


def test_wrong_answer_is_noticed(model: Path) -> None:
    rehash(model, golden_intensity=[5.0, 5.0])
    with pytest.raises(WeightsError, match=r"golden input wrongly in torch .*; update torch or report"):
        load_model(model)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 99}, "has format 99"),
        ({"network": {}}, "damaged"),
        ({"golden_intensity": [1.0, 1.0, 1.0]}, "damaged"),
        ({"calibration": {"gain": [1.0], "offset": [0.0, 0.0, 0.0], "occurrence": "occurrence head"}}, "damaged"),
        ({"landmark_backend": "dlib"}, "needs landmarks of dlib, this version has"),
    ],
)
def test_unfit_cards(model: Path, change: dict[str, object], sentence: str) -> None:
    rehash(model, **change)
    with pytest.raises(WeightsError, match=sentence):
        load_model(model)


def test_a_card_without_its_landmarks_is_damaged(model: Path) -> None:
    card = json.loads(model.with_suffix(".json").read_text())
    del card["landmark_backend"]
    model.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="damaged"):
        load_model(model)


def test_broken_json(model: Path) -> None:
    model.with_suffix(".json").write_text("{")
    with pytest.raises(WeightsError, match="damaged"):
        load_model(model)
