from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rtatl_core import openvino_package
from rtatl_core.calibration import Calibration
from rtatl_core.card import Card
from rtatl_core.errors import InputError
from rtatl_core.face.regions import WINDOW, au_regions, erased_live
from rtatl_core.facs import BP4D_AUS
from rtatl_core.handoffs import CHIP_SIDE, AlignedFace, RecoveredPatches
from rtatl_core.models.backbone import to_tensor
from rtatl_core.models.decoders import FLOW_SCALE
from rtatl_core.models.recovery import LiveRecovery
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.predictor import Predictor, Raw
from rtatl_core.runtimes import openvino_runtime
from rtatl_core.runtimes.choose import pick_device
from rtatl_core.runtimes.export import export_onnx
from rtatl_core.runtimes.runtime import Outputs
from rtatl_core.weights import load_model, save_model

AUS = (4, 9, 6, 43, 12, 25)
"""Brow, nose, cheek, eye, mouth, mouth: 4, 6 and 12 are erased."""


def face(seed: int) -> AlignedFace:
    rng = np.random.default_rng(seed)
    return AlignedFace(
        chip=rng.integers(0, 256, (CHIP_SIDE, CHIP_SIDE, 3), np.uint8),
        matrix=np.eye(2, 3),
        landmarks=rng.uniform(0.2, 0.8, (478, 2)).astype(np.float32),
        geometry=rng.normal(0, 0.02, (468, 3)).astype(np.float32),
    )


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_live_network_is_the_network(count: int, runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folding, freezing, exporting and batching change nothing; flow has its axes and unit."""
    model = load_model()
    faces = [face(seed) for seed in range(count)]
    chips = torch.from_numpy(np.stack([f.chip for f in faces]))
    centres = torch.from_numpy(au_regions(np.stack([f.landmarks for f in faces]), model.aus))
    geometry = torch.from_numpy(np.stack([f.geometry for f in faces]))
    with torch.inference_mode():
        output = model.network(to_tensor(chips), centres, geometry)
        assert model.network.flow is not None
        flow = model.network.flow(output.coarse).numpy() / FLOW_SCALE
    expected = model.calibration.read(output.intensity.numpy(), output.occurrence.numpy())
    if runtime == "torch":
        monkeypatch.setattr(Card, "graphs", lambda _: {})  # as before an export
    predictor = Predictor(device="cpu")
    assert predictor.runtime == runtime
    raw = predictor.run(faces, want_flow=True)
    predictions, regions = predictor.read(raw), raw.centres
    np.testing.assert_allclose(regions, centres.numpy())
    for i, prediction in enumerate(predictions):
        np.testing.assert_allclose(prediction.intensity, expected[0][i], atol=2e-3)
        np.testing.assert_allclose(prediction.occurrence, expected[1][i], atol=2e-3)
        assert prediction.flow is not None
        towards = -1 if model.network.config.flow_to == "rest" else 1
        np.testing.assert_allclose(prediction.flow, towards * flow[i].transpose(1, 2, 0), atol=1e-4)


def test_a_face_is_read_alike_alone_and_in_company() -> None:
    predictor = Predictor(device="cpu")
    (alone,) = predictor.read(predictor.run([face(1)]))
    (_, beside) = predictor.read(predictor.run([face(0), face(1)]))
    np.testing.assert_allclose(beside.intensity, alone.intensity, atol=2e-3)
    assert alone.flow is None


def test_motion_from_rest_is_the_way_here_of_what_leads_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    fields = {}
    for to in ("later", "rest"):
        network = RTATL(RTATLConfig(aus=AUS, width=8, token=16, geometry=16, flow_to=to), flow=True)
        assert network.flow is not None
        torch.nn.init.constant_(network.flow.out.bias, 0.4)
        plain = Calibration(np.ones(len(AUS), np.float32), np.zeros(len(AUS), np.float32))
        save_model(tmp_path / to, network, plain, {"name": to, "trained_on": "nothing", "trust": {}})
        predictor = Predictor(tmp_path / f"{to}.safetensors", "cpu")
        (prediction,) = predictor.read(predictor.run([face(0)], want_flow=True))
        assert prediction.flow is not None
        fields[to] = prediction.flow
    np.testing.assert_allclose(fields["later"], 0.4 / FLOW_SCALE, atol=1e-6)
    np.testing.assert_allclose(fields["rest"], -0.4 / FLOW_SCALE, atol=1e-6)


@pytest.fixture
def plain(tmp_path: Path) -> Predictor:
    """Of a tiny model, to read outputs with that were made up."""
    calibration = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    network = RTATL(RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16))
    save_model(tmp_path / "plain", network, calibration, {"name": "plain", "trained_on": "nothing", "trust": {}})
    return Predictor(tmp_path / "plain.safetensors", "cpu")


def said(sides: np.ndarray, *, told: bool = True) -> Raw:
    """sides: (n_faces, n_aus, 2) raw. ``told``: by the network."""
    whole = sides.mean(axis=-1)
    outputs = Outputs(whole, np.zeros_like(whole), sides if told else None, None, None)
    return Raw(outputs, np.zeros((*whole.shape, 2, 2), np.float32))


def test_each_side_counts_from_its_own_rest(plain: Predictor) -> None:
    """Of two faces, alike crooked, one was said to rest."""
    crooked = np.array([[0.5, 0.2], [0.15, 0.25]], np.float32)
    rest = said(crooked[None]).at_rest[0]
    np.testing.assert_allclose(rest, [[0.35, 0.2], [0.3, -0.1]], atol=1e-6)
    stated = np.stack([rest, np.full_like(rest, np.nan)])
    for rise in ([0, 0], [0.2, 0], [0, 0.2], [0.2, 0.2], [2, 0], [-1, 0], [9, 9]):
        now = said(np.stack([crooked + np.array(rise, np.float32)] * 2))
        rested, stranger = plain.read(now, stated=stated)
        assert rested.sides is not None
        assert stranger.sides is not None
        if max(map(abs, rise)) <= 0.2:
            np.testing.assert_allclose(rested.sides, 5 * np.array([rise] * 2), atol=0.05)
        np.testing.assert_allclose(rested.sides.mean(axis=-1), rested.intensity, atol=1e-5)
        assert rested.sides.min() >= 0
        assert rested.sides.max() <= 5
        np.testing.assert_array_equal(stranger.sides, plain.read(now)[1].sides)
    assert plain.read(said(crooked[None]))[0].sides[0, 0] > 2.4  # type: ignore[index]


def test_a_rest_without_sides_is_that_of_the_whole(plain: Predictor) -> None:
    raw = said(np.array([[[0.5, 0.2], [0.15, 0.25]]], np.float32), told=False)
    np.testing.assert_allclose(raw.at_rest, [[[0.35, 0.2], [0, 0]]], atol=1e-6)
    (rested,) = plain.read(raw, stated=raw.at_rest)
    assert rested.sides is None
    assert rested.intensity.max() < 0.05


@pytest.fixture
def inpainter(tmp_path: Path) -> Path:
    """A tiny model with its inpainting decoder, whose patches are neither flat nor cut off at black and white."""
    torch.manual_seed(0)
    network = RTATL(RTATLConfig(aus=AUS, width=8, token=16, geometry=16), inpainting=True)
    assert network.inpainting is not None
    torch.nn.init.normal_(network.inpainting.seed.weight, std=0.7)
    plain = Calibration(np.ones(len(AUS), np.float32), np.zeros(len(AUS), np.float32))
    save_model(tmp_path / "tiny", network, plain, {"name": "tiny", "trained_on": "nothing", "trust": {}})
    return tmp_path / "tiny.safetensors"


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_patches_are_what_the_network_paints_into_the_erased_chip(inpainter: Path, runtime: str) -> None:
    """Against the same written out in numpy, face by face: erase, run, put back the chip's own mean and spread."""
    if runtime == "onnxruntime":
        export_onnx(inpainter)
    model = load_model(inpainter)
    network = model.network
    assert network.inpainting is not None
    faces = [face(seed) for seed in range(2)]
    expected = []
    for one in faces:
        centres = au_regions(one.landmarks, AUS)
        whole = one.chip.astype(np.float32) / 255
        erased = whole.copy()
        at = (np.arange(CHIP_SIDE) + 0.5) / CHIP_SIDE
        for x, y in centres[[0, 2, 4]].reshape(-1, 2):
            inside = (abs(at[:, None] - y) <= WINDOW / 2) & (abs(at - x) <= WINDOW / 2)
            erased[inside] = whole.mean(axis=(0, 1))
        with torch.inference_mode():
            tokens = network(
                torch.from_numpy(erased.transpose(2, 0, 1))[None],
                torch.from_numpy(centres)[None],
                torch.from_numpy(one.geometry)[None],
            ).tokens
            painted = network.inpainting(tokens[0, [0, 2, 4]]).numpy()
        pixels = painted * (whole.std() + 0.05) + whole.mean()
        expected.append((pixels.transpose(0, 1, 3, 4, 2) * 255).clip(0, 255))
    predictor = Predictor(inpainter, "cpu")
    assert predictor.runtime == runtime
    raw = predictor.run(faces, want_patches=True)
    predictions, regions = predictor.read(raw), raw.centres
    for prediction, pixels, centres in zip(predictions, expected, regions, strict=True):
        patches = prediction.patches
        assert patches is not None
        assert patches.aus == (4, 6, 12)
        assert patches.window == WINDOW
        np.testing.assert_array_equal(patches.centres, centres[[0, 2, 4]])
        assert pixels.std() > 5, "flat patches would prove little"
        np.testing.assert_allclose(patches.pixels, pixels, atol=1.5)


def test_patches_cost_nothing_until_they_are_wanted(inpainter: Path) -> None:
    predictor = Predictor(inpainter, "cpu")
    predictor.warm_up()
    (plain,) = predictor.read(predictor.run([face(0)]))
    assert plain.patches is None
    assert not predictor._runtime._decoders._recovery._traces  # type: ignore[attr-defined]
    (shown,) = predictor.read(predictor.run([face(0)], want_patches=True))
    assert shown.patches is not None
    np.testing.assert_array_equal(shown.intensity, plain.intensity)


def test_a_model_without_the_decoder_has_no_patches(tmp_path: Path) -> None:
    model = load_model()
    model.network.inpainting = None
    with pytest.raises(ValueError, match="decoder"):
        LiveRecovery(model.network)

    plain = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    bare = RTATL(RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16))
    save_model(tmp_path / "bare", bare, plain, {"name": "bare", "trained_on": "nothing", "trust": {}})
    bare = Predictor(tmp_path / "bare.safetensors", "cpu")
    (prediction,) = bare.read(bare.run([face(0)], want_patches=True))
    assert prediction.patches is None


