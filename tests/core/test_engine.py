"""The whole path on the demo clip, whose truth is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rtatl_core.assets import asset
from rtatl_core.calibration import Calibration
from rtatl_core.engine import Engine
from rtatl_core.errors import InputError, PredictionError, SourceError
from rtatl_core.evaluation.metrics import pcc
from rtatl_core.handoffs import CHIP_SIDE, AnalysedFace, Float32, FramePacket, UInt8
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.predictor import Raw
from rtatl_core.reference import REST_S, Rest
from rtatl_core.video import VideoReader
from rtatl_core.weights import save_model
from tests.tables import csv_rows

SMILING = 275
"""A frame of the demo clip, counted from 1."""


@pytest.fixture(scope="module")
def engine():
    engine = Engine(device="cpu")
    yield engine
    engine.close()


def demo_truth() -> dict[int, dict[int, float]]:
    """Frame -> AU -> mean of left and right, 0-1, for the frames that show one face."""
    rows = csv_rows(asset("demo.csv"))
    crowded = {row["frame"] for row in rows if row["face"] == "1"}
    aus = {int(name[2:4]) for name in rows[0] if name.endswith("_L")}
    return {
        int(row["frame"]): {au: (float(row[f"AU{au:02d}_L"]) + float(row[f"AU{au:02d}_R"])) / 2 for au in aus}
        for row in rows
        if row["frame"] not in crowded
    }


def test_one_frame_holds_everything(engine: Engine) -> None:
    engine.reset()
    engine.want_flow = True
    with VideoReader(asset("demo.mp4")) as reader:
        packet = reader.read()
    assert packet is not None
    packet = dataclasses.replace(packet, lost=((8, 0.2),))
    frame = engine.process(packet, dropped=((7, 0.1),))
    engine.want_flow = False
    (face,) = frame.faces
    n = len(engine.aus)
    assert frame.packet is packet
    assert frame.dropped == ((7, 0.1), (8, 0.2))
    assert frame.aus == engine.aus
    assert set(frame.stage_ms) == {"observe", "align", "predict", "smooth"}
    assert face.aligned.chip.shape == (CHIP_SIDE, CHIP_SIDE, 3)
    assert face.prediction.flow is not None
    assert face.prediction.flow.shape == (CHIP_SIDE // 4, CHIP_SIDE // 4, 2)
    for values in (face.result.intensity, face.result.raw_intensity, face.result.occurrence):
        assert values.shape == (n,)
        assert np.isfinite(values).all()
    assert (face.result.intensity >= 0).all()
    assert (face.result.intensity <= 5).all()
    x0, y0, x1, y1 = face.observation.box
    mouth = face.regions[engine.aus.index(12)]
    assert x0 < mouth[0, 0] < mouth[1, 0] < x1
    assert (y0 + y1) / 2 < mouth[0, 1] < y1
    assert 0.02 < face.region_radius / (x1 - x0) < 0.2


def test_no_face_and_no_flow(engine: Engine) -> None:
    engine.reset()
    frame = engine.process(FramePacket(np.zeros((120, 160, 3), np.uint8), 1, 0.0, 0.0))
    assert frame.faces == ()
    with VideoReader(asset("demo.mp4")) as reader:
        packet = reader.read()
    assert packet is not None
    assert engine.process(packet).faces[0].prediction.flow is None


def test_patches_only_when_wanted(tmp_path: Path) -> None:
    network = RTATL(RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16), inpainting=True)
    plain = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    save_model(tmp_path / "tiny", network.eval(), plain, {"name": "tiny", "trained_on": "nothing", "trust": {}})
    with VideoReader(asset("demo.mp4")) as reader:
        packet = reader.read()
    assert packet is not None
    threads = torch.get_num_threads()
    engine = Engine(tmp_path / "tiny.json", device="cpu")
    assert engine.process(packet).faces[0].prediction.patches is None
    engine.want_patches = True
    patches = engine.process(packet).faces[0].prediction.patches
    engine.close()
    torch.set_num_threads(threads)
    assert patches is not None
    assert patches.aus == (1, 12)


def test_frames_that_came_before_a_source_failed_have_their_results(engine: Engine) -> None:
    def failing() -> Iterator[FramePacket]:
        for number in (1, 2, 3):
            yield FramePacket(np.zeros((48, 64, 3), np.uint8), number, number / 30, 0.0)
        raise SourceError("the disk was unplugged")

    results = engine.ahead(failing())
    assert [next(results)[1].result().packet.number for _ in range(3)] == [1, 2, 3]
    with pytest.raises(SourceError, match="unplugged"):
        next(results)


def test_the_same_frames_give_the_same_numbers(engine: Engine) -> None:
    runs = []
    for _ in range(2):
        engine.reset()
        with VideoReader(asset("demo.mp4")) as reader:
            frames = [engine.process(packet) for packet, _ in zip(reader, range(12), strict=False)]
        runs.append(np.stack([frame.faces[0].result.intensity for frame in frames]))
    np.testing.assert_array_equal(runs[0], runs[1])


def test_another_engine_within_a_source_goes_on_with_the_ids(engine: Engine) -> None:
    with VideoReader(asset("demo.mp4")) as reader:
        packets = [packet for packet, _ in zip(reader, range(3), strict=False)]
    black = np.zeros_like(packets[0].image)

    def face_id(engine: Engine, image: UInt8, at: float) -> int | None:
        faces = engine.process(FramePacket(image, 1, at, 0.0)).faces
        return faces[0].observation.face_id if faces else None

    engine.reset(new_ids=True)
    assert face_id(engine, packets[0].image, 0.0) == 0
    for i in range(1, 55):
        assert face_id(engine, black, 0.2 * i) is None
    assert face_id(engine, packets[1].image, 11.0) == 1
    other = Engine(device="cpu")
    try:
        other.follow_on(engine)
        assert face_id(other, packets[2].image, 13.0) == 1, "the same person, while it was loaded"
        for i in range(1, 55):
            assert face_id(other, black, 13 + 0.2 * i) is None
        assert face_id(other, packets[1].image, 24.0) == 2
    finally:
        other.close()


def test_readings_count_from_a_rest_that_was_taken(engine: Engine) -> None:
    engine.reset()
    with VideoReader(asset("demo.mp4")) as reader:
        smile = next(packet.image for packet in reader if packet.number == SMILING)
    at = [FramePacket(smile, k + 1, 0.1 * k, 0.1 * k) for k in range(80)]
    au12 = engine.aus.index(12)
    before = engine.process(at[0]).faces[0]
    assert before.rest is None
    assert before.prediction.intensity[au12] > 2
    engine.take_rest(before.observation.face_id)
    faces = [engine.process(packet).faces[0] for packet in at[1:40]]
    begun = next(k for k, face in enumerate(faces) if face.rest is not None)
    assert round(REST_S / 0.1) == begun
    assert faces[begun - 1].prediction.intensity[au12] > 2, "as before, until it is known"
    assert faces[-1].prediction.intensity.max() < 0.1
    assert faces[-1].result.intensity.max() < 0.1
    assert faces[-1].rest is not None
    assert faces[-1].rest[au12] == pytest.approx(before.prediction.intensity[au12], abs=0.3)
    with Engine(device="cpu") as other:
        other.follow_on(engine)
        np.testing.assert_array_equal(other.process(at[40]).faces[0].rest, faces[-1].rest)
    engine.give_up_rest(before.observation.face_id)
    assert engine.process(at[40]).faces[0].prediction.intensity[au12] > 2
    engine.take_rest(before.observation.face_id)
    engine.reset()
    assert all(engine.process(packet).faces[0].rest is None for packet in at[41:]), "another source, another person"


def test_a_lopsided_face_counts_from_its_rest_on_both_sides(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A smile whose left was made 0.4 higher than its right, said to be rest; then the right rises alone."""
    with VideoReader(asset("demo.mp4")) as reader:
        smile = next(packet.image for packet in reader if packet.number == SMILING)
    at = [FramePacket(smile, k + 1, 0.1 * k, 0.1 * k) for k in range(30)]
    run, au12 = engine._predictor.run, engine.aus.index(12)
    rest, risen = (np.array(more, np.float32) for more in ([0.2, -0.2], [0.2, 0]))

    def read(packets: list[FramePacket], more: Float32) -> AnalysedFace:
        def lopsided(*args: object, **options: object) -> Raw:
            raw = run(*args, **options)  # type: ignore[arg-type]
            assert raw.outputs.sides is not None
            sides = raw.outputs.sides + more
            return raw._replace(outputs=raw.outputs._replace(sides=sides, intensity=sides.mean(axis=-1)))

        monkeypatch.setattr(engine._predictor, "run", lopsided)
        return [engine.process(packet).faces[0] for packet in packets][-1]

    def both(face: AnalysedFace) -> tuple[float, float]:
        assert face.prediction.sides is not None
        left, right = face.prediction.sides[au12].tolist()
        assert (left + right) / 2 == pytest.approx(face.prediction.intensity[au12], abs=1e-4)
        return left, right

    engine.reset()
    before = read(at[:1], rest)
    assert before.rest_difference is None
    left, right = both(before)
    assert left > right + 1
    engine.take_rest(before.observation.face_id)
    taken = read(at[1:], rest).rest_difference
    assert taken is not None
    assert taken[au12] == pytest.approx(2, abs=0.5)
    alone = both(read(at[-1:], risen))
    assert alone[0] < 0.1
    assert alone[1] > 0.7
    read(at[-1:], rest)
    measured = engine.rest_in(at)
    assert measured is not None
    engine.everyones_rest = Rest(measured, {})
    told = engine.settings["rest"]["left_minus_right"]
    assert told["AU12"] == pytest.approx(taken[au12], abs=0.1)
    of_everyone = both(read(at, risen))
    engine.everyones_rest = None
    assert of_everyone == pytest.approx(alone, abs=0.2)


