"""The network live in ONNX Runtime, from the graphs that ``rtatl export`` wrote: for one face on a CPU 2.7 times as
fast as plain torch, and there in a fraction of a second. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rtatl_core.card import Card, calibrate, golden_input
from rtatl_core.face.regions import WINDOW, erased_live
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.runtimes import LIVE_INPUTS, Outputs


class OnnxRuntime:
    """Raises WeightsError when the graph does not give the card's golden answer."""

    name = "onnxruntime"

    def __init__(self, card: Card, graphs: Mapping[str, Path], threads: int, *, check: bool = True) -> None:
        """graphs: see ``Card.graphs``; flow and recovery may be absent, and are loaded when they are first wanted.
        ``check``: compare with the golden answer."""
        self._card, self._graphs, self._threads = card, dict(graphs), threads
        self._sessions: dict[tuple[str, bool], Any] = {}
        self._erased = list(erased_live(card.config.aus))
        self._inputs = {given.name for given in self._session("network", 1).get_inputs()}
        """Those that the graph has: without geometry stream no geometry, without comparison no reference."""
        if check:
            card.check_answer(self.golden_answer(), card.golden_of_graph)

    def golden_answer(self) -> Float32:
        """(n_aus,) calibrated intensity for the golden input."""
        chip, *others = golden_input(self._card.config)
        raw = self(chip[None], *(array[None] for array in others))
        return calibrate(raw.intensity[0], raw.occurrence[0], self._card.calibration)[0]

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
        if want_flow and "flow" in self._graphs:
            (flow,) = self._session("flow", len(chips)).run(None, {"coarse": coarse})
        if want_patches and "recovery" in self._graphs:
            erased = erased_chips(chips, centres[:, self._erased])
            tokens = self._run(erased, centres, geometry, reference)[3][:, self._erased]
            (patches,) = self._session("recovery", len(chips)).run(None, {"tokens": tokens, "chips": chips})
        return Outputs(intensity, occurrence, sides[0] if sides else None, flow, patches)

    def _run(self, *arrays: UInt8 | Float32) -> list[Float32]:
        given = {name: array for name, array in zip(LIVE_INPUTS, arrays, strict=True) if name in self._inputs}
        outputs: list[Float32] = self._session("network", len(arrays[0])).run(None, given)
        return outputs

    def _session(self, name: str, faces: int) -> Any:
        key = name, faces == 1
        if key not in self._sessions:
            self._sessions[key] = open_session(self._graphs[name], self._threads, one_face=faces == 1)
        return self._sessions[key]


def open_session(graph: Path, threads: int, *, one_face: bool) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU whose threads do not spin while they wait. ``one_face``: for one
    face only, a tenth faster, because shapes are then known."""
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
