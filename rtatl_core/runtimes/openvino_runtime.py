"""The network live in OpenVINO, for CPUs that calculate in bfloat16: Intel Xeon with AMX (since 2023), AMD since Zen 4.
Reads the graphs that ``rtatl export`` wrote. Knows no torch.

Products are computed in bfloat16, and what leads from landmarks to the first of them in float32: landmarks are finer
than a pixel, and a face is compared with the same person's earlier ones; the small difference of two nearly equal
numbers does not survive eight bits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from rtatl_core.card import Card
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.openvino_package import core, is_installed, openvino
from rtatl_core.runtimes.onnx_runtime import OnnxRuntime
from rtatl_core.system import has_bfloat16

SWITCH = "AU_DESKTOP_OPENVINO"
"""Environment variable: 0 = keep to ONNX Runtime."""
PRECISIONS = "f32", "bf16"
"""Of the parts of the graph: what leads from landmarks to the first product, and what follows."""


def serves() -> bool:
    """Whether OpenVINO is installed and faster than ONNX Runtime on this CPU. OpenVINO's own bfloat16 flag does not
    tell: it is also set on AVX-512 CPUs, which emulate bfloat16 at a third of the speed of ONNX Runtime's float32."""
    return os.environ.get(SWITCH) != "0" and is_installed() and has_bfloat16()


class OpenVinoRuntime(OnnxRuntime):
    """Raises WeightsError when the graph does not give the card's golden answer. The decoders stay in ONNX Runtime."""

    name = "openvino"
    tolerance = 0.1
    """Of bfloat16; on real faces it is .01 at the 99th percentile (docs/performance.md)."""

    def _open_network(self, file: Path, threads: int) -> SplitGraph:
        return SplitGraph(file, threads)


class WholeRuntime(OnnxRuntime):
    """The same in one precision, as another program would run the graph: in f32, which for an int8 graph means int8, or
    in bf16."""

    def __init__(self, card: Card, graphs: Mapping[str, Path], threads: int, precision: str) -> None:
        self._precision = precision
        super().__init__(card, graphs, threads, check=False)

    def _open_network(self, file: Path, threads: int) -> WholeGraph:
        return WholeGraph(file, threads, self._precision)


def can_compute(precision: str) -> bool:
    """Whether OpenVINO runs ``precision`` (f32 or bf16) on this CPU, natively or emulated."""
    return precision.upper().replace("F32", "FP32") in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def write_ir(graph: Path, file: Path) -> None:
    """An ONNX graph as OpenVINO keeps them: ``file`` (.xml) and its .bin, in the precision that it has."""
    openvino().save_model(core().read_model(graph), file, compress_to_fp16=False)


class WholeGraph:
    """A network's graph in one piece."""

    def __init__(self, file: Path, threads: int, precision: str) -> None:
        model = core().read_model(file)
        self.inputs: Set[str] = frozenset(given.any_name for given in model.inputs)
        self._request = _compile(model, precision, threads)

    def __call__(self, given: Mapping[str, UInt8 | Float32]) -> list[Any]:
        """See ``Graph``."""
        results = self._request.infer(dict(given), share_inputs=True)
        return [results[output].copy() for output in self._request.model_outputs]


