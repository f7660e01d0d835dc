"""AlignedFaces -> AUPredictions on any device. The only place where a network runs outside training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rtatl_core.errors import InputError
from rtatl_core.face.align import ChipLayout
from rtatl_core.face.regions import WINDOW, au_regions
from rtatl_core.handoffs import LANDMARKS, AlignedFace, AUPrediction, Float32, RecoveredPatches, UInt8
from rtatl_core.models.recovery import erased_live
from rtatl_core.runtimes import pick_runtime
from rtatl_core.weights import Model, calibrate, calibrate_sides, golden_input


def pick_device(device: str = "auto") -> torch.device:
    """ "auto" takes CUDA, then MPS, then the CPU. Raises InputError for a device this machine lacks."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} cannot be used here; write cpu, cuda, mps or auto") from error
    return chosen


class Predictor:
    """Takes over a model and holds it on a device. One thread at a time."""

    def __init__(self, model: Model, device: str = "auto") -> None:
        self.device = pick_device(device)
        self.model = model
        self.layout = ChipLayout(side=model.network.config.chip_side)
        self._runtime = pick_runtime(model.network, model.onnx, self.device)

    @property
    def runtime(self) -> str:
        """What does the arithmetic: torch or onnxruntime."""
        return self._runtime.name

    def __call__(
        self,
        faces: Sequence[AlignedFace],
        references: Sequence[Float32] | None = None,
        *,
        want_flow: bool = False,
        want_patches: bool = False,
    ) -> tuple[list[AUPrediction], Float32]:
        """All faces of a frame in one batch. ``references``: what each is compared with (reference.py); None = nothing.
        Returns a prediction per face, and the regions they were read from: (n_faces, n_aus, 2, 2) as fractions of the
        chip."""
        centres = au_regions(np.stack([face.landmarks for face in faces]), self.model.aus)
        chips = np.stack([face.chip for face in faces])
        geometry = np.stack([face.geometry for face in faces])
        reference = np.full_like(geometry, np.nan) if references is None else np.stack(references)
        raw = self._runtime(chips, centres, geometry, reference, want_flow=want_flow, want_patches=want_patches)
        intensity, occurrence = calibrate(raw.intensity, raw.occurrence, self.model.calibration)
        flows = [None] * len(faces) if raw.flow is None else list(raw.flow)
        sides: Sequence[Float32 | None] = [None] * len(faces)
        if raw.sides is not None:
            sides = list(calibrate_sides(raw.sides, intensity, self.model.calibration))
        patches = self._patches(raw.patches, centres)
        predictions = [AUPrediction(*parts) for parts in zip(intensity, occurrence, flows, patches, sides, strict=True)]
        return predictions, centres

    def _patches(self, pixels: UInt8 | None, centres: Float32) -> Sequence[RecoveredPatches | None]:
        if pixels is None:
            return [None] * len(centres)
        erased = erased_live(self.model.aus)
        aus = tuple(self.model.aus[i] for i in erased)
        return [RecoveredPatches(aus, own, at[list(erased)], WINDOW) for own, at in zip(pixels, centres, strict=True)]

    def warm_up(self) -> None:
        """Run once on a made-up face, so that the first real frame does not wait for traces and caches."""
        chip, _, geometry, _ = golden_input(self.model.network.config)
        landmarks = np.full((LANDMARKS, 2), 0.5, np.float32)
        self([AlignedFace(chip, np.eye(2, 3), landmarks, geometry)], want_flow=True)
