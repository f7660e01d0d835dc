"""The real engine with frames and networks that are not as they should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtatl_core import predictor as module
from rtatl_core.assets import asset
from rtatl_core.card import Card
from rtatl_core.engine import Engine
from rtatl_core.errors import PredictionError, WeightsError
from rtatl_core.handoffs import AnalysedFrame, FramePacket, UInt8
from rtatl_core.predictor import Predictor
from rtatl_core.runtimes.choose import open_runtime
from rtatl_core.runtimes.runtime import Outputs, Runtime
from rtatl_core.sessions.analyse import analyse_video
from rtatl_core.sessions.session import read_session
from rtatl_core.video import VideoReader
from tests.clips import cut_from_demo


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(device="cpu", max_faces=10)
    yield made
    made.close()


@pytest.fixture(scope="module")
def pictures() -> list[UInt8]:
    with VideoReader(asset("demo.mp4")) as reader:
        return [packet.image for packet, _ in zip(reader, range(40), strict=False)]


def analysed(engine: Engine, images: list[UInt8]) -> list[AnalysedFrame]:
    engine.reset(new_ids=True)
    return [engine.process(FramePacket(image, i + 1, 0.04 * i, 0.0)) for i, image in enumerate(images)]


def intensities(frames: list[AnalysedFrame]) -> np.ndarray:
    return np.stack([frame.faces[0].result.raw_intensity for frame in frames])


def test_ten_faces_at_once(engine: Engine, pictures: list[UInt8]) -> None:
    left, top, right, bottom = analysed(engine, pictures[:1])[0].faces[0].observation.box
    x, y, half = round((left + right) / 2), round((top + bottom) / 2), round(0.53 * (bottom - top))
    close = cv2.resize(pictures[0][y - half : y + half, x - half : x + half], (320, 320))
    crowd = np.tile(close, (2, 5, 1))
    frames = analysed(engine, [crowd] * 8)
    assert len(frames[-1].faces) == 10
    assert {face.observation.face_id for face in frames[-1].faces} == {
        face.observation.face_id for face in frames[4].faces
    }
    assert np.isfinite([face.result.intensity for face in frames[-1].faces]).all()
    assert engine.process(FramePacket(crowd, 9, 0.4, 0.0)).stage_ms["predict"] < 2000  # one batch


def test_4k_frames_give_the_numbers_of_small_ones(engine: Engine, pictures: list[UInt8]) -> None:
    small = analysed(engine, pictures[:12])
    large = analysed(engine, [cv2.resize(image, (3840, 2880)) for image in pictures[:12]])
    assert np.abs(intensities(large) - intensities(small)).mean() < 0.12
    assert np.median([frame.stage_ms["align"] for frame in large]) < 60
    assert large[-1].faces[0].observation.box[2] > 1000


def test_a_size_that_changes_between_two_frames(engine: Engine, pictures: list[UInt8]) -> None:
    sizes = ((640, 480), (321, 241), (641, 479), (480, 640))
    changing = [cv2.resize(image, sizes[i // 5 % 4]) for i, image in enumerate(pictures)]
    changing[10:15] = [np.rot90(np.rot90(image, -1), 1).copy() for image in changing[10:15]]
    frames = analysed(engine, changing)
    assert sum(bool(frame.faces) for frame in frames) >= 0.9 * len(frames)
    seen = [frame.faces[0].result.intensity for frame in frames if frame.faces]
    assert np.isfinite(seen).all()


def test_stamps_that_repeat_or_go_back_give_numbers(engine: Engine, pictures: list[UInt8]) -> None:
    engine.reset(new_ids=True)
    stamps = (0.0, 0.04, 0.04, 0.04, 0.02, 0.08, 3600.0, 3600.04, 0.1)
    for number, (stamp, image) in enumerate(zip(stamps, pictures, strict=False), 1):
        (face,) = engine.process(FramePacket(image, number, stamp, 0.0)).faces
        assert np.isfinite(face.result.intensity).all()


def test_a_picture_without_anything(engine: Engine) -> None:
    for image in (np.zeros((480, 640, 3), np.uint8), np.full((8, 8, 3), 200, np.uint8), np.zeros((1, 1, 3), np.uint8)):
        assert engine.process(FramePacket(image, 1, 0.0, 0.0)).faces == ()


class Failing:
    """A runtime that fails in the calls with these numbers, else answers as the real one."""

    name = "torch"

    def __init__(self, real: Runtime, fails: dict[int, Any]) -> None:
        self._real, self._fails, self._calls = real, fails, 0

    def __call__(self, *arrays: Any, **wishes: bool) -> Outputs:
        self._calls += 1
        outputs = self._real(*arrays, **wishes)
        fault = self._fails.get(self._calls)
        if isinstance(fault, Exception):
            raise fault
        return outputs if fault is None else outputs._replace(intensity=np.full_like(outputs.intensity, fault))


def failing(monkeypatch: pytest.MonkeyPatch, fails: dict[int, Any], device: str = "cpu") -> None:
    """The first runtime that is opened fails so; it is said to be on that device."""
    opened: list[Runtime] = []

    def open_failing(card: Card, asked: str, threads: int, **options: bool) -> Runtime:
        real = open_runtime(card, "cpu", threads, **options)
        opened.append(real if opened else Failing(real, fails))
        return opened[-1]

    monkeypatch.setattr(module, "open_runtime", open_failing)
    monkeypatch.setattr(module, "pick_device", lambda asked: device)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_no_number_is_never_passed_on(monkeypatch: pytest.MonkeyPatch, pictures: list[UInt8], number: float) -> None:
    failing(monkeypatch, {4: number})
    engine = Engine(device="cpu")  # its warm-up is the first call
    try:
        analysed(engine, pictures[:2])
        with pytest.raises(PredictionError, match="no number"):
            engine.process(FramePacket(pictures[2], 3, 0.08, 0.0))
        (face,) = engine.process(FramePacket(pictures[3], 4, 0.12, 0.0)).faces
        assert np.isfinite(face.result.intensity).all()  # nothing of it stays in the smoothing
    finally:
        engine.close()


def test_a_video_with_a_frame_without_numbers_is_analysed_to_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing(monkeypatch, {6: np.nan})
    engine = Engine(device="cpu")
    try:
        done = analyse_video(cut_from_demo(tmp_path / "a.mp4", 10), tmp_path, engine)
    finally:
        engine.close()
    facts, columns = read_session(done.folder)
    assert facts["status"] == "complete"
    assert columns["analysed"].tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    assert "no number" in (done.folder / "events.csv").read_text()
    assert done.warning is not None
    assert "1 frame of " in done.warning


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(
    "error",
    [OutOfMemoryError("CUDA"), RuntimeError("MPS backend out of memory (allocated: 9 GB)")],
    ids=["cuda", "mps"],
)
def test_a_full_gpu_hands_over_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, pictures: list[UInt8], error: Exception
) -> None:
    failing(monkeypatch, {3: error}, device="cuda:0")
    engine = Engine(device="cuda")
    try:
        assert engine.device == "cuda:0"
        assert engine.take_warning() is None
        frames = analysed(engine, pictures[:4])
        assert all(frame.faces for frame in frames)
        assert engine.device == "cpu"
        assert engine.settings["device"] == "cpu"
        assert engine.take_warning() == (
            "The memory of cuda:0 is full, so the analysis moves to the CPU; close other programs."
        )
        assert engine.take_warning() is None
    finally:
        engine.close()


def test_other_errors_of_a_gpu_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, {2: RuntimeError("device-side assert")}, device="cuda:0")
    predictor = Predictor(None, "cuda")
    predictor.warm_up()
    with pytest.raises(RuntimeError, match="device-side assert"):
        predictor.warm_up()
    assert predictor.device == "cuda:0"


@pytest.mark.parametrize(
    "fault", [RuntimeError("not implemented for MPS\nmore"), 3.0], ids=["lacks an operation", "answers wrongly"]
)
def test_a_gpu_that_cannot_run_the_model_is_not_taken_by_itself(monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    failing(monkeypatch, {1: fault}, device="mps")
    predictor = Predictor(None, "auto")
    predictor.warm_up()
    assert predictor.device == "cpu"
    assert predictor.warning is not None
    assert "runs on the CPU, since mps cannot run this model here (" in predictor.warning
    assert "\n" not in predictor.warning
    failing(monkeypatch, {1: fault}, device="mps")
    asked_for = Predictor(None, "mps")
    with pytest.raises(RuntimeError if isinstance(fault, Exception) else WeightsError):
        asked_for.warm_up()
