"""Which frame the flow of a frame leads to."""

from __future__ import annotations

import dataclasses
import weakref
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.datasets import flow_pairs
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.flow_pairs import CALMEST, frame_pairs, later_rows, partners, resting_rows
from rtatl_core.datasets.flow_target import LONGEST
from rtatl_core.datasets.parts import Frame, PartWriter, Plan
from rtatl_core.datasets.teacher import TEACHER_SHAPES
from tests.core.stores import face, write_clips, write_labelled, write_store


def test_pairs_stay_in_their_clip_and_gap(tmp_path: Path) -> None:
    store = ChipStore.open(write_clips(tmp_path / "videos"))
    pairs = frame_pairs(store, "later", 0.2)
    assert len(pairs) == 20
    for a, b in pairs:
        assert store.clips[a] == store.clips[b]
        assert store.times[b] - store.times[a] == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(
    ("fps", "steps"),
    [(5, 1), (6, 1), (6.25, 1), (8, 2), (10, 2), (12, 2), (12.5, 3), (24, 5), (25, 5), (29.97, 6), (30, 6), (7, None)],
)
def test_a_partner_is_the_frame_nearest_to_the_gap(fps: float, steps: int | None) -> None:
    """25 and 30 fps, with which the bundled weights were trained, lead five and six frames on."""
    times = np.round(np.arange(40) / fps, 4)
    partner = later_rows(np.full(40, "c"), times, 0.2)
    rows = np.arange(30)
    assert partner[rows].tolist() == (rows + steps if steps else np.full(30, -1)).tolist()
    assert (partner[times + 0.2 > times[-1] + 1e-6] == -1).all(), "the clip ends before"


def test_partners_stay_in_their_clip_where_frames_are_missing() -> None:
    clips = np.array(["a", "a", "a", "", "", "b", "b"])
    times = np.array([0.0, 0.16, 0.5, 0.0, 0.2, 0.2, 0.8])
    assert later_rows(clips, times, 0.2).tolist() == [1, -1, -1, -1, -1, -1, -1]


