"""How a network's raw output becomes intensities 0-5 and probabilities, also of people whose rest is known.
How gain, offset and boost are found: training/fit_calibration.py."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32

FLOOR = 0.05
"""Up to here readings bend towards 0, which they never reach: what reads less than nothing keeps its order. Cut off at
0, faces told apart by the network would read alike (docs/LOG.md)."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Raw network output (1 = FACS 5) -> intensity 0-5, per AU: v = 5 * gain * (raw - offset), what is over 1 (FACS A)
    multiplied by ``boost``, then kept within 0-5: what is under ``FLOOR`` bent, what is over 5 clipped. Gain and offset
    decide where an AU begins, boost how far it reaches."""

    gain: Float32
    offset: Float32
    occurrence_from_intensity: bool = True
    """True: probability = logistic(4 * (v - 1)), so an AU is present from FACS A on and
    never contradicts its intensity. False: the network's occurrence head, for models whose training data code
    occurrence only, or by another rule."""
    intensity_from_occurrence: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((), np.bool_))
    """(n_aus,) or () AUs whose intensity was never coded in training: shown is 5 times the probability that the
    occurrence head gives."""
    boost: Float32 = field(default_factory=lambda: np.ones((), np.float32))
    """(n_aus,) or (); under 1 where smiles, say, would read more than raters see."""

    def from_rest(self, rest: Float32) -> Calibration:
        """rest: (..., n_aus) raw output for faces that were said to rest -> the calibration of these very faces, which
        counts from there; NaN where nobody said. What tells an AU by its occurrence alone stays as it is."""
        return replace(self, offset=np.where(np.isnan(rest), self.offset, rest).astype(np.float32))

    def rest_intensity(self, rest: Float32) -> Float32:
        """rest: as in ``from_rest``, (n_aus,) -> (n_aus,) what it reads as of a stranger, on 0-5 and below, and so what
        counting from it subtracts; 0 where it changes nothing."""
        read: Float32 = np.where(self.intensity_from_occurrence, 0, self._value(rest)).astype(np.float32)
        return read

    def rest_difference(self, rest: Float32, difference: Float32) -> Float32:
        """rest: as in ``rest_intensity``; difference: (n_aus,) its raw left - right -> (n_aus,) by how much more the
        left reads than the right as of a stranger, on 0-5."""
        return self._value(rest + difference / 2) - self._value(rest - difference / 2)

    def read(self, raw: Float32, logits: Float32) -> tuple[Float32, Float32]:
        """(..., n_aus) raw intensity and occurrence logits -> intensity 0-5, probability of occurrence 0-1."""
        uncoded = self.intensity_from_occurrence
        if self.occurrence_from_intensity:
            logits = np.where(uncoded, logits, 4 * (self._unstretched(raw) - 1)).astype(np.float32)
        probability = 1 / (1 + np.exp(-logits.clip(-60, 60)))
        intensity = np.where(uncoded, MAX_INTENSITY * probability, _bent(self._value(raw))).clip(0, MAX_INTENSITY)
        return intensity.astype(np.float32), probability.astype(np.float32)

    def read_sides(self, raw: Float32, intensity: Float32, difference: Float32 | None = None) -> Float32:
        """(..., n_aus, 2) raw intensity of left and right, (..., n_aus) what the whole reads -> (..., n_aus, 2) 0-5.
        difference: (..., n_aus) raw left - right at rest, from which theirs counts; NaN where nobody said, as None.

        Each side is read like the whole; then both are moved alike, and their difference cut where it would leave 0-5,
        so that their mean is the intensity.
        """
        if difference is not None:
            raw = raw - np.nan_to_num(difference)[..., None] * np.array([0.5, -0.5], np.float32)
        left, right = (self._value(raw[..., side]).clip(0, MAX_INTENSITY) for side in (0, 1))
        most = 2 * np.minimum(intensity, MAX_INTENSITY - intensity)
        half = (left - right).clip(-most, most) / 2
        both: Float32 = np.stack([intensity + half, intensity - half], axis=-1).astype(np.float32)
        return both

    def _value(self, raw: Float32) -> Float32:
        value = self._unstretched(raw)
        stretched: Float32 = np.where(value > 1, 1 + (value - 1) * self.boost, value)
        return stretched

    def _unstretched(self, raw: Float32) -> Float32:
        value: Float32 = MAX_INTENSITY * self.gain * (raw - self.offset)
        return value


def _bent(value: Float32) -> Float32:
    """A hyperbola under ``FLOOR``, which goes on from the line above it."""
    bent: Float32 = np.where(value > FLOOR, value, FLOOR**2 / (2 * FLOOR - np.minimum(value, FLOOR)))
    return bent