def test_a_model_without_sides_counts_from_rest_as_a_whole(tmp_path: Path) -> None:
    plain = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    network = RTATL(RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16))
    save_model(tmp_path / "tiny", network, plain, {"name": "tiny", "trained_on": "nothing", "trust": {}})
    with VideoReader(asset("demo.mp4")) as reader:
        packet = reader.read()
    assert packet is not None
    with Engine(tmp_path / "tiny.safetensors", device="cpu") as engine:
        rest = engine.rest_in([packet])
        assert rest is not None
        engine.everyones_rest = Rest(rest, {})
        face = engine.process(packet).faces[0]
        assert "left_minus_right" not in engine.settings["rest"]
    assert face.prediction.intensity.max() < 0.1
    assert face.prediction.sides is None
    assert face.rest is not None
    assert face.rest_difference is None


def test_a_frame_without_numbers_is_no_part_of_a_rest(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with VideoReader(asset("demo.mp4")) as reader:
        smile = next(packet.image for packet in reader if packet.number == SMILING)
    at = [FramePacket(smile, k + 1, 0.1 * k, 0.1 * k) for k in range(6)]
    run, turn = engine._predictor.run, iter(range(100))

    def sometimes(*args: object, **options: object) -> object:
        if next(turn) % 3 == 1:
            raise PredictionError("no number (NaN)")
        return run(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(engine._predictor, "run", sometimes)
    rest = engine.rest_in(at)
    assert rest is not None
    assert engine.rest_intensity(rest)[engine.aus.index(12)] > 2


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_a_smoothing_that_is_no_duration_is_refused(engine: Engine, seconds: float) -> None:
    before = engine.smoothing_s
    with pytest.raises(InputError, match="smoothing cannot be"):
        engine.smoothing_s = seconds
    with pytest.raises(InputError, match="smoothing cannot be"):
        Engine(device="cpu", smoothing_s=seconds)
    assert engine.smoothing_s == before


@pytest.mark.slow
def test_the_plotted_aus_follow_the_demo(engine: Engine) -> None:
    """Smile, lips apart, open jaw and closed eyes of rendered people whom the network never saw."""
    engine.reset()
    with VideoReader(asset("demo.mp4")) as reader:
        frames = [engine.process(packet) for packet in reader]
    assert np.mean([bool(frame.faces) for frame in frames]) > 0.99
    truth = demo_truth()
    alone = [frame for frame in frames if frame.faces and frame.packet.number in truth]
    assert len(alone) > 600
    for au, least in ((12, 0.7), (25, 0.7), (26, 0.7), (43, 0.7)):
        shown = [frame.faces[0].result.intensity[engine.aus.index(au)] for frame in alone]
        assert pcc(np.array(shown), np.array([truth[frame.packet.number][au] for frame in alone])) > least, f"AU{au}"


def test_a_warning_that_comes_as_one_is_asked_for_is_not_lost() -> None:
    """It comes in the thread of the analysis, and is taken in another (``Engine.ahead``)."""

    class Warns:
        said: str | None = None

        @property
        def warning(self) -> str | None:
            before, self.said = self.said, self.said or "the memory is full"
            return before

        @warning.setter
        def warning(self, text: str | None) -> None:
            self.said = text

    engine = object.__new__(Engine)
    engine._predictor = Warns()  # type: ignore[assignment]
    assert engine.take_warning() is None
    assert engine.take_warning() == "the memory is full"
