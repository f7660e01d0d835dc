"""A rig of a few dozen vertices: a ball with 68 marked points, whose front rises with AU12 and opens with AU26."""

from __future__ import annotations

import numpy as np

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.rig import AUS, LANDMARKS, ROW, Action, Material, Mesh

RINGS, AROUND = 24, 32
RADIUS = 9.0


class PuppetRig:
    name = "puppet"

    def head(self, rng: np.random.Generator) -> PuppetHead:
        return PuppetHead(float(rng.uniform(0.9, 1.1)), int(rng.integers(1 << 30)))


_MESH: list[Mesh] = []


def _mesh() -> tuple[Mesh, Float32]:
    polar = np.linspace(0.02, np.pi - 0.02, RINGS)[:, None]
    turn = np.linspace(-np.pi, np.pi, AROUND, endpoint=False)[None, :]
    ball = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)), axis=-1
    ).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(RINGS - 1), np.arange(AROUND), indexing="ij")
    corners = [(row + down) * AROUND + (column + right) % AROUND for down, right in ((0, 0), (1, 0), (0, 1), (1, 1))]
    a, b, c, d = (corner.ravel() for corner in corners)
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([c, b, d], axis=1)])
    vertices = (ball * RADIUS).astype(np.float32)
    uv = np.stack([ball[:, 0] / 2 + 0.5, 0.5 - ball[:, 1] / 2], axis=1).astype(np.float32)
    front = np.flatnonzero(ball[:, 2] > 0.3)
    if not _MESH:
        _MESH.append(
            Mesh(
                triangles=triangles.astype(np.int32),
                uv=uv,
                layer=np.zeros(len(ball), np.uint8),
                material=np.full(len(ball), Material.SKIN, np.uint8),
                face_uv=uv,
                landmarks=front[np.linspace(0, len(front) - 1, LANDMARKS).astype(int)].astype(np.int32),
            )
        )
    return _MESH[0], vertices


class PuppetHead:
    age = 0.5

    def __init__(self, size: float, number: int) -> None:
        self.name = f"puppet-{number}"
        self.mesh, base = _mesh()
        self._base = base * np.float32(size)
        skin = np.full((64, 64, 4), (200, 150, 120, 60), np.uint8)
        self.textures = (skin, skin, np.zeros((2, 2, 4), np.uint8))

    def vertices(self, action: Action) -> Float32:
        moved = self._base.copy()
        moved[:, 1] += 1.5 * action.both(12) * (moved[:, 2] > 4)
        moved[:, 1] -= 2.0 * action.both(26) * (moved[:, 1] < -4)
        return moved

    def labels(self, action: Action, vertices: Float32) -> Float32:
        labels = np.zeros((len(AUS), 2), np.float32)
        labels[ROW[12]], labels[ROW[26]] = action.aus[ROW[12]], action.aus[ROW[26]]
        return labels
