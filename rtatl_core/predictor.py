"""AlignedFaces -> AUPredictions on any device. The only place where a network runs outside training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rtatl_core.card import golden_input, read_card
from rtatl_core.errors import PredictionError
from rtatl_core.face.align import ChipLayout
from rtatl_core.face.regions import WINDOW, au_regions, erased_live
from rtatl_core.handoffs import AlignedFace, AUPrediction, Float32, RecoveredPatches, UInt8
from rtatl_core.runtimes.choose import open_runtime, pick_device
from rtatl_core.runtimes.runtime import Outputs
from rtatl_core.system import cores

GPU_TOLERANCE = 0.1
"""Largest difference in intensity (0-5) that a GPU's arithmetic may make, of which TF32 has three digits."""


class Raw(NamedTuple):
    """What the network says about the faces of a frame, before calibration."""

    outputs: Outputs
    centres: Float32
    """(n_faces, n_aus, 2, 2) middles of the regions they were read from, as fractions of the chip."""

    @property
    def at_rest(self) -> Float32:
        """(n_faces, 2, n_aus) from where readings would count if these faces rested: intensity, and left - right, 0 if
        the network does not tell them."""
        whole, sides = self.outputs.intensity, self.outputs.sides
        difference = np.zeros_like(whole) if sides is None else sides[..., 0] - sides[..., 1]
        return np.stack([whole, difference], axis=1)


class Predictor:
    """A model on a device. One thread at a time."""

    def __init__(self, model: str | Path | None = None, device: str = "auto", threads: int | None = None) -> None:
        """``threads``: None = half the cores, because more wait for each other as soon as the window or another program
        wants a core. Raises WeightsError and InputError."""
        self.device = pick_device(device)
        self._may_change = device == "auto"
        self.card = read_card(model)
        self.layout = ChipLayout(side=self.card.config.chip_side)
        self.warning: str | None = None
        """One sentence when the device was given up."""
        self._threads = threads or max(1, cores() // 2)
        self._runtime = open_runtime(self.card, self.device, self._threads)

    @property
    def aus(self) -> tuple[int, ...]:
        return self.card.config.aus

    @property
    def runtime(self) -> str:
        """What does the arithmetic: torch, onnxruntime or openvino."""
        return self._runtime.name

    def run(
        self,
        faces: Sequence[AlignedFace],
        references: Sequence[Float32] | None = None,
        *,
        want_flow: bool = False,
        want_patches: bool = False,
    ) -> Raw:
        """All faces of a frame in one batch. ``references``: what each is compared with (reference.py); None = nothing.
        Raises PredictionError when the network answers with something that is no number.

        When the memory of a GPU does not suffice, this and all further frames are predicted on the CPU, and ``warning``
        says so.
        """
        centres = au_regions(np.stack([face.landmarks for face in faces]), self.aus)
        chips = np.stack([face.chip for face in faces])
        geometry = np.stack([face.geometry for face in faces])
        reference = np.full_like(geometry, np.nan) if references is None else np.stack(references)
        arrays = chips, centres, geometry, reference
        try:
            outputs = self._runtime(*arrays, want_flow=want_flow, want_patches=want_patches)
        except Exception as error:
            if self.device == "cpu" or not _out_of_memory(error):
                raise
            self._give_up_device(error)
            outputs = self._runtime(*arrays, want_flow=want_flow, want_patches=want_patches)
        if not (np.isfinite(outputs.intensity).all() and np.isfinite(outputs.occurrence).all()):
            raise PredictionError("the network gave no number (NaN) for this frame; if it stays so, install it again")
        return Raw(outputs, centres)

    def read(self, raw: Raw, stated: Float32 | None = None) -> list[AUPrediction]:
        """A prediction per face. ``stated``: (n_faces, 2, n_aus) ``Raw.at_rest`` where somebody said so, else NaN."""
        outputs, calibration = raw.outputs, self.card.calibration
        difference = None
        if stated is not None:
            whole, difference = stated[:, 0], stated[:, 1]
            calibration = calibration.from_rest(whole)
        intensity, occurrence = calibration.read(outputs.intensity, outputs.occurrence)
        nothing: list[None] = [None] * len(intensity)
        flows = nothing if outputs.flow is None else list(self._way_here(outputs.flow))
        sides = nothing if outputs.sides is None else list(calibration.read_sides(outputs.sides, intensity, difference))
        patches = self._patches(outputs.patches, raw.centres)
        return [AUPrediction(*parts) for parts in zip(intensity, occurrence, flows, patches, sides, strict=True)]

    def _way_here(self, flow: Float32) -> Float32:
        """flow: as the decoder has it, which of a network of motions from rest leads back to rest."""
        return -flow if self.card.config.flow_to == "rest" else flow

    def _patches(self, pixels: UInt8 | None, centres: Float32) -> Sequence[RecoveredPatches | None]:
        if pixels is None:
            return [None] * len(centres)
        erased = erased_live(self.aus)
        aus = tuple(self.aus[i] for i in erased)
        return [RecoveredPatches(aus, own, at[list(erased)], WINDOW) for own, at in zip(pixels, centres, strict=True)]

    def _give_up_device(self, error: Exception) -> None:
        if _out_of_memory(error):
            self.warning = (
                f"The memory of {self.device} is full, so the analysis moves to the CPU; close other programs."
            )
        else:
            said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            self.warning = f"The analysis runs on the CPU, since {self.device} cannot run this model here ({said})."
        self.device = "cpu"
        self._runtime = open_runtime(self.card, self.device, self._threads)

    def warm_up(self) -> None:
        """Run once on the golden input, so that the first real frame does not wait for traces and caches. Decoders are
        loaded when their layer is first wanted.

        A GPU must give the golden answer, too, for its arithmetic is another. When the one that "auto" took does not,
        the CPU takes over, and ``warning`` says so; of one that was asked for it is a WeightsError."""
        try:
            outputs = self._golden_outputs()
            if self.device != "cpu":
                answer, _ = self.card.calibration.read(outputs.intensity[0], outputs.occurrence[0])
                self.card.check_answer(answer, self.card.golden, f"torch on {self.device}", GPU_TOLERANCE)
        except Exception as error:  # whatever its driver may raise
            if self.device == "cpu" or not (self._may_change or _out_of_memory(error)):
                raise
            self._give_up_device(error)
            self._golden_outputs()

    def _golden_outputs(self) -> Outputs:
        chip, *others = golden_input(self.card.config)
        return self._runtime(chip[None], *(array[None] for array in others))


def _out_of_memory(error: Exception) -> bool:
    """CUDA raises a class of its own, MPS a RuntimeError. Asked without importing torch."""
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error)
