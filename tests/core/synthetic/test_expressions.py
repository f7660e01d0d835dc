"""What faces do: stills and scripts."""

from __future__ import annotations

import numpy as np
import pytest

from rtatl_core.synthetic.expressions import EXCLUSIVE, EXPRESSIONS, possible, sample_pose, sample_still
from rtatl_core.synthetic.rig import AUS, EXTRAS, LEFT, RIGHT, ROW, SINGLE, Action
from rtatl_core.synthetic.script import Event, Script, Step


@pytest.fixture(scope="module")
def stills() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([sample_still(rng).aus for _ in range(6000)])


def test_every_au_occurs_alone_and_among_others(stills: np.ndarray) -> None:
    shown = stills.max(axis=2) > 0
    alone = shown[shown.sum(axis=1) == 1].sum(axis=0)
    assert (alone >= 20).all(), dict(zip(AUS, alone, strict=True))
    assert (shown.mean(axis=0) > 0.03).all()
    assert 0.1 < (shown.sum(axis=1) == 0).mean() < 0.2


def test_intensities_reach_from_trace_to_maximum(stills: np.ndarray) -> None:
    assert stills.min() >= 0
    assert stills.max() <= 1
    for row in range(len(AUS)):
        used = stills[:, row].max(axis=1)
        used = used[used > 0]
        assert np.quantile(used, 0.1) < 0.25
        assert np.quantile(used, 0.9) > 0.8


def test_sides_differ_where_muscles_have_sides(stills: np.ndarray) -> None:
    for au in AUS:
        both = stills[:, ROW[au]]
        differ = both[both.max(axis=1) > 0]
        share = (np.abs(differ[:, LEFT] - differ[:, RIGHT]) > 0.2).mean()
        assert share == 0 if au in SINGLE else 0.4 < share < 0.7, au


def test_exclusive_aus_never_meet(stills: np.ndarray) -> None:
    shown = stills > 0
    for first, second in map(tuple, EXCLUSIVE):
        assert not (shown[:, ROW[first]] & shown[:, ROW[second]]).any(), (first, second)


def test_expressions_name_aus_that_can_be_shown_together() -> None:
    for expression in EXPRESSIONS:
        assert possible(list(expression)) == list(expression)


def test_extras_are_those_that_rigs_know() -> None:
    rng = np.random.default_rng(1)
    actions = [sample_still(rng) for _ in range(300)]
    named = {name for action in actions for name in action.extras}
    assert named
    assert named <= set(EXTRAS)


def test_poses_stay_where_faces_are_found() -> None:
    rng = np.random.default_rng(2)
    poses = np.degrees([sample_pose(rng) for _ in range(2000)])
    assert (np.abs(poses).max(axis=0) <= [50, 30, 25]).all()
    assert (poses.std(axis=0) > [12, 7, 5]).all()


def test_an_action_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="intensities"):
        Action(np.zeros(3, np.float32))


def test_event_rises_holds_and_falls() -> None:
    event = Event(12, 1.0, 0.4, 0.5, 0.6, 1, 1)
    assert [event.share(t) for t in (0.9, 1.2, 1.4, 1.8, 2.2, 2.6)] == pytest.approx([0, 0.5, 1, 1, 0.5, 0])
    steps = np.diff([event.share(1 + t) for t in np.arange(0, 0.4, 0.01)])
    assert steps.argmax() == pytest.approx(len(steps) / 2, abs=2)  # fastest in the middle


def test_a_sequence_shows_one_step_after_the_other() -> None:
    script = Script.sequence([Step({12: 0.8, 6: 0.5}), Step({14: (1.0, 0.0)})])
    first = script.at(0.3 + 0.4 + 0.2).action
    assert first.both(12) == pytest.approx(0.8)
    assert first.both(6) == pytest.approx(0.5)
    assert first.both(14) == 0
    second = script.at(0.3 + 1.6 + 0.4 + 0.2).action
    assert second.side(14, LEFT) == pytest.approx(1)
    assert second.side(14, RIGHT) == 0
    assert script.at(script.seconds + 0.1).action.aus.max() == 0


@pytest.mark.parametrize("kind", ["expressions", "speech", "mixed", "rest"])
def test_clips_are_smooth_and_within_range(kind: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        script = Script.sample(rng, 4.0, kind)
        aus = np.stack([script.at(t).action.aus for t in np.arange(0, 4, 1 / 60)])
        assert aus.min() >= 0
        assert aus.max() <= 1
        change = np.abs(np.diff(aus, axis=0))
        change[:, ROW[43]] = 0  # a blink is that fast
        assert change.max() < 0.45
        shown = aus.max(axis=2) > 0
        for first, second in map(tuple, EXCLUSIVE - {frozenset((5, 43)), frozenset((24, 43))}):
            if 43 not in (first, second):
                assert not (shown[:, ROW[first]] & shown[:, ROW[second]]).any(), (first, second)


def test_blinks_come_as_often_and_last_as_long_as_people_s() -> None:
    rng = np.random.default_rng(4)
    blinks = [event for _ in range(20) for event in Script.sample(rng, 60.0, "rest").events if event.au == 43]
    assert 12 < len(blinks) / 20 < 22
    assert all(0.2 < event.end - event.start < 0.4 for event in blinks)


def test_scripts_follow_from_their_seed() -> None:
    one, same = (Script.sample(np.random.default_rng(5), 4.0) for _ in range(2))
    assert one.events == same.events
    assert one.at(1.3).pose == same.at(1.3).pose
    assert one.at(1.3).action.gaze == same.at(1.3).action.gaze
