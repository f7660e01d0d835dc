"""What light needs to know of a moving mesh: normals, and how open to the sky each vertex lies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.rig import Material, Mesh

HOLLOW_REACH = 5
"""Rings of neighbours over which the surface is smoothed to tell hollows from bumps."""
_UPPER_LIDS = ((37, 38), (43, 44))
"""Landmarks of the upper lids, subject's right and left."""
LID_SHADE_CM = 0.45
MOUTH_DEPTH_CM = 3.6


class Surface:
    """Made for one mesh, from the vertices of its first head: where vertices coincide there, they always do."""

    def __init__(self, mesh: Mesh, vertices: Float32) -> None:
        self._mesh = mesh
        material = mesh.material
        # Along seams of the texture a place has several vertices; all take the normal of the first. Of hair and lashes
        # none: they lie so close that on some heads they meet, and which head is the first must not matter. Nor are
        # places rounded: upper and lower teeth come as close as a thousandth of a millimetre, on some heads.
        _, first, back = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
        self._welded = np.where(material >= Material.LASH, np.arange(len(material)), first[back.ravel()])
        self._moving = np.flatnonzero(np.isin(material, (Material.SKIN, Material.BODY, Material.EYE)))
        moves = np.isin(material[mesh.triangles[:, 0]], (Material.SKIN, Material.BODY, Material.EYE))
        self._resting = _Normals(mesh.triangles[~moves], self._welded, np.arange(len(material)))
        self._still: Float32 = self._resting(vertices)
        self._normals = _Normals(mesh.triangles[moves], self._welded, self._moving)
        self._skin = np.flatnonzero(material == Material.SKIN)
        self._smoother = self._smooth_matrix()
        self._eyes = np.flatnonzero(material == Material.EYE)
        self._inside = np.flatnonzero(np.isin(material, (Material.MOUTH, Material.TEETH)))

    def _smooth_matrix(self) -> Any:
        from scipy import sparse

        count = len(self._mesh.material)
        skin = self._mesh.material == Material.SKIN
        triangles = self._mesh.triangles[skin[self._mesh.triangles].all(axis=1)]
        edges = self._welded[np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])]
        both = np.concatenate([edges, edges[:, ::-1]])
        near = sparse.csr_matrix((np.ones(len(both), np.float32), (both[:, 0], both[:, 1])), (count, count))
        near.data[:] = 1
        near = (near + sparse.eye(count, dtype=np.float32, format="csr"))[self._skin][:, self._skin]
        return (sparse.diags(1 / np.asarray(near.sum(axis=1)).ravel()) @ near).astype(np.float32).tocsr()

    def take(self, vertices: Float32) -> None:
        """A new head, at rest. What lies in the mouth, lashes and hair hardly turn: their normals are found once."""
        self._still = self._resting(vertices)

    def normals(self, vertices: Float32) -> Float32:
        """(V, 3) unit normals, smooth over seams."""
        normals = self._still.copy()
        normals[self._moving] = self._normals(vertices)
        return normals

    def openness(self, vertices: Float32, normals: Float32) -> Float32:
        """(V,) how much of the sky reaches a vertex: 1 = a plain surface, less in hollows, a little more on ridges;
        computed anew for each frame, so creases darken as they form."""
        openness = np.ones(len(vertices), np.float32)
        skin = vertices[self._skin]
        smooth = skin
        for _ in range(HOLLOW_REACH):
            smooth = self._smoother @ smooth
        hollow = np.einsum("ij,ij->i", smooth - skin, normals[self._skin]) * 1.7
        openness[self._skin] = 1 - np.where(hollow > 0, hollow, 0.25 * np.maximum(hollow, -0.3))
        marks = vertices[self._mesh.landmarks]
        x, y = vertices[self._eyes, 0], vertices[self._eyes, 1]
        right, left = (marks[list(lid), 1].mean() for lid in _UPPER_LIDS)
        below_lid = np.where(x > 0, left, right) - y
        openness[self._eyes] = 1.05 - 0.75 * (1 - below_lid / LID_SHADE_CM).clip(0, 1)
        lips = marks[[62, 66], 2].mean()
        depth = (lips - vertices[self._inside, 2]) / MOUTH_DEPTH_CM
        openness[self._inside] = (1 - depth).clip(0, 1) ** 2
        return openness


class _Normals:
    """Normals of some vertices from their triangles, weighted by area."""

    def __init__(self, triangles: NDArray[np.int32], welded: NDArray[np.int64], wanted: NDArray[np.int64]) -> None:
        from scipy import sparse

        self._corners = [np.ascontiguousarray(triangles[:, corner]) for corner in range(3)]
        rows = np.repeat(np.arange(len(triangles)), 3)
        ones = np.ones(triangles.size, np.float32)
        gather = sparse.csr_matrix((ones, (welded[triangles.ravel()], rows)), (len(welded), len(triangles)))
        self._gather = gather[welded[wanted]]

    def __call__(self, vertices: Float32) -> Float32:
        x, y, z = (np.ascontiguousarray(vertices[:, axis]) for axis in range(3))
        a, b, c = self._corners
        (ux, vx), (uy, vy), (uz, vz) = (((w := p[a]), p[b] - w, p[c] - w)[1:] for p in (x, y, z))
        across = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=1)
        normals = self._gather @ across
        normals /= np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None] + np.float32(1e-9)
        return np.asarray(normals, np.float32)
