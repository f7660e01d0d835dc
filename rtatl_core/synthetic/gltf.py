"""As much of .glb (binary glTF 2.0) as avatars need: meshes with morph targets, skins at rest, textures.

Enters: a file. Leaves: vertices in metres of the scene, as the skin's joints place them at rest.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import InputError
from rtatl_core.handoffs import Float32, Float64, UInt8
from rtatl_core.synthetic.meshopt import decode_attributes, decode_triangles

_TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True, slots=True)
class GltfMesh:
    name: str
    vertices: Float32
    """(V, 3) metres, y up."""
    triangles: NDArray[np.int32]
    uv: Float32
    """(V, 2), v down."""
    morphs: Mapping[str, Float32]
    """Name -> (V, 3) displacement."""


class Glb:
    """An opened file. Raises InputError when it is no .glb or uses what is not read here."""

    def __init__(self, file: Path) -> None:
        data = file.read_bytes()
        if data[:4] != b"glTF":
            raise InputError(f"{file} is no .glb file; it begins otherwise")
        try:
            size, length = struct.unpack_from("<8xII", data)
            self._json: dict[str, Any] = json.loads(data[20 : 20 + length])
        except (struct.error, ValueError) as error:
            raise InputError(f"{file} is no whole .glb file ({error}); fetch it again") from error
        if len(data) < size:
            raise InputError(f"{file} is cut short, {len(data)} bytes of {size}; fetch it again")
        self._file = file
        self._binary = data[20 + length + 8 :]
        self._views: dict[int, NDArray[np.uint8]] = {}

    def mesh(self, name: str) -> GltfMesh | None:
        """The mesh of that name, None if there is none."""
        for node in self._json["nodes"]:
            if "mesh" in node and self._json["meshes"][node["mesh"]].get("name", node.get("name")) == name:
                return self._read(name, node)
        return None

    def _read(self, name: str, node: dict[str, Any]) -> GltfMesh:
        mesh = self._json["meshes"][node["mesh"]]
        part = mesh["primitives"][0]
        place = self._at_rest(node)
        positions = self.accessor(part["attributes"]["POSITION"]).astype(np.float64)
        names = mesh.get("extras", {}).get("targetNames", [])
        targets = part.get("targets", [])
        return GltfMesh(
            name=name,
            vertices=(positions @ place[:3, :3].T + place[:3, 3]).astype(np.float32),
            triangles=self.accessor(part["indices"]).reshape(-1, 3).astype(np.int32),
            uv=self.accessor(part["attributes"]["TEXCOORD_0"]).astype(np.float32),
            morphs={
                label: (self.accessor(target["POSITION"]) @ place[:3, :3].T).astype(np.float32)
                for label, target in zip(names, targets, strict=False)
            },
        )

    def _at_rest(self, node: dict[str, Any]) -> Float64:
        """(4, 4) stored position -> scene. Quantised positions are undone by the skin's matrices."""
        if "skin" not in node:
            return self._worlds[self._json["nodes"].index(node)]
        skin = self._json["skins"][node["skin"]]
        inverse = self.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        names = [self._json["nodes"][joint].get("name", "") for joint in skin["joints"]]
        head = names.index("Head") if "Head" in names else 0
        return self._worlds[skin["joints"][head]] @ inverse[head]

    @cached_property
    def _worlds(self) -> dict[int, Float64]:
        """Node -> (4, 4) node space -> scene."""
        worlds: dict[int, Float64] = {}

        def visit(index: int, parent: Float64) -> None:
            node = self._json["nodes"][index]
            worlds[index] = parent @ _matrix(node)
            for child in node.get("children", []):
                visit(child, worlds[index])

        for root in self._json["scenes"][self._json.get("scene", 0)]["nodes"]:
            visit(root, np.eye(4))
        return worlds

    def joint(self, name: str) -> Float64:
        """(3,) where a joint lies in the scene. Raises InputError when there is none of that name."""
        for index, node in enumerate(self._json["nodes"]):
            if node.get("name") == name and index in self._worlds:
                return self._worlds[index][:3, 3]
        raise InputError(f"{self._file} has no joint {name!r}; name avatars of the VALID library as published")

    def texture(self, mesh: str) -> UInt8:
        """(h, w, 4) RGBA base colour of the mesh of that name. Raises InputError when there is none."""
        try:
            part = next(m for m in self._json["meshes"] if m.get("name") == mesh)["primitives"][0]
            colour = self._json["materials"][part["material"]]["pbrMetallicRoughness"]["baseColorTexture"]
            texture = self._json["textures"][colour["index"]]
            source = texture.get("extensions", {}).get("EXT_texture_webp", texture)["source"]
            image = self._json["images"][source]
        except (StopIteration, KeyError) as error:
            raise InputError(
                f"{self._file} has no {mesh} with a colour texture; name VALID avatars as published"
            ) from error
        pixels = cv2.imdecode(self._view(image["bufferView"]).ravel(), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise InputError(f"picture {image.get('name', source)} of {self._file} cannot be read")
        code = cv2.COLOR_BGR2RGBA if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        rgba: UInt8 = cv2.cvtColor(pixels, code)
        return rgba

    def accessor(self, index: int) -> NDArray[Any]:
        """(count, width) values; normalised integers as fractions."""
        accessor = self._json["accessors"][index]
        if "sparse" in accessor:
            raise InputError(f"{self._file} uses sparse accessors, which are not read here")
        kind, width = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]]
        count = accessor["count"]
        if "bufferView" not in accessor:
            return np.zeros((count, width), np.float32)
        view = self._json["bufferViews"][accessor["bufferView"]]
        stride = view.get("byteStride") or kind.itemsize * width
        raw = self._view(accessor["bufferView"]).ravel()[accessor.get("byteOffset", 0) :]
        rows = np.lib.stride_tricks.as_strided(raw, (count, kind.itemsize * width), (stride, 1))
        values = np.ascontiguousarray(rows).view(kind).reshape(count, width)
        if accessor.get("normalized"):
            return (values / np.iinfo(kind.name).max).clip(-1, 1).astype(np.float32)
        return values

    def _view(self, index: int) -> NDArray[np.uint8]:
        if index not in self._views:
            self._views[index] = self._decode(self._json["bufferViews"][index])
        return self._views[index]

    def _decode(self, view: dict[str, Any]) -> NDArray[np.uint8]:
        packed = view.get("extensions", {}).get("EXT_meshopt_compression")
        source = packed or view
        start = source.get("byteOffset", 0)
        data = self._binary[start : start + source["byteLength"]]
        if packed is None:
            return np.frombuffer(data, np.uint8)
        count, stride = packed["count"], packed["byteStride"]
        if packed["mode"] == "ATTRIBUTES":
            return decode_attributes(data, count, stride)
        if packed["mode"] == "TRIANGLES":
            return decode_triangles(data, count).astype({2: np.uint16, 4: np.uint32}[stride]).view(np.uint8)
        raise InputError(f"{self._file} is compressed in the mode {packed['mode']}, which is not read here")


def _matrix(node: dict[str, Any]) -> Float64:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix
