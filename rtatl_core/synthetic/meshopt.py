"""Decoder of the glTF extension EXT_meshopt_compression: the modes ATTRIBUTES (codec version 0) and TRIANGLES.

The packages that decode it need a C++ compiler to install; a head is 7 MB and takes two seconds here, once. Written
after the extension's specification (Khronos Group, EXT_meshopt_compression, appendix A). Filters are not undone: the
filtered attributes are normals, which the renderer finds anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import InputError

_GROUP = 16
_BLOCK_BYTES, _MOST_ELEMENTS = 8192, 256
_ATTRIBUTES, _TRIANGLES = 0xA0, 0xE0


def decode_attributes(data: bytes, count: int, stride: int) -> NDArray[np.uint8]:
    """(count, stride) bytes. Raises InputError when the data are no such stream."""
    if not data or data[0] != _ATTRIBUTES:
        raise InputError("a compressed attribute buffer does not begin as version 0 of its codec does")
    block = min(_BLOCK_BYTES // stride & ~(_GROUP - 1), _MOST_ELEMENTS)
    last = np.frombuffer(data, np.uint8, stride, len(data) - stride).copy()
    out = np.empty((count, stride), np.uint8)
    at = 1
    for start in range(0, count, block):
        size = min(block, count - start)
        for column in range(stride):
            deltas, at = _read_bytes(data, at, size)
            signed = (deltas >> 1) ^ -(deltas & 1)  # zigzag
            values = (np.cumsum(signed[:size]) + last[column]).astype(np.uint8)
            out[start : start + size, column] = values
            last[column] = values[-1]
    return out


def _read_bytes(data: bytes, at: int, size: int) -> tuple[NDArray[np.int64], int]:
    """One byte of each of ``size`` elements; and where the next stream begins."""
    groups = -(-size // _GROUP)
    header = at
    at += -(-groups // 4)
    out = np.zeros(groups * _GROUP, np.int64)
    for group in range(groups):
        kind = data[header + group // 4] >> (group % 4 * 2) & 3
        place = slice(group * _GROUP, (group + 1) * _GROUP)
        if kind == 3:
            out[place] = np.frombuffer(data, np.uint8, _GROUP, at)
            at += _GROUP
        elif kind:
            packed = np.frombuffer(data, np.uint8, _GROUP * kind // 4, at)
            at += len(packed)
            values = (packed[:, None] >> _SHIFTS[kind] & _SENTINEL[kind]).ravel().astype(np.int64)
            escaped = np.flatnonzero(values == _SENTINEL[kind])
            values[escaped] = np.frombuffer(data, np.uint8, len(escaped), at)
            at += len(escaped)
            out[place] = values
    return out, at


_SHIFTS = {1: np.array([6, 4, 2, 0], np.uint8), 2: np.array([4, 0], np.uint8)}
_SENTINEL = {1: 3, 2: 15}


def decode_triangles(data: bytes, count: int) -> NDArray[np.int64]:
    """(count,) vertex indices, three for each triangle. Raises InputError when the data are no such stream."""
    if not data or data[0] & 0xF0 != _TRIANGLES or data[0] & 15 > 1:
        raise InputError("a compressed triangle buffer does not begin as its codec does")
    return _Triangles(data, count // 3).read()


class _Triangles:
    """State of the decoder: rings of the last 16 edges and vertices."""

    def __init__(self, data: bytes, triangles: int) -> None:
        self._data = data
        self._codes = data[1 : 1 + triangles]
        self._at = 1 + triangles
        self._table = data[-16:]
        self._most_vertex = 13 if data[0] & 15 >= 1 else 15
        self._edges, self._edge = [(0, 0)] * 16, 0
        self._vertices, self._vertex = [0] * 16, 0
        self._next = self._last = 0

    def read(self) -> NDArray[np.int64]:
        triangles = [self._along_edge(code) if code < 0xF0 else self._anew(code) for code in self._codes]
        return np.array(triangles, np.int64).ravel()

    def _along_edge(self, code: int) -> tuple[int, int, int]:
        a, b = self._edges[(self._edge - 1 - (code >> 4)) & 15]
        which = code & 15
        if which < self._most_vertex:
            fresh = which == 0
            c = self._fresh() if fresh else self._vertices[(self._vertex - 1 - which) & 15]
        else:
            fresh = True
            c = self._last + which - (which ^ 3) if which != 15 else self._index()
            self._last = c
        if fresh:
            self._push(c)
        self._link((c, b), (a, c))
        return a, b, c

    def _anew(self, code: int) -> tuple[int, int, int]:
        """A triangle that shares no edge with the last ones."""
        explicit = code >= 0xFE
        if explicit:
            both = self._byte()
            if both == 0:
                self._next = 0
        else:
            both = self._table[code & 15]
        corners = [15 if code == 0xFF else 0, both >> 4, both & 15]
        found = [self._fresh() if corner == 0 else self._vertices[(self._vertex - corner) & 15] for corner in corners]
        if explicit:
            for i, corner in enumerate(corners):
                if corner == 15:
                    found[i] = self._last = self._index()
        for i, corner in enumerate(corners):
            if corner == 0 or (explicit and corner == 15):
                self._push(found[i])
        a, b, c = found
        self._link((b, a), (c, b), (a, c))
        return a, b, c

    def _fresh(self) -> int:
        self._next += 1
        return self._next - 1

    def _push(self, vertex: int) -> None:
        self._vertices[self._vertex] = vertex
        self._vertex = (self._vertex + 1) & 15

    def _link(self, *edges: tuple[int, int]) -> None:
        for edge in edges:
            self._edges[self._edge] = edge
            self._edge = (self._edge + 1) & 15

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _index(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return self._last + ((value >> 1) ^ -(value & 1))
