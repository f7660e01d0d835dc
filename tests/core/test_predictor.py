from __future__ import annotations

import numpy as np
import pytest
import torch

from rtatl_core.errors import InputError
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import AlignedFace
from rtatl_core.models.backbone import to_tensor
from rtatl_core.models.decoders import FLOW_SCALE
from rtatl_core.predictor import Predictor, pick_device
from rtatl_core.weights import calibrate, load_model


def face(seed: int) -> AlignedFace:
    rng = np.random.default_rng(seed)
    return AlignedFace(
        chip=rng.integers(0, 256, (112, 112, 3), np.uint8),
        matrix=np.eye(2, 3),
        landmarks=rng.uniform(0.2, 0.8, (478, 2)).astype(np.float32),
        geometry=rng.normal(0, 0.02, (468, 3)).astype(np.float32),
    )


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_live_network_is_the_network(count: int, runtime: str) -> None:
    """Folding, freezing, exporting and batching change nothing; flow has its axes and unit."""
    model = load_model(with_onnx=runtime == "onnxruntime")
    faces = [face(seed) for seed in range(count)]
    chips = torch.from_numpy(np.stack([f.chip for f in faces]))
    centres = torch.from_numpy(au_regions(np.stack([f.landmarks for f in faces]), model.aus))
    geometry = torch.from_numpy(np.stack([f.geometry for f in faces]))
    with torch.inference_mode():
        output = model.network(to_tensor(chips), centres, geometry)
        assert model.network.flow is not None
        flow = model.network.flow(output.coarse).numpy() / FLOW_SCALE
    expected = calibrate(output.intensity.numpy(), output.occurrence.numpy(), model.calibration)
    predictor = Predictor(model, "cpu")
    assert predictor.runtime == runtime
    predictions, regions = predictor(faces, want_flow=True)
    np.testing.assert_allclose(regions, centres.numpy())
    for i, prediction in enumerate(predictions):
        np.testing.assert_allclose(prediction.intensity, expected[0][i], atol=2e-3)
        np.testing.assert_allclose(prediction.occurrence, expected[1][i], atol=2e-3)
        assert prediction.flow is not None
        np.testing.assert_allclose(prediction.flow, flow[i].transpose(1, 2, 0), atol=1e-4)


def test_a_face_is_read_alike_alone_and_in_company() -> None:
    predictor = Predictor(load_model(), "cpu")
    (alone,), _ = predictor([face(1)])
    (_, beside), _ = predictor([face(0), face(1)])
    np.testing.assert_allclose(beside.intensity, alone.intensity, atol=2e-3)
    assert alone.flow is None


def test_unknown_devices_are_refused() -> None:
    assert pick_device("cpu").type == "cpu"
    for name in ("abacus", "cuda:99"):
        with pytest.raises(InputError, match="write cpu, cuda, mps or auto"):
            pick_device(name)
