"""The script that renders the demo."""

from __future__ import annotations

import importlib

import cv2
import numpy as np
import pytest

from tests.scripts import SCRIPTS


@pytest.mark.parametrize("left", [-20, 0, 20])
def test_a_head_laid_over_a_picture_has_no_dark_rim(monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    """A head as bright as what is behind it cannot be seen, nor can its edge."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    script = importlib.import_module("make_demo")
    drawn = np.zeros((script.WIDTH * 9 // 8, script.WIDTH * 9 // 8, 4), np.uint8)
    cv2.circle(drawn, (len(drawn) // 2, len(drawn) // 2), 200, (150, 150, 150, 255), -1)
    small = cv2.resize(drawn, (script.WIDTH, script.WIDTH), interpolation=cv2.INTER_AREA)
    edge = (small[..., 3] > 0) & (small[..., 3] < 255)
    assert edge.sum() > 500
    image = np.full((script.WIDTH, script.WIDTH, 3), 150, np.float32)
    script._lay(image, small, left)
    np.testing.assert_allclose(image, 150, atol=1.5)
