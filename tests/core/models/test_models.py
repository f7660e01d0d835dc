from __future__ import annotations

import numpy as np
import pytest
import torch

from rtatl_core.handoffs import CHIP_SIDE
from rtatl_core.models.backbone import ResNet, build_backbone, fold_batch_norms, standardise, to_tensor
from rtatl_core.models.decoders import cut_patches
from rtatl_core.models.relation import POOL, pool_regions
from rtatl_core.models.rtatl import RTATL, RTATLConfig

AUS = (1, 4, 12, 25, 43)
SMALL = RTATLConfig(aus=AUS, width=8, token=16, geometry=16)


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    chips, centres = torch.rand(2, 3, CHIP_SIDE, CHIP_SIDE), torch.rand(2, len(AUS), 2, 2) * 0.8 + 0.1
    return chips, centres, torch.randn(2, 468, 3) * 0.02


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 11_176_512), ("resnet34", 21_284_672), ("resnet50", 23_508_032)]
)
def test_backbones_are_torchvisions(name: str, parameters: int) -> None:
    """Parameter counts of torchvision's networks without the classifier, and its names."""
    network = ResNet(name, 64)
    assert sum(p.numel() for p in network.parameters()) == parameters
    names = set(network.state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer4.1.bn2.bias"} <= names
    assert "layer2.0.downsample.0.weight" in names
    features = network.eval()(torch.rand(1, 3, 112, 112))
    assert [tuple(f.shape[1:]) for f in features] == [
        (c, s, s) for c, s in zip(network.channels, (14, 7, 4), strict=True)
    ]


def test_unknown_backbone_names_the_known() -> None:
    with pytest.raises(ValueError, match="known are resnet18"):
        RTATLConfig(aus=AUS, backbone="vgg16")


def test_standardise_removes_exposure_and_contrast() -> None:
    chips = torch.rand(2, 3, 16, 16)
    plain, changed = standardise(chips), standardise(chips * 0.8 + 0.1)
    assert plain.mean().abs() < 1e-5
    assert (plain - changed).abs().max() < 0.2
    assert torch.isfinite(standardise(torch.zeros(1, 3, 8, 8))).all()


def test_to_tensor() -> None:
    chips = torch.randint(0, 256, (2, 5, 5, 3), dtype=torch.uint8)
    out = to_tensor(chips)
    assert out.shape == (2, 3, 5, 5)
    assert out[1, 2, 3, 4] == chips[1, 3, 4, 2] / 255


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """(C, h, w) at pixel coordinates, border repeated: an independent reference."""
    h, w = image.shape[1:]
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    total = np.zeros(image.shape[0])
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
            total += weight * image[:, np.clip(y0 + dy, 0, h - 1), np.clip(x0 + dx, 0, w - 1)]
    return total


def test_pool_regions_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 3, 6, 6))
    centres = rng.uniform(0.1, 0.9, (2, 4, 2, 2))
    window = 0.3
    pooled = pool_regions(torch.tensor(features), torch.tensor(centres), window).numpy()
    pooled = pooled.reshape(2, 4, 2, POOL, POOL, 3)
    for b, n, side, row, column in np.ndindex(2, 4, 2, POOL, POOL):
        x = centres[b, n, side, 0] + ((column + 0.5) / POOL - 0.5) * window
        y = centres[b, n, side, 1] + ((row + 0.5) / POOL - 0.5) * window
        expected = bilinear(features[b], x * 6 - 0.5, y * 6 - 0.5)
        np.testing.assert_allclose(pooled[b, n, side, row, column], expected, atol=1e-9)


def test_cut_patches_cuts_pixels() -> None:
    """A window of exactly 4 pixels, centred between pixels, gives back those pixels."""
    chips = torch.rand(2, 3, 20, 20, dtype=torch.float64)
    centres = torch.tensor([[[[0.5, 0.3], [0.7, 0.8]]]] * 2, dtype=torch.float64)  # pixel edges 10, 6 and 14, 16
    patches = cut_patches(chips, centres, 4 / 20, 4)
    assert patches.shape == (2, 1, 2, 3, 4, 4)
    torch.testing.assert_close(patches[:, 0, 0], chips[:, :, 4:8, 8:12])
    torch.testing.assert_close(patches[:, 0, 1], chips[:, :, 14:18, 12:16])


