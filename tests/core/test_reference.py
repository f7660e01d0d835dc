"""What a face is compared with: live, in stored data, and in training the same thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rtatl_core.assets import asset
from rtatl_core.calibration import Calibration, Own
from rtatl_core.cli import main
from rtatl_core.datasets.augment import AugmentConfig, mirror_geometry
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source, StepPlan, Steps
from rtatl_core.datasets.others import ABSENT, Others, references
from rtatl_core.engine import Engine
from rtatl_core.evaluation.readings import predict_store, read_store
from rtatl_core.handoffs import CHIP_SIDE, FramePacket
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.reference import (
    KNOWN_AFTER_S,
    MEMORY_S,
    REST_S,
    PersonalReference,
    Rest,
    RestingLevel,
    StatedRest,
    resting_levels,
)
from rtatl_core.runtimes.export import export_onnx
from rtatl_core.video import VideoReader
from rtatl_core.weights import load_model, save_model
from tests.clips import cut_from_demo
from tests.core.stores import AUS, write_clips, write_labelled

CONFIG = RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16, reference=True)


def geometry(value: float) -> np.ndarray:
    return np.full((468, 3), value, np.float32)


def test_a_face_is_unknown_at_first_and_its_own_mean_later() -> None:
    known = PersonalReference()
    frames = [known(7, k * 0.08, geometry(k % 2)) for k in range(40)]
    unknown = [bool(np.isnan(frame).all()) for frame in frames]
    assert unknown == [(k - 1) * 0.08 < KNOWN_AFTER_S for k in range(40)]
    assert frames[-1] == pytest.approx(0.5, abs=0.05)
    assert np.isnan(known(8, 4.0, geometry(1))).all(), "another face"
    known.forget()
    assert np.isnan(known(7, 4.1, geometry(1))).all()


def test_the_mean_does_not_depend_on_the_frame_rate() -> None:
    means = []
    for rate in (15, 60):
        known = PersonalReference()
        for k in range(4 * rate):
            mean = known(0, k / rate, geometry(float(k / rate >= 3)))
        means.append(float(mean[0, 0]))
    assert means == pytest.approx([0.25, 0.25], abs=0.03)


def test_a_pause_counts_little_and_a_clock_that_steps_back_nothing() -> None:
    known = PersonalReference()
    for k in range(50):
        known(0, k / 25, geometry(0))
    known(0, 60.0, geometry(1))
    assert known(0, 59.0, geometry(1000))[0, 0] < 0.06
    assert known(0, 60.04, geometry(0))[0, 0] < 0.06


def test_old_moments_fade() -> None:
    known = PersonalReference()
    for k in range(int(4 * MEMORY_S * 10)):
        mean = known(0, k / 10, geometry(float(k < MEMORY_S * 10)))
    assert mean[0, 0] < 0.1


def levels(raw: list[float], rate: float = 25, first: float = 0.5) -> np.ndarray:
    times = np.arange(len(raw)) / rate
    return resting_levels(times, np.array(raw, np.float32)[:, None], np.array([first], np.float32))[:, 0]


@pytest.mark.parametrize("rate", [15, 60])
def test_a_level_at_rest_falls_soon_and_rises_late(rate: int) -> None:
    found = levels([0.1] * (3 * rate) + [0.9] * (3 * rate) + [0.1] * (2 * rate), rate)
    assert found[0] == 0.5
    assert found[rate // 2] == pytest.approx(0.1 + 0.4 * np.exp(-1), abs=0.03)
    assert found[3 * rate - 1] == pytest.approx(0.1, abs=0.01)
    assert found[6 * rate - 1] == pytest.approx(0.1 + 0.8 * (1 - np.exp(-3 / 60)), abs=0.01), "an expression of 3 s"
    assert found[-1] == pytest.approx(0.1, abs=0.01)


def test_a_level_returns_to_what_strangers_at_rest_may_read_within_seconds() -> None:
    found = levels([0.4] * 100 + [0.1] * 75 + [0.4] * 1000)
    assert found[174] == pytest.approx(0.1, abs=0.01)
    assert found[-1] == pytest.approx(0.4 - 0.3 * np.exp(-2), abs=0.01)


def test_an_expression_held_from_the_beginning_counts_as_rest_until_it_ends() -> None:
    found = levels([0.5] * 100 + [0.1] * 100)
    assert found[:100] == pytest.approx(0.5, abs=0.01)
    assert found[-1] == pytest.approx(0.1, abs=0.01)


def test_one_glitch_does_not_lower_the_level_for_long() -> None:
    found = levels([0.4] * 50 + [-5.0] + [0.4] * 50, first=0.4)
    assert found.min() > -0.05


def test_a_pause_moves_no_level() -> None:
    level, low = RestingLevel(), np.zeros(2, np.float32)
    level(0, 0.0, low, low)
    assert level(0, 600.0, np.ones(2, np.float32), low).max() < 0.01
    assert level(0, 1200.0, np.full(2, -1, np.float32), low).min() > -0.25


def test_every_face_has_a_level_of_its_own() -> None:
    level = RestingLevel()
    low, high = np.zeros(2, np.float32), np.ones(2, np.float32)
    for k in range(50):
        level(1, k / 25, low, high)
        level(2, k / 25, high, high)
    assert level(1, 2.0, low, high).max() < 0.05
    assert level(2, 2.0, high, high).min() > 0.95
    level.forget()
    assert level(1, 2.04, low, high).min() == 1


def test_stored_clips_are_compared_as_live_and_stills_with_the_others(tmp_path: Path) -> None:
    clips = ChipStore.open(write_clips(tmp_path / "clips"))
    rows = np.array([11, 3, 22])
    live, expected = PersonalReference(), {}
    for row in range(12):
        expected[row] = live(0, float(clips.times[row]), clips.geometry[row].astype(np.float32))
    found = references(clips, rows)
    np.testing.assert_allclose(found[0], expected[11])
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[2]).all()
    stills = ChipStore.open(write_labelled(tmp_path / "stills", count=6, people=2))
    (one,) = references(stills, np.array([2]))
    np.testing.assert_allclose(one, stills.geometry.take([0, 4]).astype(np.float32).mean(axis=0), atol=1e-4)
    alone = ChipStore.open(write_labelled(tmp_path / "alone", count=2, people=2))
    assert np.isnan(references(alone, np.arange(2))).all()


def test_training_draws_other_pictures_of_the_same_person(tmp_path: Path) -> None:
    store = ChipStore.open(write_labelled(tmp_path / "stills", count=12, people=3))
    others = Others(store)
    assert sorted(others.of(4)) == [1, 7, 10]
    rng = np.random.default_rng(0)
    drawn = [others.draw(4, rng) for _ in range(300)]
    known = [draw for draw in drawn if np.isfinite(draw).all()]
    assert 1 - len(known) / 300 == pytest.approx(ABSENT, abs=0.08)
    lowest, highest = (f(store.geometry.take([1, 7, 10]).astype(np.float32), axis=0) for f in (np.min, np.max))
    assert all((draw >= lowest - 1e-4).all() and (draw <= highest + 1e-4).all() for draw in known)
    assert len({round(float(draw.sum()), 3) for draw in known}) > 4, "different ones each time"


def test_a_mirrored_face_has_a_mirrored_reference(tmp_path: Path) -> None:
    store = ChipStore.open(write_labelled(tmp_path / "stills", count=4, people=2))
    batches = []
    for flip in (0.0, 1.0):
        plan = StepPlan(
            aus=AUS,
            labelled=Source(store, np.arange(4), labels=True),
            unlabelled=(),
            labelled_batch=4,
            unlabelled_batch=0,
            steps=1,
            seed=0,
            augment=AugmentConfig(flip=flip),
            flow_to="later",
            flow_gap_s=0.2,
            want_flow=False,
            want_plain=False,
            want_reference=True,
        )
        batches.append(Steps(plan, 0)[0].reference.numpy())
    plain, mirrored = batches
    assert np.isfinite(plain).any()
    for one, other in zip(plain, mirrored, strict=True):
        np.testing.assert_allclose(mirror_geometry(one), other)


def test_the_network_minds_the_reference_and_does_without() -> None:
    torch.manual_seed(0)
    network = RTATL(CONFIG).eval()
    chips, centres, faces = (
        torch.rand(2, 3, CHIP_SIDE, CHIP_SIDE),
        torch.rand(2, 2, 2, 2),
        torch.randn(2, 468, 3) * 0.02,
    )
    absent = network(chips, centres, faces).intensity
    unknown = torch.full_like(faces, float("nan"))
    torch.testing.assert_close(network(chips, centres, faces, unknown).intensity, absent)
    half = torch.stack([faces[0] * 0.5, unknown[1]])
    mixed = network(chips, centres, faces, half).intensity
    torch.testing.assert_close(mixed[1], absent[1])
    assert not torch.allclose(mixed[0], absent[0], atol=1e-4)
    assert torch.isfinite(mixed).all()
    network.train()
    network(chips, centres, faces, half).intensity.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    plain = Calibration(np.ones(2, np.float32), np.full(2, -0.5, np.float32))
    description = {"name": "tiny", "trained_on": "nothing", "trust": {"1": "experimental", "12": "experimental"}}
    save_model(tmp_path / "tiny", RTATL(CONFIG), plain, description)
    return tmp_path / "tiny.safetensors"


def test_the_graph_takes_the_reference_too(model: Path) -> None:
    _, parity = export_onnx(model)
    assert parity["raw_difference"] < 1e-3


def test_the_engine_compares_a_face_with_itself(model: Path) -> None:
    """A still face: once it is known, its difference to itself is none, which the network can tell from not knowing."""
    with VideoReader(asset("demo.mp4")) as reader:
        packet = reader.read()
    assert packet is not None
    said = {}
    for personal in (True, False):
        engine = Engine(model, device="cpu", smoothing_s=0, personal=personal)
        assert engine.settings["personal"] is personal
        frames = [engine.process(FramePacket(packet.image, k + 1, k / 10, 0.0)) for k in range(14)]
        said[personal] = np.stack([frame.faces[0].prediction.intensity for frame in frames])
        engine.close()
    np.testing.assert_allclose(said[True][:8], said[False][:8], atol=1e-5)
    assert np.abs(said[True][12:] - said[False][12:]).max() > 1e-3


def test_engine_and_store_read_a_rise_over_the_persons_own_rest_alike(tmp_path: Path) -> None:
    """The demo's people, who show something after they were seen at rest."""
    torch.manual_seed(0)
    config = RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16)
    own = Own(np.full(2, 4, np.float32), np.zeros(2, np.float32), np.ones(2, np.float32))
    strangers = Calibration(np.ones(2, np.float32), np.full(2, 0.2, np.float32), own=own)
    description = {"name": "tiny", "trained_on": "nothing", "trust": {"1": "experimental", "12": "experimental"}}
    save_model(tmp_path / "tiny", RTATL(config), strangers, description)
    (tmp_path / "videos").mkdir()
    clip = cut_from_demo(tmp_path / "videos" / "face.mp4", 60)
    said = {}
    for personal in (True, False):
        engine = Engine(tmp_path / "tiny.safetensors", device="cpu", smoothing_s=0, personal=personal)
        assert engine.settings["personal"] is personal
        with VideoReader(clip) as reader:
            frames = [engine.process(packet) for packet in reader]
        said[personal] = np.stack([frame.faces[0].prediction.intensity for frame in frames])
        engine.close()
    assert (said[True] >= said[False]).all()
    assert (said[True] > said[False] + 0.01).any()
    assert main(["prepare", "videos", "--root", str(clip.parent), "--out", str(tmp_path / "chips")]) == 0
    model = load_model(tmp_path / "tiny.safetensors")
    stored, _ = read_store(model.network, model.calibration, ChipStore.open(tmp_path / "chips"))
    assert np.abs(stored - said[True]).mean() < 0.02


