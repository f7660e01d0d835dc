"""Pictures that the data sets of the tests are made of."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtatl_core.assets import asset


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Neighbouring frames of the demo: a face in each."""
    source = cv2.VideoCapture(str(asset("demo.mp4")))
    frames = [cv2.resize(source.read()[1], (320, 240)) for _ in range(10)]
    source.release()
    return frames
