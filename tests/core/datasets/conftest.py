"""Pictures that the data sets of the tests are made of."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.clips import demo_frames


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Neighbouring frames of the demo: a face in each."""
    return [cv2.resize(frame, (320, 240)) for frame in demo_frames(10)]
