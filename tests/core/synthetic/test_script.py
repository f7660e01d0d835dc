"""The course of clips: what speech and rest look like over time, and which steps are refused."""

from __future__ import annotations

import numpy as np
import pytest

from rtatl_core.synthetic.expressions import EXCLUSIVE
from rtatl_core.synthetic.rig import LEFT, RIGHT, ROW, SINGLE
from rtatl_core.synthetic.script import FAINT, KINDS, Event, Script, Step

FRAMES_PER_S = 60


def course(script: Script, seconds: float) -> np.ndarray:
    """(T, AUs, 2) intensities at 60 frames a second."""
    return np.stack([script.at(t).action.aus for t in np.arange(0, seconds, 1 / FRAMES_PER_S)])


def test_lips_that_part_in_speech_also_meet() -> None:
    """Of the eight mouth shapes one closes the lips: overlapping neighbours must not swallow it."""
    rng = np.random.default_rng(0)
    events = [event for _ in range(20) for event in Script.sample(rng, 10.0, "speech").events]
    met, parted = (sum(event.au == au for event in events) for au in (24, 25))
    assert 0.09 < met / (met + parted) < 0.17


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_may_be_over_before_anything_happens(kind: str) -> None:
    """As where the first word would come later."""
    scripts = [Script.sample(np.random.default_rng(seed), 0.1, kind) for seed in range(40)]
    assert any(not script.events for script in scripts)
    assert all(np.isfinite(script.at(0.1).action.aus).all() for script in scripts)


def test_people_speak_four_to_five_syllables_a_second_and_pause() -> None:
    rng = np.random.default_rng(1)
    scripts = [Script.sample(rng, 20.0, "speech") for _ in range(5)]
    starts = [np.unique([event.start for event in script.events if event.au != 43]) for script in scripts]
    gaps = np.concatenate([np.diff(start) for start in starts])
    within = gaps[gaps < 1.4 / 4.5 + 1e-6]
    assert 4 < 1 / within.mean() < 5
    assert 0.05 < 1 - len(within) / len(gaps) < 0.3


def test_a_resting_face_stirs_faintly() -> None:
    rng = np.random.default_rng(3)
    clips = np.stack([course(Script.sample(rng, 20.0, "rest"), 20.0) for _ in range(3)])
    clips[:, :, ROW[43]] = 0
    assert 0.1 < clips.max() <= FAINT
    assert np.abs(np.diff(clips, axis=1)).max() < 0.02
    assert (clips.max(axis=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_sides_are_equal_where_muscles_have_none_and_exclusive_aus_never_meet(kind: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(4):
        aus = course(Script.sample(rng, 5.0, kind), 5.0)
        for au in SINGLE:
            assert (aus[:, ROW[au], LEFT] == aus[:, ROW[au], RIGHT]).all(), au
        shown = aus.max(axis=2) > 0
        for first, second in map(tuple, EXCLUSIVE - {frozenset((5, 43))}):  # a blink covers AU5, as labels know
            assert not (shown[:, ROW[first]] & shown[:, ROW[second]]).any(), (first, second)


def test_sides_differ_in_some_movements_of_sided_aus() -> None:
    rng = np.random.default_rng(5)
    events = [e for _ in range(30) for e in Script.sample(rng, 10.0, "expressions").events if e.au not in SINGLE | {43}]
    uneven = np.mean([event.left != event.right for event in events])
    assert 0.25 < uneven < 0.5


def test_larger_movements_are_faster() -> None:
    """Peak speed grows with amplitude at a given onset, and the onsets of all amplitudes are alike."""
    small, large = (Event(12, 0.0, 0.5, 0.2, 0.5, peak, peak) for peak in (0.3, 0.9))
    speeds = [np.diff([event.share(t) * event.left for t in np.arange(0, 0.5, 0.01)]).max() for event in (small, large)]
    assert speeds[1] == pytest.approx(3 * speeds[0])
    rng = np.random.default_rng(6)
    events = [e for _ in range(40) for e in Script.sample(rng, 10.0, "expressions").events if e.au not in (1, 2, 5, 43)]
    onsets = np.array([event.onset for event in events])
    assert 0.2 <= onsets.min() < onsets.max() <= 0.7
    assert abs(np.corrcoef(onsets, [max(event.left, event.right) for event in events])[0, 1]) < 0.15


def test_brows_rise_faster_than_lip_corners() -> None:
    rng = np.random.default_rng(7)
    events = [event for _ in range(60) for event in Script.sample(rng, 10.0, "expressions").events]
    brows, corners = ([e.onset for e in events if e.au in aus] for aus in ((1, 2), (12,)))
    assert np.mean(brows) < 0.85 * np.mean(corners)


def test_gaze_and_head_move_without_jumps_within_reach() -> None:
    rng = np.random.default_rng(8)
    for _ in range(5):
        script = Script.sample(rng, 6.0)
        moments = [script.at(t) for t in np.arange(360) / FRAMES_PER_S]
        pose, gaze = np.array([m.pose for m in moments]), np.array([m.action.gaze for m in moments])
        assert np.degrees(np.abs(np.diff(pose, axis=0)).max()) < 3
        assert (np.abs(gaze) <= [0.7, 0.5]).all()
        still = (np.diff(gaze, axis=0) == 0).all(axis=1).mean()
        assert 0.8 < still < 1  # fixations with saccades between


def test_any_time_can_be_asked_in_any_order() -> None:
    script = Script.sample(np.random.default_rng(9), 3.0, "mixed")
    times = [0.0, 2.9, 1.7, 0.4]
    forward = {t: script.at(t) for t in sorted(times)}
    for t in times:
        again = script.at(t)
        assert np.array_equal(again.action.aus, forward[t].action.aus)
        assert (again.action.gaze, again.pose) == (forward[t].action.gaze, forward[t].pose)


@pytest.mark.parametrize(
    ("aus", "complaint"),
    [
        ({99: 0.5}, "known AUs"),
        ({24: 0.5, 25: 0.5}, "exclude"),
        ({12: 1.2}, "0-1"),
        ({12: (0.5, -0.1)}, "0-1"),
        ({17: (1.0, 0.0)}, "no sides"),
    ],
)
def test_impossible_steps_are_refused(aus: dict[int, float | tuple[float, float]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Step(aus)
