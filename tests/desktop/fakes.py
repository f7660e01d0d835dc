"""An engine and sources made of arithmetic, for tests and for looking at the window without weights or a
camera."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from au_desktop.sources import SourceSpec
from rtatl_core.errors import SourceLost
from rtatl_core.facs import ACTION_UNITS
from rtatl_core.handoffs import (
    LANDMARKS,
    AlignedFace,
    AnalysedFace,
    AnalysedFrame,
    AUPrediction,
    AUResult,
    FaceObservation,
    FramePacket,
    HeadPose,
    ObservedFrame,
    RecoveredPatches,
    UInt8,
)
from rtatl_core.reference import StatedRest

AUS = tuple(ACTION_UNITS)
CHIP = 112
FLOW = 28


class FakeEngine:
    """The surface of rtatl_core.engine.Engine: one face that sways and moves its AUs as functions of the
    timestamp.

    faces: how many people it sees; `blind` frames (a predicate on the packet) show nobody. work_s: time spent
    per frame. fails: exceptions to raise by frame number. flow, inpainting: the decoders that the model has. trust: of
    its card.
    """

    def __init__(
        self,
        *,
        aus: tuple[int, ...] = AUS,
        faces: int = 1,
        work_s: float = 0.0,
        blind: Callable[[FramePacket], bool] = lambda packet: False,
        fails: dict[int, Exception] | None = None,
        device: str = "cpu",
        max_faces: int = 1,
        smoothing_s: float = 0.06,
        flow: bool = True,
        inpainting: bool = True,
        trust: dict[str, str] | None = None,
    ) -> None:
        self.aus = aus
        self.model: dict[str, Any] = {
            "name": "fake-1",
            "sha256": hashlib.sha256(repr((aus, flow, inpainting)).encode()).hexdigest(),
            "trained_on": "nothing: arithmetic",
            "flow": flow,
            "inpainting": inpainting,
            "network": {"reference": True},
            "trust": trust or {},
        }
        self.device = device
        self.want_flow = False
        self.want_patches = False
        self.smoothing_s = smoothing_s
        self.personal = True
        self.tracking = True
        self.max_faces = max_faces
        self.resets = 0
        self.new_ids = False
        self.followed_on: FakeEngine | None = None
        self.warning: str | None = None
        self.closed = False
        self.thread: threading.Thread | None = None
        self.everyones_rest = None
        self._stated = StatedRest()
        self._faces = faces
        self._work_s = work_s
        self._blind = blind
        self._fails = fails or {}

    @property
    def settings(self) -> dict[str, Any]:
        own = {"smoothing_s": self.smoothing_s, "personal": self.personal, "max_faces": self.max_faces}
        return own | {"device": self.device, "runtime": "fake"}

    def observe(self, packet: FramePacket) -> ObservedFrame:
        found = range(0 if self._blind(packet) else self._faces)
        return ObservedFrame(packet, tuple(make_face(packet, i, len(found)).observation for i in found), {})

    def analyse(self, observed: ObservedFrame, dropped: tuple[tuple[int, float], ...] = ()) -> AnalysedFrame:
        frame = self.process(observed.packet, dropped)
        return replace(frame, faces=frame.faces[: len(observed.observations)])

    def process(self, packet: FramePacket, dropped: tuple[tuple[int, float], ...] = ()) -> AnalysedFrame:
        self.thread = threading.current_thread()
        if self._work_s:
            time.sleep(self._work_s)
        if packet.number in self._fails:
            raise self._fails[packet.number]
        count = 0 if self._blind(packet) else self._faces
        want_flow = self.want_flow and self.model["flow"]
        want_patches = self.want_patches and self.model["inpainting"]
        faces = tuple(
            self._from_rest(packet, make_face(packet, i, count, self.aus, want_flow, want_patches))
            for i in range(count)
        )
        stages = {"observe": 8.0, "align": 0.4, "predict": 9.0, "smooth": 0.1}
        return AnalysedFrame(packet, faces, self.aus, dropped, stages)

    def _from_rest(self, packet: FramePacket, face: AnalysedFace) -> AnalysedFace:
        said = face.result.intensity
        at_rest = np.stack([said, said / 10])  # as if the left read a tenth more
        rest = self._stated(face.observation.face_id, packet.timestamp, at_rest)
        if rest is None:
            return face
        result = replace(face.result, intensity=said - rest[0])
        return replace(face, rest=rest[0], rest_difference=rest[1], result=result)

    def take_rest(self, face_id: int) -> None:
        self._stated.take(face_id)

    def give_up_rest(self, face_id: int) -> None:
        self._stated.give_up(face_id)

    def take_warning(self) -> str | None:
        warning, self.warning = self.warning, None
        return warning

    def reset(self, *, new_ids: bool = False) -> None:
        self.resets += 1
        self._stated.forget()
        self.new_ids = new_ids

    def follow_on(self, before: FakeEngine) -> None:
        self.followed_on = before
        self._stated.follow_on(before._stated, alike=self.model["sha256"] == before.model["sha256"])

    def close(self) -> None:
        self.closed = True


def intensities(timestamp: float, aus: tuple[int, ...] = AUS) -> np.ndarray:
    """(n_aus,) 0-5: every AU rises and falls with its own period and phase; blinks (AU43) are short."""
    phase = np.arange(len(aus))
    values = 2.5 * (1 + np.sin(2 * np.pi * timestamp / (2.0 + 0.3 * phase) + phase)) * (0.35 + 0.65 * (phase % 3 == 0))
    if 43 in aus:
        values[aus.index(43)] = 5 * np.exp(-(((timestamp % 3.0) - 1.5) ** 2) / 0.005)
    return np.asarray(values, np.float32)


def make_face(
    packet: FramePacket,
    face_id: int = 0,
    of: int = 1,
    aus: tuple[int, ...] = AUS,
    want_flow: bool = False,
    want_patches: bool = False,
) -> AnalysedFace:
    """One plausible face in that frame; several stand side by side."""
    height, width = packet.image.shape[:2]
    time_s = packet.timestamp
    radius = 0.28 * min(height, width / of)
    center = np.array([width * (face_id + 0.5) / of + 0.15 * radius * np.sin(time_s), height * 0.5])
    roll = 0.12 * np.sin(0.7 * time_s + face_id)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    shape = _face_shape()
    landmarks = np.empty((LANDMARKS, 3), np.float32)
    landmarks[:, :2] = shape[:, :2] @ turn.T * radius + center
    landmarks[:, 2] = shape[:, 2] * radius
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    values = intensities(time_s, aus)
    raw = np.clip(values + 0.1 * np.sin(37 * time_s), 0, 5).astype(np.float32)
    occurrence = (values / 5).astype(np.float32)
    pose = HeadPose(np.array([0.0, 0.0, 600.0]), np.array([0.05, 0.2 * np.sin(0.7 * time_s), roll]))
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    scale = CHIP / (2.4 * radius)
    matrix = np.hstack([scale * turn.T, (CHIP / 2 - scale * turn.T @ center)[:, None]])
    in_chip = (landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]) / CHIP
    regions = _regions(aus, turn, radius, center)
    flow = _flow(time_s) if want_flow else None
    patches = _patches(aus, regions, matrix) if want_patches else None
    return AnalysedFace(
        observation=FaceObservation(face_id, landmarks, box, pose, 0.95),
        aligned=AlignedFace(
            np.full((CHIP, CHIP, 3), 127, np.uint8), matrix, in_chip.astype(np.float32), shape[:468].astype(np.float32)
        ),
        regions=regions,
        region_radius=float(0.18 * radius),
        prediction=AUPrediction(raw, occurrence, flow, patches),
        result=AUResult(values, raw, occurrence),
    )


def _face_shape() -> np.ndarray:
    """(478, 3) an egg of points seen from the front, x right, y down, in units of half its height."""
    i = np.arange(LANDMARKS)
    distance = np.sqrt((i + 0.5) / LANDMARKS)
    angle = i * np.pi * (3 - np.sqrt(5))
    x, y = 0.75 * distance * np.cos(angle), distance * np.sin(angle)
    return np.stack([x * (1 - 0.15 * y), y, -0.5 * np.sqrt(np.maximum(0, 1 - distance**2))], axis=1)


_ROWS = {"brow": -0.42, "eye": -0.25, "nose": 0.0, "cheek": 0.02, "mouth": 0.42, "chin": 0.72}
_SIDES = {"brow": 0.33, "eye": 0.33, "nose": 0.14, "cheek": 0.42, "mouth": 0.26, "chin": 0.16}


def _regions(aus: tuple[int, ...], turn: np.ndarray, radius: float, center: np.ndarray) -> np.ndarray:
    """(n_aus, 2, 2) the subject's right side is at small x."""
    parts = [ACTION_UNITS[number].part.value for number in aus]
    points = np.array([[(-_SIDES[part], _ROWS[part]), (_SIDES[part], _ROWS[part])] for part in parts])
    return (points @ turn.T * radius + center).astype(np.float32)


