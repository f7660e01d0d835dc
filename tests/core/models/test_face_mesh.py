"""Face Mesh's trunk gives what the model of the mediapipe package gives there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rtatl_core import openvino_package
from rtatl_core.errors import RecipeError
from rtatl_core.handoffs import CHIP_SIDE
from rtatl_core.models import face_mesh
from rtatl_core.models.config import RTATLConfig
from rtatl_core.models.face_mesh import FaceMeshTrunk, load_face_mesh
from rtatl_core.models.rtatl import RTATL
from rtatl_core.training.initial import start_backbone

_BRIGHTNESS, _CONTRAST = 0.5, 0.25


def _openvino() -> Any:
    if not openvino_package.is_installed():
        pytest.skip("needs openvino")
    return openvino_package.openvino()


@pytest.mark.parametrize("side", [112, CHIP_SIDE])
def test_maps_have_the_strides_of_other_backbones(side: int) -> None:
    trunk = FaceMeshTrunk()
    maps = trunk(torch.zeros(2, 3, side, side))
    assert [tuple(part.shape) for part in maps] == [(2, 64, 18, 18), (2, 128, 9, 9), (2, 128, 4, 4)]
    assert trunk.channels == (64, 128, 128)


def test_trunk_is_mediapipes() -> None:
    openvino = _openvino()
    import mediapipe

    trunk = FaceMeshTrunk().eval()
    load_face_mesh(trunk)
    trunk.side = 192
    picture = np.random.default_rng(0).random((1, 192, 192, 3), np.float32)
    with torch.no_grad():
        ours = trunk((torch.from_numpy(picture).permute(0, 3, 1, 2) - _BRIGHTNESS) / _CONTRAST)
    file = Path(mediapipe.__file__).parent / "modules" / "face_landmark" / "face_landmark.tflite"
    model = openvino.Core().read_model(file)
    activations = [node for node in model.get_ordered_ops() if node.get_type_name() == "PRelu"]
    last = [[node for node in activations if list(node.output(0).shape) == [1, *part.shape[1:]]][-1] for part in ours]
    graph = openvino.Model([node.output(0) for node in last], model.get_parameters())
    theirs = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(picture)
    for i, part in enumerate(ours):
        np.testing.assert_allclose(part.numpy(), theirs[i], atol=1e-4)


def test_a_run_starts_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def network(backbone: str) -> RTATL:
        return RTATL(RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16, backbone=backbone), flow=False)

    with pytest.raises(RecipeError, match=r"which has no resnet18; set network\.backbone to face_mesh"):
        start_backbone(network("resnet18"), "mediapipe")
    monkeypatch.setattr(face_mesh, "is_installed", lambda: False)
    with pytest.raises(RecipeError, match=r"OpenVINO, which is missing; run in .*pip install .*\[openvino\]"):
        start_backbone(network("face_mesh"), "mediapipe")
    monkeypatch.undo()
    _openvino()
    fresh, started = network("face_mesh"), network("face_mesh")
    start_backbone(started, "mediapipe")
    loaded = FaceMeshTrunk()
    load_face_mesh(loaded)
    for name, tensor in started.backbone.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    assert not torch.equal(fresh.backbone.stem[0].weight, started.backbone.stem[0].weight)
