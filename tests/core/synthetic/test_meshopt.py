"""The decoder of compressed glTF buffers, against streams written here after the specification."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.errors import InputError
from rtatl_core.synthetic.gltf import Glb
from rtatl_core.synthetic.meshopt import decode_attributes, decode_triangles


def encode_attributes(values: np.ndarray, mode: int) -> bytes:
    """One block of up to 256 elements, every group of 16 stored in the same way: 1 = 2 bits, 2 = 4 bits, 3 = bytes."""
    count, stride = values.shape
    out = bytearray([0xA0])
    last = values[0].astype(int)
    for column in range(stride):
        deltas = np.diff(np.concatenate([[last[column]], values[:, column]]).astype(int))
        deltas = (deltas + 128) % 256 - 128
        zigzag = [(d << 1) ^ (d >> 31) for d in deltas.tolist()] + [0] * (-count % 16)
        groups = [zigzag[i : i + 16] for i in range(0, len(zigzag), 16)]
        header = bytearray(-(-len(groups) // 4))
        body = bytearray()
        for number, group in enumerate(groups):
            header[number // 4] |= mode << (number % 4 * 2)
            if mode == 3:
                body += bytes(value & 255 for value in group)
                continue
            bits, most = 2 * mode, (1 << 2 * mode) - 1
            packed, byte, filled = bytearray(), 0, 0
            for value in group:
                byte, filled = byte << bits | min(value, most), filled + bits
                if filled == 8:
                    packed.append(byte)
                    byte, filled = 0, 0
            body += packed + bytes(value for value in group if value >= most)
        out += header + body
    return bytes(out) + bytes(max(0, 32 - stride)) + values[0].tobytes()


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_attributes_come_back(mode: int) -> None:
    rng = np.random.default_rng(mode)
    values = np.cumsum(rng.integers(-9, 10, (100, 8)), axis=0).astype(np.uint8)
    assert (decode_attributes(encode_attributes(values, mode), 100, 8) == values).all()


def test_constant_columns_take_no_room() -> None:
    values = np.tile(np.arange(4, dtype=np.uint8), (16, 1))
    stream = bytes([0xA0]) + bytes(4) + bytes(28) + values[0].tobytes()
    assert (decode_attributes(stream, 16, 4) == values).all()


def test_triangles_of_a_strip_come_back() -> None:
    # First 0 1 2 by three fresh vertices, then each along the last edge with a fresh one.
    codes = bytes([0xF0, 0x00, 0x00])
    stream = bytes([0xE1]) + codes + bytes(16)
    triangles = decode_triangles(stream, 9).reshape(-1, 3)
    assert triangles[0].tolist() == [0, 1, 2]
    assert triangles[1].tolist() == [0, 2, 3]
    assert triangles[2].tolist() == [0, 3, 4]


def test_explicit_vertices_are_read_as_differences() -> None:
    # 0xFF with 15, 15: all three corners are given, as zigzag differences from the one before: 5, 7, 6.
    stream = bytes([0xE1, 0xFF]) + bytes([0xFF, 10, 4, 1]) + bytes(16)
    assert decode_triangles(stream, 3).tolist() == [5, 7, 6]


@pytest.mark.parametrize("decode", [decode_attributes, decode_triangles])
def test_other_data_are_refused(decode: object) -> None:
    with pytest.raises(InputError, match="does not begin"):
        decode(b"\x12" * 64, *((16, 4) if decode is decode_attributes else (3,)))  # type: ignore[operator]


def write_glb(path: Path) -> None:
    """One quantised triangle with a morph, under a node that doubles and lifts it."""
    positions = np.array([[0, 0, 0], [32767, 0, 0], [0, 32767, 0]], np.int16)
    padded = np.zeros((3, 4), np.int16)
    padded[:, :3] = positions
    morph = np.array([[0, 0, 1.0]] * 3, np.float32)
    uv = np.array([[0, 0], [65535, 0], [0, 65535]], np.uint16)
    parts = [padded.tobytes(), morph.tobytes(), uv.tobytes(), np.array([0, 1, 2], np.uint16).tobytes()]
    views, binary = [], b""
    for part in parts:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(part)})
        binary += part + bytes(-len(part) % 4)
    views[0]["byteStride"] = 8
    scene = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "scale": [2, 2, 2], "translation": [0, 1, 0], "name": "LeftEye"}],
        "meshes": [
            {
                "name": "head",
                "extras": {"targetNames": ["forward"]},
                "primitives": [
                    {"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 3, "targets": [{"POSITION": 1}]}
                ],
            }
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5122, "type": "VEC3", "count": 3, "normalized": True},
            {"bufferView": 1, "componentType": 5126, "type": "VEC3", "count": 3},
            {"bufferView": 2, "componentType": 5123, "type": "VEC2", "count": 3, "normalized": True},
            {"bufferView": 3, "componentType": 5123, "type": "SCALAR", "count": 3},
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
        "images": [],
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(binary)
    head = struct.pack("<4sII", b"glTF", 2, size) + struct.pack("<II", len(text), 0x4E4F534A)
    path.write_bytes(head + text + struct.pack("<II", len(binary), 0x004E4942) + binary)


def test_a_glb_gives_its_mesh_as_the_scene_places_it(tmp_path: Path) -> None:
    write_glb(tmp_path / "head.glb")
    glb = Glb(tmp_path / "head.glb")
    mesh = glb.mesh("head")
    assert mesh is not None
    assert mesh.vertices.tolist() == [[0, 1, 0], [2, 1, 0], [0, 3, 0]]
    assert mesh.triangles.tolist() == [[0, 1, 2]]
    assert mesh.uv[1].tolist() == [1, 0]
    assert mesh.morphs["forward"].tolist() == [[0, 0, 2]] * 3
    assert glb.joint("LeftEye").tolist() == [0, 1, 0]
    assert glb.mesh("other") is None
    with pytest.raises(InputError, match="no joint 'RightEye'"):
        glb.joint("RightEye")
    with pytest.raises(InputError, match="colour texture"):
        glb.texture("head")


@pytest.mark.parametrize("kept", [10, 200, -10])
def test_a_file_that_was_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    """In its heading, its scene, its numbers."""
    write_glb(tmp_path / "head.glb")
    (tmp_path / "head.glb").write_bytes((tmp_path / "head.glb").read_bytes()[:kept])
    with pytest.raises(InputError, match=r"head\.glb is .*; fetch it again"):
        Glb(tmp_path / "head.glb")


def test_a_file_that_is_no_glb_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.glb").write_bytes(b"not a model at all")
    with pytest.raises(InputError, match=r"x\.glb is no \.glb"):
        Glb(tmp_path / "x.glb")