def test_the_erased_aus_are_one_of_each_part() -> None:
    assert erased_live(AUS) == (0, 2, 4)
    assert [BP4D_AUS[i] for i in erased_live(BP4D_AUS)] == [1, 6, 10]
    assert erased_live((12, 25)) == (0,)
    assert erased_live((9, 17)) == (0,), "neither nose nor chin is a part of the choice; something must be shown"


def test_patches_are_checked() -> None:
    pixels, centres = np.zeros((1, 2, 16, 16, 3), np.uint8), np.zeros((1, 2, 2), np.float32)
    with pytest.raises(ValueError, match="patches are uint8"):
        RecoveredPatches((1, 2), pixels, centres, WINDOW)
    with pytest.raises(ValueError, match="centres are"):
        RecoveredPatches((1,), pixels, centres[0], WINDOW)


@pytest.mark.parametrize("broken", [False, True])
def test_where_openvino_is_missing_or_broken_onnx_runtime_serves(
    broken: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on Windows, macOS and older installations, on a processor that it would be taken for."""
    monkeypatch.delenv(openvino_runtime.SWITCH)
    monkeypatch.setattr(openvino_runtime, "has_bfloat16", lambda: True)
    monkeypatch.setattr(openvino_runtime, "is_installed", lambda: broken)
    monkeypatch.setitem(sys.modules, "openvino", None)  # importing it raises ImportError
    openvino_package.core.cache_clear()
    predictor = Predictor(device="cpu")
    assert predictor.runtime == "onnxruntime"
    assert len(predictor.read(predictor.run([face(0)], want_flow=True))) == 1
    assert ("OpenVINO cannot be used here" in caplog.text) == broken


def test_unknown_devices_are_refused() -> None:
    assert pick_device("cpu") == "cpu"
    for name in ("abacus", "cuda:99"):
        with pytest.raises(InputError, match="write auto or cpu"):
            pick_device(name)
