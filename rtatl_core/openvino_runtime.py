"""The network live in OpenVINO, for CPUs with AMX, which calculate in bfloat16 by the tile (Intel Xeon since 2023).
Needs the extra ``openvino``; reads the graphs that ``rtatl export`` wrote. Knows no torch.

What depends on the picture alone is computed in bfloat16, what landmarks enter in float32: a face is compared with the
person's own, and the difference of two nearly equal numbers does not survive eight bits.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Set
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.onnx_runtime import OnnxRuntime
from rtatl_core.system import has_amx

SWITCH = "AU_DESKTOP_OPENVINO"
"""Environment variable: 0 = keep to ONNX Runtime."""
PICTURE = "chips"
"""The graph's input that is a picture."""


def serves() -> bool:
    """Whether OpenVINO is installed and faster than ONNX Runtime on this CPU. Its own word for bfloat16 does not do: it
    counts AVX-512, which only imitates it, three times as slowly as ONNX Runtime calculates in float32."""
    return os.environ.get(SWITCH) != "0" and find_spec("openvino") is not None and has_amx()


def _openvino() -> Any:
    """The package, without the part of its converter that would report its use: nothing leaves this machine."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it raises ImportError
    return importlib.import_module("openvino")


@cache
def _core() -> Any:
    return _openvino().Core()


class OpenVinoRuntime(OnnxRuntime):
    """Raises WeightsError when the graph does not give the card's golden answer. The decoders stay in ONNX Runtime."""

    name = "openvino"
    tolerance = 0.1
    """Of bfloat16; on real faces it is .01 at the 99th percentile (docs/performance.md)."""

    def _open_network(self, file: Path, threads: int) -> SplitGraph:
        return SplitGraph(file, threads)


class SplitGraph:
    """A network's graph in two parts, for one face at a time."""

    def __init__(self, file: Path, threads: int) -> None:
        model = _core().read_model(file)
        self.inputs: Set[str] = frozenset(given.any_name for given in model.inputs)
        self._outputs = [told.any_name for told in model.outputs]
        model.reshape({given.any_name: _of_one_face(given) for given in model.inputs})
        picture, rest = _split(model)
        self._picture = _compile(picture, "bf16" if has_amx() else "f32", threads)
        self._rest = _compile(rest, "f32", threads)
        seen = {output.any_name: self._picture.get_tensor(output) for output in self._picture.model_outputs}
        for taken in self._rest.model_inputs:
            if taken.any_name in seen:
                self._rest.set_tensor(taken, seen[taken.any_name])
        told = {output.any_name: self._rest.get_tensor(output) for output in self._rest.model_outputs}
        self._told = [(seen | told)[name].data for name in self._outputs]
        self._entered = [taken.any_name for taken in self._rest.model_inputs if taken.any_name not in seen]

    def __call__(self, given: Mapping[str, UInt8 | Float32]) -> list[Any]:
        """As of the whole graph: each input of n faces -> its outputs of n faces, in order."""
        count = len(given[PICTURE])
        faces = [self._one({name: array[k : k + 1] for name, array in given.items()}) for k in range(count)]
        return [np.concatenate(parts) for parts in zip(*faces, strict=True)]

    def _one(self, given: Mapping[str, UInt8 | Float32]) -> list[Any]:
        self._picture.infer({PICTURE: given[PICTURE]}, share_inputs=True)
        self._rest.infer({name: given[name] for name in self._entered}, share_inputs=True)
        return [array.copy() for array in self._told]


def _compile(model: Any, precision: str, threads: int) -> Any:
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    return _core().compile_model(model, "CPU", options).create_infer_request()


def _of_one_face(given: Any) -> list[int]:
    return [1, *(int(size.get_length()) for size in list(given.partial_shape)[1:])]


def _split(model: Any) -> tuple[Any, Any]:
    """Graph -> what follows from the picture alone, and the rest, which takes the former's outputs as inputs."""
    openvino = _openvino()
    from openvino import opset15 as ops
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())  # of shapes, which are known by now
    manager.run_passes(model)
    parameters = {parameter.get_friendly_name(): parameter for parameter in model.get_parameters()}
    seen, known = _that_follow_from(model, parameters[PICTURE])
    cuts, entrances = [], []
    for node in seen:
        for output in node.outputs():
            beyond = [
                target
                for target in output.get_target_inputs()
                if target.get_node().get_friendly_name() not in known and target.get_node().get_type_name() != "Result"
            ]
            if beyond:
                entrance = ops.parameter(output.get_shape(), output.get_element_type())
                entrance.output(0).set_names({output.any_name})
                for target in beyond:
                    target.replace_source_output(entrance.output(0))
                cuts.append(ops.result(output))
                entrances.append(entrance)
    results = {result: result.input_value(0).get_node().get_friendly_name() in known for result in model.get_results()}
    picture = openvino.Model([*cuts, *(r for r, of_picture in results.items() if of_picture)], [parameters[PICTURE]])
    others = [parameter for name, parameter in parameters.items() if name != PICTURE]
    rest = openvino.Model([r for r, of_picture in results.items() if not of_picture], [*entrances, *others])
    return picture, rest


def _that_follow_from(model: Any, parameter: Any) -> tuple[list[Any], set[str]]:
    """Nodes that depend on this input and on no other, and their names with the input's."""
    known = {parameter.get_friendly_name()}
    constant: set[str] = set()
    seen = []
    for node in model.get_ordered_ops():
        sources = [value.get_node().get_friendly_name() for value in node.input_values()]
        name = node.get_friendly_name()
        if node.get_type_name() in ("Parameter", "Result"):
            continue
        if all(source in constant for source in sources):
            constant.add(name)
        elif all(source in constant or source in known for source in sources):
            known.add(name)
            seen.append(node)
    return seen, known
