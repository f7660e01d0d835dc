"""The network live in ONNX Runtime, from the graphs that ``rtatl export`` wrote: for one face on a CPU two to three
times as fast as plain torch, and there in a fraction of a second. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rtatl_core.card import GOLDEN_TOLERANCE, Card, golden_input
from rtatl_core.face.regions import WINDOW, erased_live
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.runtimes.runtime import LIVE_INPUTS, Outputs


class Graph(Protocol):
    """A network's graph, ready to run."""

    @property
    def inputs(self) -> Set[str]:
        """Those of ``LIVE_INPUTS`` that it takes: a network may do without geometry or reference."""
        ...

    def __call__(self, given: Mapping[str, UInt8 | Float32]) -> list[Any]:
        """Its outputs, in order; of the network ``runtime.LIVE_OUTPUTS``. The first axis counts faces."""
        ...


class OnnxRuntime:
    """Raises WeightsError when the graph does not give the card's golden answer."""

    name = "onnxruntime"
    tolerance = GOLDEN_TOLERANCE
    """How far off the golden answer may be."""

    def __init__(self, card: Card, graphs: Mapping[str, Path], threads: int, *, check: bool = True) -> None:
        """graphs: see ``Card.graphs``; flow and recovery may be absent, and are loaded when they are first wanted.
        ``check``: compare with the golden answer."""
        self._card, self._threads = card, threads
        self._network = self._open_network(graphs["network"], threads)
        self._decoders = {name: OnnxGraph(file, threads) for name, file in graphs.items() if name != "network"}
        self._erased = list(erased_live(card.config.aus))
        if check:
            card.check_answer(self.golden_answer(), card.golden_of_graph, self.name, self.tolerance)

    def _open_network(self, file: Path, threads: int) -> Graph:
        return OnnxGraph(file, threads)

    def golden_answer(self) -> Float32:
        """(n_aus,) calibrated intensity for the golden input."""
        chip, *others = golden_input(self._card.config)
        raw = self(chip[None], *(array[None] for array in others))
        return self._card.calibration.read(raw.intensity[0], raw.occurrence[0])[0]

    def __call__(
        self,
        chips: UInt8,
        centres: Float32,
        geometry: Float32,
        reference: Float32,
        *,
        want_flow: bool = False,
        want_patches: bool = False,
    ) -> Outputs:
        intensity, occurrence, coarse, _, *sides = self._run(chips, centres, geometry, reference)
        flow = patches = None
        if want_flow and "flow" in self._decoders:
            (flow,) = self._decoders["flow"]({"coarse": coarse})
        if want_patches and "recovery" in self._decoders:
            erased = erased_chips(chips, centres[:, self._erased])
            tokens = self._run(erased, centres, geometry, reference)[3][:, self._erased]
            (patches,) = self._decoders["recovery"]({"tokens": tokens, "chips": chips})
        return Outputs(intensity, occurrence, sides[0] if sides else None, flow, patches)

    def _run(self, *arrays: UInt8 | Float32) -> list[Any]:
        named = zip(LIVE_INPUTS, arrays, strict=True)
        return self._network({name: array for name, array in named if name in self._network.inputs})


class OnnxGraph:
    """A graph in ONNX Runtime, read when it is first wanted: once for single faces, a tenth faster because shapes are
    then known, and once for several at a time."""

    def __init__(self, file: Path, threads: int) -> None:
        self._file, self._threads = file, threads
        self._sessions: dict[bool, Any] = {}

    @cached_property
    def inputs(self) -> Set[str]:
        return frozenset(given.name for given in self._session(one_face=True).get_inputs())

    def __call__(self, given: Mapping[str, UInt8 | Float32]) -> list[Any]:
        count = len(next(iter(given.values())))
        outputs: list[Any] = self._session(one_face=count == 1).run(None, dict(given))
        return outputs

    def _session(self, *, one_face: bool) -> Any:
        if one_face not in self._sessions:
            self._sessions[one_face] = open_session(self._file, self._threads, one_face=one_face)
        return self._sessions[one_face]


def open_session(graph: Path, threads: int, *, one_face: bool) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU whose threads do not spin while they wait."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if one_face:
        options.add_free_dimension_override_by_name("faces", 1)
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def erased_chips(chips: UInt8, centres: Float32) -> UInt8:
    """(B, S, S, 3) chips with the regions around ``centres`` (B, k, 2, 2) filled with the chip's mean colour, as
    ``models.decoders.erase_regions`` does in training."""
    erased = chips.copy()
    pixel = (np.arange(chips.shape[1], dtype=np.float32) + 0.5) / chips.shape[1]
    for chip, places in zip(erased, centres, strict=True):
        mean = chip.mean(axis=(0, 1)).round().astype(np.uint8)
        for x, y in places.reshape(-1, 2):
            inside = (np.abs(pixel - y) <= WINDOW / 2)[:, None] & (np.abs(pixel - x) <= WINDOW / 2)
            chip[inside] = mean
    return erased
