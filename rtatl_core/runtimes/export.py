"""Model -> ONNX graphs beside its weights, with a parity check. Needs the extra ``export``."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtatl_core import openvino_package
from rtatl_core.assets import asset
from rtatl_core.card import GRAPHS, Card, file_hash, golden_input, read_card
from rtatl_core.errors import InputError, WeightsError
from rtatl_core.face.mesh import MESH_POINTS
from rtatl_core.face.regions import erased_live
from rtatl_core.files import put, replace_file
from rtatl_core.handoffs import Float32
from rtatl_core.models.backbone import fold_batch_norms
from rtatl_core.models.recovery import PatchPainter
from rtatl_core.models.rtatl import RTATL
from rtatl_core.runtimes import openvino_runtime
from rtatl_core.runtimes.onnx_runtime import OnnxRuntime
from rtatl_core.runtimes.quantise import Inputs, network_inputs, quantise
from rtatl_core.runtimes.runtime import LIVE_INPUTS, LIVE_OUTPUTS, Outputs, Runtime
from rtatl_core.runtimes.torch_runtime import LiveFlow, LiveNetwork, TorchRuntime
from rtatl_core.system import how_to_install
from rtatl_core.weights import load_model

OPSET = 17
PARITY = 1e-3
"""Largest difference in raw intensity (1 = FACS 5), logits and flow between torch and ONNX Runtime that is accepted."""
PATCH_PARITY = 3.0
"""The same for recovered pixels, in grey levels."""
PARITY_INT8 = 0.15
"""Largest difference in calibrated intensity (0-5) that int8 may make, at the 99th percentile; docs/performance.md has
what it makes of the default weights."""

Precision = Literal["fp32", "int8"]
_DEMO = (asset("demo.mp4"),)


def export_onnx(
    model: str | Path | None,
    precision: Precision = "fp32",
    *,
    ranges_from: Sequence[Path] = (),
    parity_on: Sequence[Path] = (),
    openvino: Path | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Write ``<model>.onnx`` and, for the decoders that the model has, ``<model>.flow.onnx`` and
    ``<model>.recovery.onnx``; their hashes and the parity go into the card. Returns the first path and the parity:

    precision: of the network's graph; the decoders stay in fp32.
    raw_difference: largest difference between torch and the fp32 graphs on made-up faces, 1 = FACS 5.
    faces, au_difference {p99, max} on 0-5, occurrence_agreement 0-1, golden_intensity: of the int8 graph against
    torch, on the faces of ``parity_on`` (videos; by default the demo clip).
    openvino_bf16: the same but the last, of the fp32 graph in OpenVINO, where that would be used.
    openvino: precision -> the same of the graph in OpenVINO in that one precision, as other programs would run it; with
    ``openvino``, a folder to write it to as ``<model>.xml`` and ``<model>.bin``.

    ``ranges_from``: videos whose faces give int8 its ranges, by default the demo clip. Raises InputError when the extra
    is not installed, SourceError for an unusable video, WeightsError when a graph answers differently; what was
    exported before then stays as it is.
    """
    _require_packages(openvino=openvino is not None)
    loaded = load_model(model)
    path, network = loaded.card.path, loaded.network
    fold_batch_norms(network)
    faces = cache(partial(network_inputs, aus=network.config.aus, chip_side=network.config.chip_side))
    judged_on = tuple(parity_on) or _DEMO
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        written = _write_graphs(Path(folder) / path.name, network)
        difference = _largest_difference(loaded.card, written)
        if difference > PARITY:
            raise WeightsError(f"the exported graph of {path.stem} differs from torch by {difference:.4f}; report this")
        parity: dict[str, Any] = {"precision": precision, "raw_difference": difference}
        if precision == "int8":
            quantise(written["network"], faces(tuple(ranges_from) or _DEMO))
            parity |= _int8_parity(loaded.card, written, faces(judged_on))
        elif openvino_runtime.serves():
            runtime = openvino_runtime.OpenVinoRuntime(loaded.card, written, 1, check=False)
            parity["openvino_bf16"] = _parity(loaded.card, runtime, faces(judged_on))
        if openvino is not None:
            parity["openvino"] = _to_openvino(loaded.card, written, precision, openvino, faces(judged_on))
        for file in written.values():
            put(file, path.parent / file.name)
    written = {name: path.parent / file.name for name, file in written.items()}
    facts = loaded.card.facts | {"onnx": {name: file_hash(file) for name, file in written.items()}}
    facts["onnx_parity"] = parity
    replace_file(path, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    read_card(path).graphs()
    return written["network"], parity


def _require_packages(*, openvino: bool) -> None:
    try:
        import onnx  # noqa: F401 - torch's exporter asks for it
    except ImportError as error:
        raise InputError(f"exporting needs the package onnx; {how_to_install('export')}") from error
    if openvino and not openvino_package.is_installed():
        raise InputError(f"OpenVINO's files need the package openvino; {how_to_install('openvino')}")


def _int8_parity(card: Card, graphs: dict[str, Path], faces: Sequence[Inputs]) -> dict[str, Any]:
    onnx = OnnxRuntime(card, graphs, 1, check=False)
    parity = _parity(card, onnx, faces)
    parity["golden_intensity"] = [round(float(value), 4) for value in onnx.golden_answer()]
    difference = parity["au_difference"]["p99"]
    if difference > PARITY_INT8:
        raise WeightsError(
            f"in int8, {card.path.stem} differs from torch by {difference:.3f} in 1 % of the AUs "
            f"(at most {PARITY_INT8} is accepted); export it with --precision fp32"
        )
    return parity


def _to_openvino(
    card: Card, graphs: dict[str, Path], precision: Precision, folder: Path, faces: Sequence[Inputs]
) -> dict[str, Any]:
    """Precision -> parity. Raises InputError when the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); name another folder") from error
    file = folder / f"{card.path.stem}.xml"
    openvino_runtime.write_ir(graphs["network"], file)
    graphs = graphs | {"network": file}
    computed = {"int8": "f32"} if precision == "int8" else {"fp32": "f32", "bf16": "bf16"}
    return {
        name: _parity(card, openvino_runtime.WholeRuntime(card, graphs, 1, how), faces)
        for name, how in computed.items()
        if openvino_runtime.can_compute(how)
    }


def _parity(card: Card, runtime: Runtime, faces: Sequence[Inputs]) -> dict[str, Any]:
    """How far a runtime's answers are from torch's."""
    torch_runtime = TorchRuntime(load_model(card.path).network, torch.device("cpu"))
    (ours, ours_present), (theirs, theirs_present) = (_answers(card, each, faces) for each in (runtime, torch_runtime))
    difference = np.abs(ours - theirs)
    return {
        "faces": len(faces),
        "au_difference": {
            "p99": round(float(np.percentile(difference, 99)), 4),
            "max": round(float(difference.max()), 4),
        },
        "occurrence_agreement": round(float((ours_present == theirs_present).mean()), 5),
    }


def _answers(card: Card, runtime: Runtime, faces: Sequence[Inputs]) -> tuple[Float32, NDArray[np.bool_]]:
    """(n_faces, n_aus) calibrated intensity, and whether the AU is present."""
    raw = [runtime(*inputs) for inputs in faces]
    intensity, occurrence = card.calibration.read(
        np.concatenate([output.intensity for output in raw]), np.concatenate([output.occurrence for output in raw])
    )
    return intensity, occurrence > 0.5


def _write_graphs(beside: Path, network: RTATL) -> dict[str, Path]:
    config = network.config
    live = LiveNetwork(network).eval()
    inputs = tuple(torch.from_numpy(np.stack([array] * 2)) for array in golden_input(config))
    outputs = LIVE_OUTPUTS if config.sides else LIVE_OUTPUTS[:-1]
    files = {"network": _write(beside, "network", live, inputs, LIVE_INPUTS, outputs)}
    with torch.no_grad():
        _, _, coarse, tokens, *_ = live(*inputs)
    if network.flow is not None:
        files["flow"] = _write(beside, "flow", LiveFlow(network.flow).eval(), (coarse,), ("coarse",), ("flow",))
    if network.inpainting is not None:
        erased = tokens[:, list(erased_live(config.aus))]
        painter = PatchPainter(network.inpainting).eval()
        files["recovery"] = _write(beside, "recovery", painter, (erased, inputs[0]), ("tokens", "chips"), ("patches",))
    return files


def _write(
    beside: Path,
    name: str,
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> Path:
    file = beside.with_suffix(GRAPHS[name])
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no ONNX counterpart
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                inputs,
                str(file),
                opset_version=OPSET,
                dynamo=False,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_axes={given: {0: "faces"} for given in input_names},
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return file


def _largest_difference(card: Card, graphs: dict[str, Path]) -> float:
    """Over one and three random faces."""
    onnx = OnnxRuntime(card, graphs, 1, check=False)
    torch_runtime = TorchRuntime(load_model(card.path).network, torch.device("cpu"))
    rng = np.random.default_rng(0)
    side, n = card.config.chip_side, len(card.config.aus)
    largest = 0.0
    for count in (1, 3):
        chips = rng.integers(0, 256, (count, side, side, 3), np.uint8)
        centres = rng.uniform(0.1, 0.9, (count, n, 2, 2)).astype(np.float32)
        geometry = rng.normal(0, 0.02, (count, MESH_POINTS, 3)).astype(np.float32)
        reference = np.where(np.arange(count)[:, None, None] < 2, 0.5 * geometry, np.nan).astype(np.float32)
        ours, theirs = (
            runtime(chips, centres, geometry, reference, want_flow=True, want_patches=True)
            for runtime in (torch_runtime, onnx)
        )
        largest = max(largest, _difference(ours, theirs))
    return largest


def _difference(ours: Outputs, theirs: Outputs) -> float:
    largest = 0.0
    for name, mine, other in zip(Outputs._fields, ours, theirs, strict=True):
        if mine is None or other is None:
            continue
        scale = PARITY / PATCH_PARITY if name == "patches" else 1.0
        largest = max(largest, scale * float(np.abs(mine.astype(np.float32) - other.astype(np.float32)).max()))
    return largest