def test_people_on_photos_are_strangers_to_engine_and_store(tmp_path: Path) -> None:
    """Though a rise over what strangers read at rest would read far more."""
    torch.manual_seed(0)
    config = RTATLConfig(aus=AUS, width=8, token=16, geometry=16)
    own = Own(np.full(2, 4, np.float32), np.zeros(2, np.float32), np.ones(2, np.float32))
    calibration = Calibration(np.ones(2, np.float32), np.full(2, -1, np.float32), own=own)
    description = {"name": "tiny", "trained_on": "nothing", "trust": {str(au): "experimental" for au in AUS}}
    save_model(tmp_path / "tiny", RTATL(config), calibration, description)
    with VideoReader(asset("demo.mp4")) as reader:
        packet = reader.read()
    assert packet is not None
    engine = Engine(tmp_path / "tiny.safetensors", device="cpu", smoothing_s=0)
    said = []
    for still, personal in ((False, True), (True, True), (False, False)):
        engine.reset()
        engine.personal = personal
        said.append(engine.process(replace(packet, still=still)).faces[0].prediction.intensity)
    engine.close()
    frame, photo, stranger = said
    np.testing.assert_array_equal(photo, stranger)
    assert (frame > stranger + 0.5).all()

    model = load_model(tmp_path / "tiny.safetensors")
    store = ChipStore.open(write_labelled(tmp_path / "photos", count=6))
    raw = predict_store(model.network, store, np.arange(6))
    as_strangers = model.calibration.read(raw.intensity, raw.occurrence)
    for read, expected in zip(read_store(model.network, model.calibration, store), as_strangers, strict=True):
        np.testing.assert_array_equal(read, expected)