def test_at_rest_is_a_calm_frame_of_the_same_clip_whose_head_is_turned_alike(tmp_path: Path) -> None:
    store = ChipStore.open(write_clips(tmp_path / "clips", clips=2))
    count = len(store) // 2
    smile = np.tile(np.r_[np.zeros(4), np.linspace(0.2, 1, count - 4)], 2)
    teacher = np.zeros((len(store), len(TEACHER_SHAPES)), np.float32)
    teacher[:, list(TEACHER_SHAPES).index(12)] = smile
    order = np.lexsort((store.times, store.clips))
    yaw = np.tile(np.r_[[0.0, 10, 20, 30], np.tile([1.0, 19], count // 2 - 2)], 2)
    placed = np.empty(len(store), np.int64)
    placed[order] = np.arange(len(store))
    store = dataclasses.replace(
        store, teacher=teacher[placed], yaw=yaw[placed].astype(np.float32), pitch=np.zeros(len(store), np.float32)
    )
    calm = max(2, round(CALMEST * count))
    partner = resting_rows(store)
    assert (store.clips[partner] == store.clips).all()
    assert (partner != np.arange(len(store))).all()
    assert (placed[partner] % count < calm).all()
    moving = np.flatnonzero(placed % count >= 4)
    assert (np.abs(store.yaw[partner[moving]] - store.yaw[moving]) <= 9).all()
    pairs = frame_pairs(store, "rest", 0.2)
    assert pairs.tolist() == [[row, partner[row]] for row in range(len(store))]


def test_stored_flow_leads_where_it_says(tmp_path: Path) -> None:
    """Of a face to itself at rest: its own row; such flow is no answer to what comes later, nor the other way round."""
    store = ChipStore.open(write_clips(tmp_path / "clips", clips=1))
    own, nothing = np.arange(len(store)), np.full(len(store), -1)
    to_rest = np.where(own % 2, own, -1)
    resting = dataclasses.replace(store, flow=store.chips, flow_to=to_rest, flow_row=to_rest)
    found = partners(resting, "rest", 0.2)
    assert (found[1::2] == own[1::2]).all()
    assert (found[::2] == resting_rows(store)[::2]).all()
    np.testing.assert_array_equal(partners(resting, "later", 0.2), later_rows(store.clips, store.times, 0.2))
    later = later_rows(store.clips, store.times, 0.2)
    moving = dataclasses.replace(store, flow=store.chips, flow_to=np.where(own % 2, later, nothing), flow_row=own)
    np.testing.assert_array_equal(partners(moving, "later", 0.2), np.where(own % 2, later, -1))
    np.testing.assert_array_equal(partners(moving, "rest", 0.2), resting_rows(store))


def test_parts_without_flow_take_nothing_from_those_with_it(tmp_path: Path) -> None:
    for part, flow in (("a", ""), ("b", "dis"), ("c", ""), ("d", "dis")):
        write_clips(tmp_path, flow=flow, name=part, clips=1, part=part)
    changed = tmp_path / "parts" / "d" / "flow_to.npy"
    leads = np.load(changed)
    leads[0] = 3
    np.save(changed, leads)
    store = ChipStore.open(tmp_path)
    expected = later_rows(store.clips, store.times, 0.2)
    expected[36] = 39
    np.testing.assert_array_equal(partners(store, "later", 0.2), expected)
    assert (store.flow_to[:12] == -1).all()
    for start, part in ((12, "b"), (36, "d")):
        fields = np.load(tmp_path / "parts" / part / "flow.npy").astype(np.float32)
        for row in range(12):
            np.testing.assert_array_equal(store.stored_flow(start + row), fields[row])
    assert all(store.stored_flow(row) is None for row in (*range(12), *range(24, 36)))
    plain = ChipStore.open(write_clips(tmp_path / "plain"))
    assert plain.flow is None
    assert plain.stored_flow(0) is None


def test_the_way_back_to_rest_may_be_longer_than_what_a_face_does_in_a_moment(tmp_path: Path) -> None:
    image, points = face(0.5, np.random.default_rng(0))
    motion = np.zeros((240, 240, 2), np.float32)
    motion[110:130, 110:130, 1] = 60
    longest = {}
    for to, leads in (("0", "rest"), ("1", "later")):
        frames = [Frame(name, "s", image, clip="c", flow=motion, flow_to=to) for name in "01"]
        store = ChipStore.open(write_store(tmp_path / leads, [(frame, points, None) for frame in frames]))
        assert store.flow_to[0] == int(to)
        longest[leads] = float(np.nanmax(store.stored_flow(0)))  # type: ignore[arg-type]
    assert longest == pytest.approx(LONGEST, rel=1e-3)


@pytest.mark.parametrize("to", ["0", "1"])
def test_the_motion_of_every_pixel_is_not_kept_for_the_whole_part(tmp_path: Path, to: str) -> None:
    """To rest or to the next frame."""
    image, points = face(0.5, np.random.default_rng(0))
    with PartWriter(tmp_path, Plan(kind="test")) as writer:
        motion = np.zeros((240, 240, 2), np.float32)
        kept = weakref.ref(motion)
        writer.add(Frame("0", "s", image, flow=motion, flow_to=to), points)
        del motion
        assert kept() is None, "of large photos and long clips it fills the memory"


def test_codes_tell_rest_before_landmarks_do_and_stills_have_none(tmp_path: Path) -> None:
    clips = ChipStore.open(write_clips(tmp_path / "clips", clips=1))
    calm = np.argsort(clips.times)[-2:]
    codes = np.where(np.isin(np.arange(len(clips)), calm), 0.0, 3.0).astype(np.float32)[:, None]
    occurrence = (codes >= 1).astype(np.float32)
    coded = resting_rows(dataclasses.replace(clips, intensity=codes, occurrence=occurrence))
    assert set(coded.tolist()) == set(calm.tolist())
    assert (resting_rows(clips) >= 0).all(), "neither codes nor blendshapes: landmarks tell"
    stills = ChipStore.open(write_labelled(tmp_path / "stills"))
    assert (resting_rows(dataclasses.replace(stills, clips=np.full(len(stills), ""))) == -1).all()


def test_a_face_whose_strength_or_codes_are_unknown_is_not_at_rest(tmp_path: Path) -> None:
    """As events without intensity, BP4D without its intensity files, and frames that could not be coded."""
    clips = ChipStore.open(write_clips(tmp_path / "clips", clips=1))
    calm = np.argsort(clips.times)[-2:]
    unknown = np.full((len(clips), 1), np.nan, np.float32)
    for elsewhere in (1.0, np.nan):
        occurrence = np.where(np.isin(np.arange(len(clips)), calm), 0.0, elsewhere).astype(np.float32)[:, None]
        rest = resting_rows(dataclasses.replace(clips, intensity=unknown, occurrence=occurrence))
        assert set(rest.tolist()) == set(calm.tolist())
    assert (resting_rows(dataclasses.replace(clips, intensity=unknown, occurrence=unknown)) == -1).all()


def test_in_a_long_video_some_of_the_calmest_frames_stand_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ChipStore.open(write_clips(tmp_path / "clips", clips=1))
    monkeypatch.setattr(flow_pairs, "CALMEST", 1.0)
    for most, few in ((12, 12), (5, 4), (1, 1)):
        monkeypatch.setattr(flow_pairs, "MOST", most)
        yaw = np.linspace(0, 40, len(store), dtype=np.float32)
        partner = resting_rows(dataclasses.replace(store, yaw=yaw))
        assert 1 <= len(set(partner[partner >= 0].tolist())) <= few
