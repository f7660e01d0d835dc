"""What a face is compared with: live, in stored data, and in training the same thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rtatl_core.assets import asset
from rtatl_core.calibration import Calibration
from rtatl_core.cli import main
from rtatl_core.datasets.augment import AugmentConfig, mirror_geometry
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source, StepPlan, Steps
from rtatl_core.datasets.references import ABSENT, References
from rtatl_core.engine import Engine
from rtatl_core.evaluation import readings
from rtatl_core.evaluation.readings import predict_store, read_store
from rtatl_core.handoffs import CHIP_SIDE, OF_PHOTOS, FramePacket
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.reference import (
    KNOWN_AFTER_S,
    MEMORY_S,
    REST_S,
    PersonalReference,
    Rest,
    StatedRest,
    expressed,
)
from rtatl_core.runtimes.export import export_onnx
from rtatl_core.video import VideoReader
from rtatl_core.weights import load_model, save_model
from tests.clips import cut_from_demo
from tests.core.stores import AUS, write_clips, write_labelled

CONFIG = RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16, reference=True)


def geometry(value: float) -> np.ndarray:
    return np.full((468, 3), value, np.float32)


def watch(known: PersonalReference, face_id: int, at: float, value: float, shows: float = 0.0) -> np.ndarray:
    """What was known of the face before that frame."""
    before = known.of(face_id)
    known.see(face_id, at, geometry(value), shows)
    return before


def test_a_face_is_unknown_at_first_and_its_own_mean_later() -> None:
    known = PersonalReference()
    frames = [watch(known, 7, k * 0.08, k % 2) for k in range(40)]
    unknown = [bool(np.isnan(frame).all()) for frame in frames]
    assert unknown == [(k - 1) * 0.08 < KNOWN_AFTER_S for k in range(40)]
    assert frames[-1] == pytest.approx(0.5, abs=0.05)
    assert np.isnan(known.of(8)).all(), "another face"
    known.forget()
    assert np.isnan(known.of(7)).all()


@pytest.mark.parametrize("shows", [0.0, 2.0])
def test_the_mean_does_not_depend_on_the_frame_rate(shows: float) -> None:
    """Three seconds of one face, one of another."""
    means = []
    for rate in (15, 60):
        known = PersonalReference()
        for k in range(4 * rate):
            other = k / rate >= 3
            watch(known, 0, k / rate, float(other), shows * other)
        means.append(float(known.of(0)[0, 0]))
    assert means == pytest.approx([0.0 if shows else 0.25] * 2, abs=0.03)


def test_a_pause_counts_little_and_a_clock_that_steps_back_nothing() -> None:
    known = PersonalReference()
    for k in range(50):
        watch(known, 0, k / 25, 0)
    watch(known, 0, 60.0, 1)
    assert watch(known, 0, 59.0, 1000)[0, 0] < 0.06
    assert watch(known, 0, 60.04, 0)[0, 0] < 0.06


def test_old_moments_fade() -> None:
    known = PersonalReference()
    for k in range(int(4 * MEMORY_S * 10)):
        mean = watch(known, 0, k / 10, float(k < MEMORY_S * 10))
    assert mean[0, 0] < 0.1


def test_an_expression_that_is_held_does_not_become_how_the_person_looks() -> None:
    known = PersonalReference()
    for k in range(70 * 10):
        watch(known, 0, k / 10, float(k > 50), shows=6.0 * (k > 50))
    assert known.of(0)[0, 0] < 0.01, "five seconds of rest, more than a minute of a smile"


def test_what_was_taken_for_rest_gives_way_to_what_is_calmer() -> None:
    """A person who comes into the picture with a smile."""
    known = PersonalReference()
    for k in range(30 * 10):
        watch(known, 0, k / 10, 1.0, shows=6.0)
    assert known.of(0)[0, 0] == 1
    for k in range(300, 330):
        watch(known, 0, k / 10, 0.0, shows=1.0)
    assert known.of(0)[0, 0] < 0.05


def test_one_glitch_that_looks_calm_does_not_stay() -> None:
    known = PersonalReference()
    for k in range(200):
        watch(known, 0, k / 25, float(k == 50), shows=0.0 if k == 50 else 1.0)
    assert known.of(0)[0, 0] < 0.05


def test_a_face_shows_the_sum_of_its_aus() -> None:
    assert expressed(np.array([[0.2, -0.4, 0.0], [0.6, 0.2, 0.2]], np.float32)) == pytest.approx([1, 5])


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16, reference=True)
    description = {"name": "tiny", "trained_on": "nothing", "trust": {"1": "experimental", "12": "experimental"}}
    calibration = Calibration(np.ones(2, np.float32), np.full(2, -0.3, np.float32))
    save_model(tmp_path / "tiny", RTATL(config), calibration, description)
    return tmp_path / "tiny.safetensors"


def test_stored_clips_are_compared_as_live(compared: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    clip = cut_from_demo(tmp_path / "videos" / "face.mp4", 60)
    said = {}
    for personal in (True, False):
        with Engine(compared, device="cpu", smoothing_s=0, personal=personal) as engine, VideoReader(clip) as reader:
            said[personal] = np.stack([engine.process(packet).faces[0].prediction.intensity for packet in reader])
    assert np.abs(said[True][40:] - said[False][40:]).max() > 0.05
    assert main(["prepare", "videos", "--root", str(clip.parent), "--out", str(tmp_path / "chips")]) == 0
    model, store = load_model(compared), ChipStore.open(tmp_path / "chips")
    stored, _ = read_store(model.network, model.calibration, store)
    assert np.abs(stored - said[True]).mean() < 0.02
    some, _ = read_store(model.network, model.calibration, store, np.array([50, 20]))
    np.testing.assert_allclose(some, stored[[50, 20]], atol=1e-5)


def test_stills_are_compared_with_the_others_of_the_person(compared: Path, tmp_path: Path) -> None:
    """And clips beside them each with itself."""
    model = load_model(compared)
    stills = ChipStore.open(write_labelled(tmp_path / "stills", count=6, people=2))
    alone = ChipStore.open(write_labelled(tmp_path / "alone", count=2, people=2))
    clips = ChipStore.open(write_clips(tmp_path / "clips"))
    mean = References(stills).mean(2)
    np.testing.assert_allclose(mean, stills.geometry.take([0, 4]).astype(np.float32).mean(axis=0), atol=1e-4)
    assert np.isnan(References(alone).mean(0)).all()
    whole = predict_store(model.network, stills, np.arange(6)).intensity
    np.testing.assert_allclose(
        predict_store(model.network, stills, np.array([4, 2])).intensity, whole[[4, 2]], atol=1e-5
    )
    through = predict_store(model.network, clips, np.arange(24)).intensity
    apart = [
        predict_store(model.network, clips, np.flatnonzero(clips.clips == clip)) for clip in np.unique(clips.clips)
    ]
    np.testing.assert_allclose(np.concatenate([one.intensity for one in apart]), through, atol=1e-5)


def test_many_clips_are_compared_whenever_in_their_videos_they_begin(compared: Path, tmp_path: Path) -> None:
    """As coded minutes do, and BP4D's sequences."""
    network = load_model(compared).network
    assert network.geometry is not None
    network.geometry.own_spread.fill_(0.01)
    clips = ChipStore.open(write_clips(tmp_path / "clips", clips=34))
    rows = np.arange(len(clips))
    later = replace(clips, times=clips.times + 100 * (rows // 12))
    together = predict_store(network, clips, rows).intensity
    np.testing.assert_allclose(predict_store(network, later, rows).intensity, together, atol=1e-5)


def test_no_more_clips_are_looked_at_at_once_than_a_gpu_holds(
    compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, clips = load_model(compared).network, ChipStore.open(write_clips(tmp_path / "clips", clips=5))
    rows = np.arange(len(clips))
    together = predict_store(network, clips, rows).intensity
    monkeypatch.setattr(readings, "_BATCH", 2)
    seen: list[int] = []
    network.register_forward_pre_hook(lambda _network, given: seen.append(len(given[0])))
    np.testing.assert_allclose(predict_store(network, clips, rows).intensity, together, atol=1e-5)
    assert max(seen) == 2


def test_training_draws_other_pictures_of_the_same_person(tmp_path: Path) -> None:
    store = ChipStore.open(write_labelled(tmp_path / "stills", count=12, people=3))
    references = References(store)
    assert sorted(references.others(4)) == [1, 7, 10]
    rng = np.random.default_rng(0)
    drawn = [references.draw(4, rng) for _ in range(300)]
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


def test_another_engine_knows_how_the_faces_look(compared: Path, tmp_path: Path) -> None:
    """As after the choice of another device."""
    clip = cut_from_demo(tmp_path / "face.mp4", 60)
    said = {}
    for follows in (True, False):
        with (
            Engine(compared, device="cpu", smoothing_s=0) as first,
            Engine(compared, device="cpu", smoothing_s=0) as second,
            VideoReader(clip) as reader,
        ):
            for packet in reader:
                seen = first.observe(packet)
                alone = first.analyse(seen)
            if follows:
                second.follow_on(first)
            said[follows] = np.abs(
                second.analyse(seen).faces[0].prediction.intensity - alone.faces[0].prediction.intensity
            ).max()
    assert said[True] < 0.02 < 0.1 < said[False]


def test_people_on_photos_are_strangers_to_the_engine(compared: Path) -> None:
    with VideoReader(asset("demo.mp4")) as reader:
        packet = reader.read()
    assert packet is not None
    said = []
    with Engine(compared, device="cpu", smoothing_s=0) as engine:
        for still, personal in ((False, True), (True, True), (False, False)):
            engine.reset()
            engine.personal = personal
            for k in range(12):
                frame = engine.process(replace(packet, number=k + 1, timestamp=k / 10, still=still))
            said.append(frame.faces[0].prediction.intensity)
    frame_of_video, photo, stranger = said
    np.testing.assert_array_equal(photo, stranger)
    assert np.abs(frame_of_video - stranger).max() > 1e-3
    with Engine(compared, device="cpu", tracking=False) as engine:
        told = {name: engine.settings[name] for name in OF_PHOTOS}
        results = [engine.process(replace(packet, timestamp=step / 2)).faces[0].result for step in range(4)]
    assert told == OF_PHOTOS, "although a new engine smooths and compares"
    for result in results:
        np.testing.assert_array_equal(result.intensity, result.raw_intensity)
        np.testing.assert_allclose(result.raw_intensity, stranger, atol=0.3)


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
