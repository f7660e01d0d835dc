"""A frame's picture in the size and order of colours that the screen takes. No Qt."""

from __future__ import annotations

import cv2
import numpy as np

from rtatl_core.handoffs import UInt8


def fit_picture(image: UInt8, width: int, height: int, *, mirrored: bool) -> UInt8:
    """(h, w, 3) BGR -> (height, width, 4) BGRA, in pixels of the screen. Qt's own smooth scaling looks the same and
    costs three times as much."""
    image = np.asarray(cv2.flip(image, 1) if mirrored else image, np.uint8)
    fitted = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(fitted, cv2.COLOR_BGR2BGRA), np.uint8)
