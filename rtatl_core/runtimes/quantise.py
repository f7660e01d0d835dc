"""fp32 graph -> int8: the convolutions per channel unless some are depthwise, and the largest product of the region
tokens. Needs the extra ``export``.

The ranges of activations are taken from real or rendered faces. Weights keep to 7 bits: without VNNI (before AVX-512)
the eighth would overflow 16-bit sums. The rest of the network is small and stays in float.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rtatl_core.errors import SourceError
from rtatl_core.face.align import ChipLayout, align_face
from rtatl_core.face.observe import Observer
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import AlignedFace, Float32, UInt8
from rtatl_core.reference import PersonalReference
from rtatl_core.runtimes.runtime import LIVE_INPUTS
from rtatl_core.video import VideoReader

Inputs = tuple[UInt8, Float32, Float32, Float32]
"""chips, centres, geometry, reference of one face, each with a leading 1; as in runtime.py."""
FACES_PER_VIDEO = 120


def network_inputs(videos: Sequence[Path], aus: tuple[int, ...], chip_side: int) -> list[Inputs]:
    """Faces spread over each video, compared with the person's mean one so far. Raises SourceError for a video that
    cannot be read, or when no face is found."""
    found = [inputs for video in videos for inputs in _inputs_of(video, aus, chip_side)]
    if not found:
        raise SourceError(f"No face was found in {', '.join(map(str, videos))}; name videos with faces.")
    return found


def _inputs_of(video: Path, aus: tuple[int, ...], chip_side: int) -> Iterator[Inputs]:
    reference, layout = PersonalReference(), ChipLayout(side=chip_side)
    with closing(Observer(1)) as observer, VideoReader(video) as reader:
        every = max(1, (reader.frame_count or 0) // FACES_PER_VIDEO)
        for packet in reader:
            for seen in observer(packet):
                face = align_face(packet.image, seen.landmarks, layout)
                own = reference.of(seen.face_id)
                reference.see(seen.face_id, packet.timestamp, face.geometry, shows=0.0)
                if packet.number % every == 0:
                    yield _batch_of_one(face, own, aus)


def _batch_of_one(face: AlignedFace, reference: Float32, aus: tuple[int, ...]) -> Inputs:
    return face.chip[None], au_regions(face.landmarks[None], aus), face.geometry[None], reference[None]


def quantise(graph: Path, faces: Sequence[Inputs]) -> None:
    """Replace the fp32 graph by its int8 form; ``faces`` give the ranges."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Faces(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, names: set[str]) -> None:
            self._left = iter(faces)
            self._names = names

        def get_next(self) -> Mapping[str, Any] | None:
            inputs = next(self._left, None)
            if inputs is None:
                return None
            given: Mapping[str, Any] = dict(zip(LIVE_INPUTS, inputs, strict=True))
            return {name: given[name] for name in self._names}

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises what has been done already
    try:
        with tempfile.TemporaryDirectory() as place:
            prepared = Path(place) / "prepared.onnx"
            quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
            model = onnx.load(str(prepared))
            convolutions, products = _convolutions(model.graph), _token_products(model.graph)
            # ONNX Runtime takes a single scale for the matrices of all AUs
            one_scale = {"quant_type": QuantType.QInt8, "symmetric": True, "reduce_range": True}
            quantize_static(
                str(prepared),
                str(graph),
                Faces({given.name for given in model.graph.input}),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                op_types_to_quantize=["Conv", "MatMul"],
                nodes_to_quantize=[node.name for node in convolutions + products],
                extra_options={"TensorQuantOverrides": {node.input[1]: [one_scale] for node in products}},
            )
    finally:
        root.setLevel(level)


def _convolutions(graph: Any) -> list[Any]:
    """All, or none where any is depthwise: those are so light that packing and unpacking takes longer than they do."""
    found = [node for node in graph.node if node.op_type == "Conv"]
    groups = [attribute.i for node in found for attribute in node.attribute if attribute.name == "group"]
    return [] if any(count > 1 for count in groups) else found


def _token_products(graph: Any) -> list[Any]:
    """Products of the region tokens with a matrix for each AU, so with weights of three axes."""
    axes = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    return [node for node in graph.node if node.op_type == "MatMul" and axes.get(node.input[1]) == 3]