def test_network_shapes_and_mixture() -> None:
    network = RTATL(SMALL, flow=True, inpainting=True).eval()
    output = network(*inputs())
    assert output.intensity.shape == output.occurrence.shape == (2, len(AUS))
    assert output.tokens.shape == (2, len(AUS), 16)
    assert network.flow is not None
    assert network.flow(output.coarse).shape == (2, 2, CHIP_SIDE // 4, CHIP_SIDE // 4)
    assert network.inpainting is not None
    assert network.inpainting(output.tokens[:, 0]).shape == (2, 2, 3, 20, 20)
    pixels, geometry = (said.intensity for said in output.streams)
    torch.testing.assert_close(output.intensity, (pixels + geometry) / 2)


def test_every_stream_reads_its_own_input() -> None:
    network = RTATL(SMALL, flow=False).eval()
    chips, centres, geometry = inputs()
    pixels, shape = (said.intensity for said in network(chips, centres, geometry).streams)
    same_pixels, other_shape = (said.intensity for said in network(chips, centres, geometry + 0.1).streams)
    torch.testing.assert_close(same_pixels, pixels)
    assert (other_shape - shape).abs().max() > 1e-4
    other_pixels = network(chips, centres.flip(1), geometry).streams[0].intensity
    assert (other_pixels - pixels).abs().max() > 1e-5  # regions matter


def test_without_geometry_and_without_decoders() -> None:
    config = RTATLConfig(aus=AUS, width=8, token=16, geometry=0)
    network = RTATL(config, flow=False, inpainting=False).eval()
    output = network(*inputs())
    assert len(output.streams) == 1
    assert not [name for name in network.state_dict() if name.startswith(("flow", "inpainting", "geometry."))]


def test_relation_lets_aus_inform_each_other() -> None:
    network = RTATL(SMALL, flow=False).eval()
    tokens = torch.randn(1, len(AUS), 16)
    changed = tokens.clone()
    changed[0, 0] = torch.randn(16)  # not a shift, which the layer norm would remove
    difference = (network.relation(changed) - network.relation(tokens)).abs().amax(dim=-1)[0]
    assert (difference[1:] > 1e-5).all()


def test_folding_batch_norms_changes_nothing_but_speed() -> None:
    torch.manual_seed(0)
    network = RTATL(SMALL).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    before = network(*inputs())
    fold_batch_norms(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    after = network(*inputs())
    torch.testing.assert_close(after.intensity, before.intensity, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after.coarse, before.coarse, atol=1e-3, rtol=1e-3)


def test_config_round_trip() -> None:
    assert RTATLConfig.from_json(SMALL.to_json()) == SMALL


def test_mobilenet_is_torchvisions_up_to_its_classifier() -> None:
    network = build_backbone("mobilenet_v2", 32)
    names = network.state_dict()
    for name, shape in {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.2.conv.0.0.weight": (96, 16, 1, 1),
        "features.2.conv.2.weight": (24, 96, 1, 1),
        "features.17.conv.3.running_mean": (320,),
    }.items():
        assert tuple(names[name].shape) == shape, name
    assert (
        sum(p.numel() for p in network.parameters()) == 2_223_872 - 320 * 1280 - 2 * 1280
    )  # torchvision's less features.18
    features = network(torch.zeros(1, 3, 112, 112))
    assert [tuple(f.shape[1:]) for f in features] == [(32, 14, 14), (96, 7, 7), (320, 4, 4)]
    assert network.channels == (32, 96, 320)


@pytest.mark.parametrize(
    "choices",
    [{"backbone": "mobilenet_v2", "width": 8}, {"backbone": "face_mesh"}, {"relation_layers": 0, "geometry": 0}],
)
def test_other_networks_answer_alike_in_shape_and_fold(choices: dict[str, object]) -> None:
    config = RTATLConfig(aus=(1, 12), **({"width": 8, "token": 16, "standardise": "imagenet"} | choices))
    network = RTATL(config).eval()
    inputs = (torch.rand(2, 3, CHIP_SIDE, CHIP_SIDE), torch.rand(2, 2, 2, 2), torch.zeros(2, 468, 3))
    before = network(*inputs).intensity
    assert before.shape == (2, 2)
    fold_batch_norms(network)
    torch.testing.assert_close(network(*inputs).intensity, before, atol=1e-4, rtol=1e-3)


def test_a_placed_global_feature_knows_where() -> None:
    """The same map shifted by a cell is another feature; its mean is not."""
    shape = {"width": 8, "token": 16, "geometry": 0}
    told = []
    for placed in (0, 4):
        torch.manual_seed(0)
        head = RTATL(RTATLConfig(aus=(1, 12), placed=placed, **shape)).eval().head  # type: ignore[arg-type]
        coarse = torch.rand(1, 64, 4, 4)
        tokens = torch.zeros(1, 2, 16)
        told.append((head(tokens, coarse).intensity - head(tokens, coarse.roll(1, dims=3)).intensity).abs().max())
    assert told[0] < 1e-5
    assert told[1] > 1e-3
    network = RTATL(RTATLConfig(aus=(1, 12), placed=4, chip_side=160, **shape)).eval()  # type: ignore[arg-type]
    said = network(torch.rand(1, 3, 160, 160), torch.rand(1, 2, 2, 2), torch.zeros(1, 468, 3))  # a coarse map of 5 x 5
    assert said.intensity.shape == (1, 2)


def test_unknown_standardisation_is_named() -> None:
    with pytest.raises(ValueError, match="standardise 'zscore' is unknown; known are chip, imagenet"):
        RTATLConfig(aus=(1,), standardise="zscore")
