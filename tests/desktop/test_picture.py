from __future__ import annotations

import numpy as np

from au_desktop.picture import fit_picture


def test_a_picture_is_fitted_in_the_order_of_the_screen() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = (250, 10, 60)  # blue, green, red of the left half
    fitted = fit_picture(image, 30, 20, mirrored=False)
    assert fitted.shape == (20, 30, 4)
    assert fitted.flags.c_contiguous
    assert fitted[10, 5].tolist() == [250, 10, 60, 255]
    assert fitted[10, 25].tolist() == [0, 0, 0, 255]
    np.testing.assert_array_equal(fit_picture(image, 30, 20, mirrored=True), fitted[:, ::-1])