class SplitGraph:
    """A network's graph in parts (``PRECISIONS``), for one face at a time."""

    def __init__(self, file: Path, threads: int) -> None:
        model = core().read_model(file)
        self.inputs: Set[str] = frozenset(given.any_name for given in model.inputs)
        outputs = [output.any_name for output in model.outputs]
        model.reshape({given.any_name: _of_one_face(given) for given in model.inputs})
        self._parts: list[tuple[Any, dict[str, Any]]] = []
        """Each part's request, and its memory for those inputs of the whole graph that it takes."""
        known: dict[str, Any] = {}
        for part, precision in _split(model):
            request = _compile(part, precision if has_bfloat16() else "f32", threads)
            for taken in request.model_inputs:
                if taken.any_name in known:
                    request.set_tensor(taken, known[taken.any_name])
            outside = [taken for taken in request.model_inputs if taken.any_name in self.inputs]
            self._parts.append((request, {taken.any_name: request.get_tensor(taken).data for taken in outside}))
            known |= {output.any_name: request.get_tensor(output) for output in request.model_outputs}
        self._outputs = [known[name].data for name in outputs]

    def __call__(self, given: Mapping[str, UInt8 | Float32]) -> list[Any]:
        """As of the whole graph: each input of n faces -> its outputs of n faces, in order."""
        count = len(next(iter(given.values())))
        if count == 1:
            return self._one(given)
        faces = [self._one({name: array[k : k + 1] for name, array in given.items()}) for k in range(count)]
        return [np.concatenate(parts) for parts in zip(*faces, strict=True)]

    def _one(self, given: Mapping[str, UInt8 | Float32]) -> list[Any]:
        for request, taken in self._parts:
            for name, memory in taken.items():
                memory[:] = given[name]
            request.infer(share_outputs=True)
        return [array.copy() for array in self._outputs]


def _compile(model: Any, precision: str, threads: int) -> Any:
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    return core().compile_model(model, "CPU", options).create_infer_request()


def _of_one_face(given: Any) -> list[int]:
    return [1, *(int(size.get_length()) for size in list(given.partial_shape)[1:])]


def _split(model: Any) -> list[tuple[Any, str]]:
    """Graph -> its parts that compute anything, with their precision. What one part hands to another has the same name
    in both."""
    from openvino import opset15 as ops
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())  # of shapes, which are known by now
    manager.run_passes(model)
    belongs = _parts_of(model)
    entrances: list[list[Any]] = [[] for _ in PRECISIONS]
    exits: list[list[Any]] = [[] for _ in PRECISIONS]
    for result in model.get_results():
        exits[belongs[result.input_value(0).get_node().get_friendly_name()]].append(result)
    for node in model.get_ordered_ops():
        own = belongs.get(node.get_friendly_name())
        if own is None:
            continue
        is_input = node.get_type_name() == "Parameter"
        for output in node.outputs():
            takers = _takers_by_part(output, belongs)
            if not is_input:
                takers.pop(own, None)
            for part, of_part in takers.items():
                entrances[part].append(_entrance(output, of_part))
            if takers and not is_input:
                exits[own].append(ops.result(output))
    parts = zip(exits, entrances, PRECISIONS, strict=True)
    return [(openvino().Model(results, inputs), precision) for results, inputs, precision in parts if results]


def _parts_of(model: Any) -> dict[str, int]:
    """Nodes that depend on any input -> index of their part."""
    belongs: dict[str, int] = {}
    for node in model.get_ordered_ops():
        sources = (value.get_node().get_friendly_name() for value in node.input_values())
        parts = [belongs[source] for source in sources if source in belongs]
        if node.get_type_name() == "Parameter":
            parts = [1 if node.output(0).any_name == "chips" else 0]
        if parts:
            belongs[node.get_friendly_name()] = 1 if node.get_type_name() == "MatMul" else max(parts)
    return belongs


def _takers_by_part(output: Any, belongs: Mapping[str, int]) -> dict[int, list[Any]]:
    """Index of a part -> the inputs of its nodes that take this output. Results are left out: they stay with the node
    they show."""
    takers: dict[int, list[Any]] = {}
    for taker in output.get_target_inputs():
        node = taker.get_node()
        if node.get_type_name() != "Result":
            takers.setdefault(belongs[node.get_friendly_name()], []).append(taker)
    return dict(sorted(takers.items()))


def _entrance(output: Any, takers: Sequence[Any]) -> Any:
    """A new parameter of the output's name and shape, from which these inputs take from now on."""
    from openvino import opset15 as ops

    entrance = ops.parameter(output.get_shape(), output.get_element_type())
    entrance.output(0).set_names({output.any_name})
    for taker in takers:
        taker.replace_source_output(entrance.output(0))
    return entrance
