"""Make rtatl_core/face/mean_face.npy from a folder of photos: generalised Procrustes mean of FaceMesh
outputs, symmetrised.

    python scripts/make_mean_face.py PHOTOS rtatl_core/face/mean_face.npy

Each face is carried onto the running mean by the similarity fitted to the rigid points only, so expressions
do not turn it. The file that ships was made from 200 generated portraits (faker-js/assets-person-portrait,
CC0 1.0; no real person).
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from rtatl_core.face.find import FaceMesh
from rtatl_core.face.mesh import EYE_OUTER, MESH_POINTS, RIGID
from rtatl_core.face.similarity import fit_similarity


def faces_of(folder: Path) -> np.ndarray:
    with FaceMesh(tracking=False) as mesh:
        found = [mesh(cv2.imread(str(path))) for path in sorted(folder.glob("*.jpg"))]
    return np.array([faces[0][:MESH_POINTS] for faces in found if faces], np.float64)


def mirror_pairs(mean: np.ndarray) -> np.ndarray:
    """Partner of each point: the assignment that brings the mirror image closest to the mesh; it must be
    mutual."""
    mirrored = mean * (-1, 1, 1)
    distance = ((mirrored[:, None] - mean[None]) ** 2).sum(axis=2)
    partner = linear_sum_assignment(distance + distance.T)[1]
    if not (partner[partner] == np.arange(len(mean))).all():
        raise SystemExit("the mean is too asymmetric to pair its points; use more and more frontal photos")
    return partner


def make(folder: Path) -> np.ndarray:
    faces = faces_of(folder)
    rigid = list(RIGID)
    # start from a frontal frame: x through the eye corners, y through nose bridge and base
    mean = faces[0] - faces[0][list(EYE_OUTER)].mean(axis=0)
    for _ in range(20):
        carried = []
        for face in faces:
            scale, rotation, shift = fit_similarity(face[rigid], mean[rigid])
            carried.append(scale * face @ rotation.T + shift)
        mean = np.median(carried, axis=0)
        x_axis = mean[EYE_OUTER[1]] - mean[EYE_OUTER[0]]
        x_axis /= np.linalg.norm(x_axis)
        down = mean[152] - mean[10]  # forehead to chin
        y_axis = down - down @ x_axis * x_axis
        y_axis /= np.linalg.norm(y_axis)
        frame = np.stack([x_axis, y_axis, np.cross(x_axis, y_axis)])
        mean = (mean - mean[list(EYE_OUTER)].mean(axis=0)) @ frame.T
        mean *= 89.0 / np.linalg.norm(mean[EYE_OUTER[1]] - mean[EYE_OUTER[0]])
    partner = mirror_pairs(mean)
    return ((mean + mean[partner] * (-1, 1, 1)) / 2).astype(np.float32)


if __name__ == "__main__":
    np.save(sys.argv[2], make(Path(sys.argv[1])))