def _flow(time_s: float) -> np.ndarray:
    """(28, 28, 2) mouth corners drawn apart and up, in fractions of the chip's side."""
    y, x = np.mgrid[0:FLOW, 0:FLOW] / (FLOW - 1)
    near_mouth = np.exp(-((y - 0.72) ** 2 + (x - 0.5) ** 2) / 0.04)
    strength = 0.06 * np.sin(time_s)
    return np.stack([strength * near_mouth * np.sign(x - 0.5), -0.5 * strength * near_mouth], axis=2).astype(np.float32)


def _patches(aus: tuple[int, ...], regions: np.ndarray, matrix: np.ndarray) -> RecoveredPatches:
    """The first and the last AU: ramps of red to the right and of green downwards."""
    chosen = sorted({0, len(aus) - 1})
    y, x = np.mgrid[0:16, 0:16] * 16
    ramp = np.stack([x, y, np.full_like(x, 60)], axis=2).astype(np.uint8)
    centres = (regions[chosen] @ matrix[:, :2].T + matrix[:, 2]) / CHIP
    pixels = np.tile(ramp, (len(chosen), 2, 1, 1, 1))
    return RecoveredPatches(tuple(aus[i] for i in chosen), pixels, centres.astype(np.float32), 0.14)


def picture(size: tuple[int, int] = (320, 240), number: int = 1) -> UInt8:
    """(height, width, 3) a grey ramp that moves with the frame number."""
    ramp = (np.arange(size[0]) * 255 // size[0] + 4 * number) % 256
    return np.repeat(np.broadcast_to(ramp.astype(np.uint8), (size[1], size[0]))[:, :, None], 3, axis=2)


class FakeSource:
    """A FrameSource of moving ramps.

    Live ones deliver at `fps` and go away (SourceLost) after `lost_after` frames; others deliver `frames`
    frames as fast as they are read. `hang` blocks reads while it is set.
    """

    warning: str | None = None
    truncated = False
    start_s: float | None = None

    def __init__(
        self,
        spec: SourceSpec,
        *,
        frames: int | None = 50,
        fps: float = 25.0,
        size: tuple[int, int] = (320, 240),
        lost_after: int | None = None,
        hang: threading.Event | None = None,
    ) -> None:
        self.spec = spec
        self.live = spec.live
        self.size = size
        self.fps: float | None = fps
        self.frame_count = None if self.live else frames
        self.closed = False
        self._frames = frames
        self._period = 1 / fps
        self._lost_after = lost_after
        self._hang = hang
        self._number = 0
        self._first_at = 0.0

    def read(self) -> FramePacket | None:
        if self._hang is not None:
            self._hang.wait()
        if self._lost_after is not None and self._number >= self._lost_after:
            raise SourceLost(f"{self.spec.name} stopped delivering pictures; check its plug or connection.")
        if not self.live and self._frames is not None and self._number >= self._frames:
            return None
        if self.live:
            time.sleep(self._period)
        captured_at = time.perf_counter()
        self._first_at = self._first_at or captured_at
        timestamp = captured_at - self._first_at if self.live else self._number * self._period
        self._number += 1
        return FramePacket(picture(self.size, self._number), self._number, timestamp, captured_at)

    def close(self) -> None:
        self.closed = True


CAMERA = SourceSpec("camera", "0", "Fake camera")


def file_spec(path: str | Path = "fake.mp4") -> SourceSpec:
    return SourceSpec("file", str(path), Path(path).name)


FILE = file_spec()


def camera_opener(**options: Any) -> Callable[[SourceSpec], FakeSource]:
    """For Pipeline(open_source=...): whatever is asked for, a fake of that kind."""
    return lambda spec: FakeSource(spec, **options)
