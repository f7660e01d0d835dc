"""AlignedFaces -> AUPredictions on any device. The only place where a network runs outside training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rtatl_core.errors import InputError
from rtatl_core.face.align import ChipLayout
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import AlignedFace, AUPrediction, Float32
from rtatl_core.models.backbone import fold_batch_norms, to_tensor
from rtatl_core.models.decoders import FLOW_SCALE
from rtatl_core.weights import Model, calibrate


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
        fold_batch_norms(model.network)
        self._network = model.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, faces: Sequence[AlignedFace], *, want_flow: bool = False) -> tuple[list[AUPrediction], Float32]:
        """All faces of a frame in one batch. Returns a prediction per face, and the regions they were read
        from: (n_faces, n_aus, 2, 2) as fractions of the chip."""
        network = self._network
        centres = au_regions(np.stack([face.landmarks for face in faces]), self.model.aus)
        chips = torch.from_numpy(np.stack([face.chip for face in faces])).to(self.device)
        geometry = torch.from_numpy(np.stack([face.geometry for face in faces])).to(self.device)
        output = network(to_tensor(chips), torch.from_numpy(centres).to(self.device), geometry)
        raw, logits = output.intensity.cpu().numpy(), output.occurrence.cpu().numpy()
        intensity, occurrence = calibrate(raw, logits, self.model.calibration)
        flows: Sequence[Float32 | None] = [None] * len(faces)
        if want_flow and network.flow is not None:
            flow = network.flow(output.coarse) / FLOW_SCALE
            flows = list(flow.permute(0, 2, 3, 1).contiguous().cpu().numpy())
        predictions = [AUPrediction(*parts) for parts in zip(intensity, occurrence, flows, strict=True)]
        return predictions, centres
