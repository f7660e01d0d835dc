"""The standard face: where the 68 points lie in the texture layout of ICT-FaceKit's face (MIT, (c) USC Institute for
Creative Technologies). Wrinkles are drawn in this layout for every rig."""

from __future__ import annotations

import numpy as np

from rtatl_core.handoffs import Float32

LANDMARK_UV: Float32 = np.array(
    [
        *((0.140, 0.289), (0.160, 0.385), (0.173, 0.466), (0.182, 0.544), (0.209, 0.632), (0.276, 0.704)),
        *((0.346, 0.725), (0.433, 0.716), (0.500, 0.717), (0.567, 0.716), (0.654, 0.725), (0.724, 0.704)),
        *((0.791, 0.632), (0.818, 0.544), (0.827, 0.466), (0.840, 0.385), (0.860, 0.289), (0.243, 0.204)),
        *((0.298, 0.186), (0.353, 0.186), (0.415, 0.191), (0.460, 0.198), (0.540, 0.198), (0.585, 0.191)),
        *((0.647, 0.186), (0.702, 0.186), (0.757, 0.204), (0.500, 0.277), (0.500, 0.320), (0.500, 0.351)),
        *((0.500, 0.393), (0.433, 0.457), (0.470, 0.459), (0.500, 0.459), (0.530, 0.459), (0.567, 0.457)),
        *((0.315, 0.281), (0.339, 0.278), (0.368, 0.278), (0.401, 0.286), (0.368, 0.288), (0.331, 0.288)),
        *((0.599, 0.286), (0.632, 0.278), (0.661, 0.278), (0.685, 0.281), (0.670, 0.288), (0.632, 0.288)),
        *((0.389, 0.558), (0.424, 0.507), (0.469, 0.490), (0.500, 0.490), (0.532, 0.490), (0.576, 0.507)),
        *((0.612, 0.558), (0.594, 0.615), (0.556, 0.637), (0.500, 0.641), (0.444, 0.637), (0.406, 0.615)),
        *((0.411, 0.566), (0.455, 0.534), (0.500, 0.531), (0.545, 0.534), (0.589, 0.566), (0.556, 0.605)),
        *((0.500, 0.609), (0.444, 0.605)),
    ],
    np.float32,
)
"""(68, 2) u, v down."""


def standard_places(vertices: Float32, landmarks: Float32) -> Float32:
    """(V, 3) a face at rest and its (68, 3) landmarks -> (V, 2) place on the standard face; NaN off the face.

    A thin-plate map of the frontal view from this face's landmarks to the standard ones, for what lies in front of the
    ears. Up there it goes on over the scalp: coarse meshes have triangles from mid-forehead to the crown, which carry
    the forehead's lines only if all their corners have a place.
    """
    from scipy.interpolate import RBFInterpolator

    inner = slice(17, 68)  # the jaw line is a matter of view
    warp = RBFInterpolator(landmarks[inner, :2], LANDMARK_UV[inner], kernel="thin_plate_spline", smoothing=0.05)
    places = warp(vertices[:, :2]).astype(np.float32)
    chin, ears = landmarks[8], landmarks[[0, 16]]
    on_face = (vertices[:, 2] > ears[:, 2].mean() + 1.0) & (vertices[:, 1] > chin[1] - 1.0)
    on_face &= (np.abs(places[:, 0] - 0.5) < 0.36) & (places[:, 1] > -0.25) & (places[:, 1] < 0.85)
    places[~on_face] = np.nan
    return places
