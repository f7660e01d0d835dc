"""Model -> ONNX graph beside its weights, with a parity check. Needs the extra ``export``."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import torch

from rtatl_core.errors import InputError, WeightsError
from rtatl_core.models.backbone import fold_batch_norms
from rtatl_core.runtimes import LIVE_INPUTS, LIVE_OUTPUTS, LiveNetwork, OnnxRuntime, TorchRuntime
from rtatl_core.weights import find_model, golden_input, load_model

OPSET = 17
PARITY = 1e-3
"""Largest difference in raw intensity (1 = FACS 5) between torch and ONNX Runtime that is accepted."""


def export_onnx(model: str | Path | None) -> tuple[Path, float]:
    """Write ``<model>.onnx`` and its hash into the card. Returns its path and the largest difference to torch found.

    Raises InputError when the extra is not installed, WeightsError when the graph answers differently.
    """
    try:
        import onnx  # noqa: F401 - torch's exporter asks for it
    except ImportError as error:
        raise InputError(
            "exporting needs the package onnx; install it with: pip install 'au-desktop[export]'"
        ) from error
    card_path = find_model(model)
    loaded = load_model(card_path)
    network = loaded.network
    inputs = tuple(torch.from_numpy(np.stack([array] * 2)) for array in golden_input(network.config))
    fold_batch_norms(network)
    path = card_path.with_suffix(".onnx")
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no ONNX counterpart
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                LiveNetwork(network).eval(),
                inputs,
                str(path),
                opset_version=OPSET,
                dynamo=False,
                input_names=list(LIVE_INPUTS),
                output_names=list(LIVE_OUTPUTS if network.config.sides else LIVE_OUTPUTS[:-1]),
                dynamic_axes={name: {0: "faces"} for name in LIVE_INPUTS},
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    difference = _largest_difference(card_path, path)
    if difference > PARITY:
        path.unlink()
        raise WeightsError(
            f"the exported graph of {card_path.stem} differs from torch by {difference:.4f}; report this"
        )
    card = json.loads(card_path.read_text(encoding="utf-8"))
    card["onnx_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    card_path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path, difference


def _largest_difference(card_path: Path, graph: Path) -> float:
    """Over one and three random faces."""
    network = load_model(card_path, with_onnx=False).network
    onnx = OnnxRuntime(graph, None, 1)
    torch_runtime = TorchRuntime(network, torch.device("cpu"))
    rng = np.random.default_rng(0)
    side, n = network.config.chip_side, len(network.config.aus)
    largest = 0.0
    for count in (1, 3):
        chips = rng.integers(0, 256, (count, side, side, 3), np.uint8)
        centres = rng.uniform(0.1, 0.9, (count, n, 2, 2)).astype(np.float32)
        geometry = rng.normal(0, 0.02, (count, 468, 3)).astype(np.float32)
        reference = np.where(np.arange(count)[:, None, None] < 2, 0.5 * geometry, np.nan).astype(np.float32)
        ours = torch_runtime(chips, centres, geometry, reference)
        theirs = onnx(chips, centres, geometry, reference)
        for mine, other in zip(ours[:3], theirs[:3], strict=True):
            if mine is not None and other is not None:
                largest = max(largest, float(np.abs(mine - other).max()))
    return largest
