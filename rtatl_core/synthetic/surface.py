"""What light needs to know of a moving mesh: normals, and how open to the sky each vertex lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.rig import Material, Mesh

HOLLOW_REACH = 6
"""Rings of neighbours over which the surface is smoothed to tell hollows from bumps."""
_UPPER_LIDS, _LOWER_LIDS = ((37, 38), (43, 44)), ((40, 41), (46, 47))
LID_SHADE_CM = 0.45
MOUTH_DEPTH_CM = 5.0


class Surface:
    """Precomputed for one mesh."""

    def __init__(self, mesh: Mesh) -> None:
        from scipy import sparse

        self._mesh = mesh
        triangles, count = mesh.triangles, len(mesh.uv)
        self._corners = tuple(np.ascontiguousarray(triangles[:, corner]) for corner in range(3))
        rows = np.arange(len(triangles))
        self._gather = sparse.csr_matrix(
            (np.ones(triangles.size, np.float32), (triangles.ravel(), np.repeat(rows, 3))), (count, len(triangles))
        )
        self._skin = np.flatnonzero(mesh.material == Material.SKIN)
        self._smoother: sparse.csr_matrix | None = None
        self._welded: NDArray[np.int32] | None = None
        self._eyes = np.flatnonzero(mesh.material == Material.EYE)
        self._inside = np.flatnonzero(np.isin(mesh.material, (Material.MOUTH, Material.TEETH)))

    def _weld(self, vertices: Float32) -> NDArray[np.int32]:
        """Vertex -> the first one at the same place: along seams of the texture a place has several vertices."""
        if self._welded is None:
            from scipy import sparse

            _, first, back = np.unique(vertices.round(4), axis=0, return_index=True, return_inverse=True)
            self._welded = first[back.ravel()].astype(np.int32)
            count = len(vertices)
            together = sparse.csr_matrix(
                (np.ones(count, np.float32), (self._welded, np.arange(count))), (count, count)
            )
            self._gather = together @ self._gather
            self._smoother = self._smooth_matrix(count)
        return self._welded

    def _smooth_matrix(self, count: int) -> object:
        from scipy import sparse

        assert self._welded is not None
        skin = self._mesh.material == Material.SKIN
        triangles = self._mesh.triangles[skin[self._mesh.triangles].all(axis=1)]
        edges = self._welded[np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])]
        both = np.concatenate([edges, edges[:, ::-1]])
        near = sparse.csr_matrix((np.ones(len(both), np.float32), (both[:, 0], both[:, 1])), (count, count))
        near.data[:] = 1
        near = (near + sparse.eye(count, dtype=np.float32, format="csr"))[self._skin][:, self._skin]
        return (sparse.diags(1 / np.asarray(near.sum(axis=1)).ravel()) @ near).astype(np.float32).tocsr()

    def normals(self, vertices: Float32) -> Float32:
        """(V, 3) unit normals, smooth over seams."""
        welded = self._weld(vertices)
        a, b, c = (vertices[corner].T for corner in self._corners)
        (ux, uy, uz), (vx, vy, vz) = b - a, c - a
        across = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=1)
        normals = (self._gather @ across)[welded]
        normals /= np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None] + 1e-9
        return normals

    def openness(self, vertices: Float32, normals: Float32) -> Float32:
        """(V,) how much of the sky reaches a vertex: 1 = a plain surface, less in hollows, a little more on ridges;
        computed anew for each frame, so creases darken as they form."""
        openness = np.ones(len(vertices), np.float32)
        skin = self._skin
        smooth = vertices[skin]
        for _ in range(HOLLOW_REACH):
            smooth = self._smoother @ smooth
        hollow = np.einsum("ij,ij->i", smooth - vertices[skin], normals[skin]) * 1.5
        openness[skin] = 1 - np.where(hollow > 0, hollow, 0.25 * np.maximum(hollow, -0.3))
        marks = vertices[self._mesh.landmarks]
        x, y = vertices[self._eyes, 0], vertices[self._eyes, 1]
        upper = np.where(x > 0, marks[list(_UPPER_LIDS[1]), 1].mean(), marks[list(_UPPER_LIDS[0]), 1].mean())
        openness[self._eyes] = 1.05 - 0.75 * ((upper - y) * -1 / LID_SHADE_CM + 1).clip(0, 1)
        lips = marks[[62, 66], 2].mean()
        depth = (lips - vertices[self._inside, 2]) / MOUTH_DEPTH_CM
        openness[self._inside] = (1 - depth).clip(0, 1) ** 2
        return openness