def test_a_stated_rest_is_the_median_of_two_seconds_of_that_face() -> None:
    stated = StatedRest()
    said = [np.array([k % 2, 5.0 * (k == 3)], np.float32) for k in range(30)]  # a blink in the second
    assert stated(0, 0.0, said[0]) is None
    stated.take(0)
    told = [stated(0, 1 + 0.1 * k, own) for k, own in enumerate(said)]
    taken = [k for k, rest in enumerate(told) if rest is not None]
    assert taken[0] == round(REST_S / 0.1)
    np.testing.assert_allclose(told[-1], [0, 0])  # 11 of 21 frames read 0
    assert stated(1, 4.0, said[0]) is None, "another face"
    stated.take(0)
    np.testing.assert_array_equal(stated(0, 5.0, said[3]), told[-1]), "until there is another"
    stated.give_up(0)
    assert stated(0, 9.0, said[0]) is None
    stated.of_everyone = Rest(said[3], {})
    stated.take(1)
    stated.forget()
    assert all(stated(face_id, 9.0, said[0]) is said[3] for face_id in (0, 1))


def test_a_pause_is_no_part_of_a_rest_that_is_awaited() -> None:
    stated, calm, smile = StatedRest(), np.zeros(1, np.float32), np.ones(1, np.float32)
    stated.take(0)
    assert stated(0, 0.0, smile) is None
    assert stated(0, 60.0, calm) is None, "one frame before the pause and one after it are not two seconds"
    told = [stated(0, 60 + 0.1 * k, calm) for k in range(1, 30)]
    assert [rest is not None for rest in told].index(True) in (17, 18)
    assert told[-1] == pytest.approx(0)
