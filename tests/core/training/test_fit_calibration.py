"""Raw output on labelled and on real faces -> what is read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.teacher import at_rest
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.training.fit_calibration import (
    AS_RATED,
    CAUTIOUS_GAIN,
    CLEAR_READS,
    FALSE_ALARMS,
    FEW_LACKING,
    LABELLED_BOOST,
    MAX_GAIN,
    RARE_FALSE_ALARMS,
    Heard,
    Judged,
    Seen,
    fit_calibration,
    real_output,
    seen_output,
)
from tests.core.stores import write_clips

AUS = (1, 12)


def heard(network: RTATL, source: Source) -> list[Heard]:
    return [Heard.of(source, network)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ChipStore:
    """Two clips of twelve frames with teacher values."""
    return ChipStore.open(write_clips(tmp_path_factory.mktemp("clips"), teacher=True))


def test_calibration_undoes_shrinking_and_rests_at_zero() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (500, 2)).astype(np.float32)
    raw = np.stack([0.5 * truth[:, 0] + 0.1, 0.05 * truth[:, 1]], axis=1)
    real = np.stack([np.full(100, 0.2), np.zeros(100)], axis=1).astype(np.float32)
    calibration = fit_calibration(raw, truth, [real, real + 0.01, real - 0.05])
    assert calibration.gain[0] == pytest.approx(2, rel=0.01)
    assert calibration.gain[1] == CAUTIOUS_GAIN
    assert calibration.offset[0] == pytest.approx(0.2)
    without = fit_calibration(raw, np.where(truth < 0.3, 0, truth).astype(np.float32), [])
    assert 0.1 < without.offset[0] < 0.25


def test_an_offset_at_its_limit_lets_no_more_resting_faces_read_1() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 1, (500, 1)).astype(np.float32)
    raw = (0.4 * truth + 0.45).astype(np.float32)
    calm = rng.normal(0.5, 0.02, 400).astype(np.float32)
    calibration = fit_calibration(raw, truth, [], [Judged(calm, calm)])
    read, _ = calibration.read(calm[:, None], np.zeros((400, 1), np.float32))
    assert calibration.offset[0] < 0.5
    assert (read >= 1).mean() <= FALSE_ALARMS


def test_coded_faces_without_the_au_limit_the_gain_where_nobody_judged_others() -> None:
    rng = np.random.default_rng(4)
    truth = np.where(rng.random((4000, 1)) < 0.8, 0, rng.uniform(0, 1, (4000, 1))).astype(np.float32)
    raw = (0.35 * truth + rng.normal(0, 0.1, truth.shape)).astype(np.float32)
    calibration = fit_calibration(raw, truth, [])
    read, _ = calibration.read(raw, np.zeros_like(raw))
    assert 1 < calibration.gain[0] < 1.2, "what undoes the shrinking is 1.5"
    assert (read[truth == 0] >= 1).mean() <= FALSE_ALARMS + 0.001


def test_resting_faces_limit_the_gain() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 1, (500, 2)).astype(np.float32)
    raw = (0.25 * truth + 0.02).astype(np.float32)
    calm = [rng.normal(0.05, 0.01, 400).astype(np.float32), rng.normal(0.05, 0.06, 400).astype(np.float32)]
    calibration = fit_calibration(raw, truth, [], [Judged(resting, resting) for resting in calm])
    assert calibration.offset == pytest.approx([0.05, 0.05], abs=0.01)
    assert calibration.gain[0] == pytest.approx(4, rel=0.05)  # the spread of the labels
    alarms = (5 * calibration.gain[1] * (calm[1] - calibration.offset[1]) >= 1).mean()
    assert 1 < calibration.gain[1] < 3
    assert alarms == pytest.approx(FALSE_ALARMS, abs=0.005)


def test_clear_expressions_read_high() -> None:
    rng = np.random.default_rng(2)
    truth = rng.uniform(0, 1, (500, 1)).astype(np.float32)
    raw = (0.9 * truth).astype(np.float32)
    calm, clear = rng.normal(0.0, 0.06, 300).astype(np.float32), rng.normal(0.4, 0.02, 60).astype(np.float32)
    calibration = fit_calibration(raw, truth, [], [Judged(calm, calm, clear)])
    value = calibration.read(clear[:, None], np.zeros((60, 1), np.float32))[0]
    assert np.median(value) == pytest.approx(CLEAR_READS, abs=0.1)
    resting = calibration.read(calm[:, None], np.zeros((300, 1), np.float32))[0]
    assert (resting >= 1).mean() <= 2 * FALSE_ALARMS


def test_faces_that_raters_judge_limit_the_gain_and_set_what_is_read() -> None:
    """Smiles without AU14 read .2; faces with a rating of 2.5 read a tenth of the scale over rest."""
    rng = np.random.default_rng(4)
    truth = rng.uniform(0, 1, (500, 2)).astype(np.float32)
    raw = np.stack([0.25 * truth[:, 0], 0.9 * truth[:, 1]], axis=1).astype(np.float32)
    calm, smiles = rng.normal(0, 0.01, 100).astype(np.float32), rng.normal(0.2, 0.01, 40).astype(np.float32)
    shown = rng.normal(0.1, 0.01, 30).astype(np.float32)
    judged = [Judged(calm, np.concatenate([calm, smiles])), Judged(calm, calm, shown, reads=2.5)]
    calibration = fit_calibration(raw, truth, [], judged)
    assert calibration.offset == pytest.approx([0, 0], abs=0.01)
    assert calibration.gain[0] == 1
    assert fit_calibration(raw, truth, [], [Judged(calm, calm)] * 2).gain[0] == pytest.approx(4, rel=0.05)
    value = calibration.read(np.stack([shown, shown], axis=1), np.zeros((30, 2), np.float32))[0]
    assert np.median(value[:, 1]) == pytest.approx(2.5, abs=0.1)


def test_what_raters_saw_bounds_what_renders_call_for() -> None:
    """Rendered faces that clearly show the AU read half of their label, and call for all the boost they can get; real
    ones that were rated 2.2 read 2 before it, so that 1.2 is enough."""
    rng = np.random.default_rng(5)
    truth = rng.uniform(0, 1, (500, 1)).astype(np.float32)
    raw = (0.5 * truth).astype(np.float32)
    calm = rng.normal(0, 0.1, 300).astype(np.float32)
    shown = rng.normal(0.4, 0.01, 20).astype(np.float32)
    free = fit_calibration(raw, truth, [], [Judged(calm, calm)])
    bound = fit_calibration(raw, truth, [], [Judged(calm, calm)], [Seen(shown, 2.2)])
    assert free.gain == bound.gain == pytest.approx(1, abs=0.15)
    assert free.boost[0] == LABELLED_BOOST
    read = bound.read(shown[:, None], np.zeros((20, 1), np.float32))[0]
    assert np.median(read) == pytest.approx(2.2, abs=0.05)
    under = fit_calibration(raw, truth, [], [Judged(calm, calm)], [Seen(calm, 2.2)])
    assert under.boost == free.boost, "no boost helps faces that read under 1"


def test_faint_expressions_read_as_raters_saw_them_and_smiles_hardly_more() -> None:
    """Rendered faces ask for a gain of 1. Faces rated 1 say .07, faces at rest hardly .05; smiles say .9."""
    rng = np.random.default_rng(6)
    truth = rng.uniform(0, 1, (500, 1)).astype(np.float32)
    calm = rng.normal(0, 0.015, 300).astype(np.float32)
    faint, smiles = rng.normal(0.07, 0.01, 31).astype(np.float32), rng.normal(0.9, 0.01, 31).astype(np.float32)

    def read(judged: Judged, said: np.ndarray, seen: Seen | None = None) -> np.ndarray:
        calibration = fit_calibration(truth, truth, [], [judged], [seen])
        return calibration.read(said[:, None], np.zeros((len(said), 1), np.float32))[0][:, 0]

    assert np.median(read(Judged(calm, calm), faint)) < 0.5
    assert np.median(read(Judged(calm, calm, shown=faint, rated=1.0), faint)) == pytest.approx(AS_RATED, abs=0.02)
    near = (calm + 0.08 * (np.arange(300) % 20 == 0)).astype(np.float32)
    held = Judged(near, near, shown=faint, rated=1.0)
    assert np.median(read(held, faint)) < 1, "more false alarms than that are not paid for it"
    assert (read(held, near) >= 1).mean() <= FALSE_ALARMS
    told_nothing = Judged(calm, calm, shown=-np.abs(calm[:31]), rated=1.0)
    assert np.array_equal(read(told_nothing, faint), read(Judged(calm, calm), faint)), "no gain would make these read 1"
    assert np.median(read(Judged(calm, calm), smiles)) > 4
    taught = Judged(calm, calm, smiles)
    assert np.median(read(taught, smiles)) > 4, "blendshapes only say that it is clear"
    assert np.median(read(taught, smiles, Seen(smiles, 3.5))) == pytest.approx(3.5, abs=0.05)
    assert 2.5 < np.median(read(taught, smiles, Seen(smiles, 2.0))) < 3, "by a few faces no more than that"


def test_an_au_that_raters_saw_but_never_clearly_reads_no_more_than_they_saw() -> None:
    """Rendered faces, on which the network hardly tells the AU, call for a gain of 4 and more, with which real ones
    that were rated 1.5 would read 3.5."""
    rng = np.random.default_rng(7)
    truth = rng.uniform(0, 1, (500, 1)).astype(np.float32)
    raw = (0.1 * truth).astype(np.float32)
    calm, shown = rng.normal(0, 0.01, 300).astype(np.float32), rng.normal(0.13, 0.02, 30).astype(np.float32)

    def read(judged: Judged) -> float:
        calibration = fit_calibration(raw, truth, [], [judged])
        return float(np.median(calibration.read(shown[:, None], np.zeros((30, 1), np.float32))[0]))

    assert read(Judged(calm, calm)) > 3
    assert read(Judged(calm, calm, shown=shown, rated=1.5)) == pytest.approx(AS_RATED * 1.5, abs=0.05)
    rarely = fit_calibration(raw, truth, [], [Judged(calm, calm, shown=shown / 4, rated=2.5)])
    assert (rarely.gain[0], rarely.boost[0]) == (pytest.approx(4, rel=0.01), 1), "and no less for want of it"


def test_an_au_that_raters_looked_for_and_hardly_saw_reads_1_on_a_few_of_the_others() -> None:
    """Rendered faces call for a gain of 2, whatever real ones make the network say."""
    rng = np.random.default_rng(8)
    truth = rng.uniform(0, 1, (500, 1)).astype(np.float32)
    raw = (0.5 * truth).astype(np.float32)
    calm = np.zeros(50, np.float32)

    def alarms(lacking: np.ndarray) -> tuple[float, float]:
        calibration = fit_calibration(raw, truth, [], [Judged(calm, lacking, lacking=lacking)])
        read = calibration.read(lacking[:, None], np.zeros((len(lacking), 1), np.float32))[0]
        return float(calibration.gain[0]), float((read >= 1).mean())

    quiet, lively = (rng.normal(0, spread, 1000).astype(np.float32) for spread in (0.03, 0.06))
    assert fit_calibration(raw, truth, [], [Judged(calm, quiet)]).gain[0] == pytest.approx(2, rel=0.01)
    assert alarms(quiet) == (pytest.approx(2.9, abs=0.3), pytest.approx(RARE_FALSE_ALARMS, abs=0.002))
    assert alarms(lively) == (pytest.approx(1.4, abs=0.2), pytest.approx(RARE_FALSE_ALARMS, abs=0.002))
    assert alarms(quiet / 10)[0] == MAX_GAIN
    assert alarms(lively * 10)[0] == 1


def test_raters_must_have_looked_at_many_faces(clips: ChipStore) -> None:
    rated = np.zeros((len(clips), 2), np.float32)
    rated[:8, 1] = 1
    photos = dataclasses.replace(clips, rated=rated, clips=np.full(len(clips), ""))
    torch.manual_seed(0)
    network = RTATL(RTATLConfig(aus=AUS, width=8, token=16, geometry=16))
    once = heard(network, Source(photos, np.arange(len(photos)), labels=False))
    often = once * -(-FEW_LACKING // len(photos))
    one, twelve = real_output(often, AUS)
    assert set(one.lacking) == set(once[0].said[:, 0])
    assert not len(twelve.lacking), "seen on enough faces to set what is read"
    assert not len(real_output(once, AUS)[0].lacking)
    assert not len(real_output(often, AUS, coded=True)[0].lacking)


def test_ratings_decide_where_a_face_was_rated(clips: ChipStore) -> None:
    store = clips
    assert store.teacher is not None
    rated = np.full((len(store), 2), np.nan, np.float32)
    rated[:10], rated[10:20, 0] = (0, 3), 2
    torch.manual_seed(0)
    network = RTATL(RTATLConfig(aus=AUS, width=8, token=16, geometry=16))
    whole = Source(dataclasses.replace(store, rated=rated), np.arange(len(store)), labels=False)
    one, twelve = real_output(heard(network, whole), AUS)
    said = predict_store(network, store, whole.rows).intensity
    assert set(one.absent) == set(said[:10, 0]), "rated frames, where a clip has any"
    assert not set(one.absent) & set(said[10:20, 0])
    assert not set(twelve.absent) & set(said[:20, 1]), "neither those that show it nor those on which nobody can tell"
    rare = Source(dataclasses.replace(store, rated=np.where(rated == 3, 1, rated)), whole.rows, labels=False)
    doubtful = set(said[10:20, 1][at_rest(store.teacher[10:20], 12)])
    assert doubtful
    assert set(real_output(heard(network, rare), AUS)[1].absent) == doubtful, "of an AU never seen clearly, these count"
    assert set(one.clear) == set(one.shown) == set(said[10:20, 0])
    assert one.reads == 2
    faint = real_output(heard(network, rare), AUS)[1]
    assert set(faint.shown) == set(said[:10, 1]), "seen, but not clearly"
    assert (faint.rated, one.rated, twelve.rated) == (1, 2, 3)
    assert not len(faint.clear)
    assert twelve.reads == 3
    shown = seen_output(heard(network, whole), AUS)
    assert shown[0] is not None
    assert set(shown[0].raw) == set(said[10:20, 0])
    assert shown[0].rating == 2
    assert seen_output(heard(network, whole._replace(rows=np.arange(16))), AUS)[0] is None, "six faces are too few"
    unrated = real_output(heard(network, whole._replace(store=store)), AUS)
    assert np.array_equal(unrated[0].absent, unrated[0].resting)


def test_a_clip_counts_as_a_few_of_its_rated_frames(clips: ChipStore) -> None:
    """24 frames of one clip, 20 of them rated: one person must not outweigh many."""
    store = clips
    assert store.teacher is not None
    rated = np.full((len(store), 2), np.nan, np.float32)
    rated[:20] = (0, 3)
    store = dataclasses.replace(store, rated=rated, clips=np.full(24, "one"), teacher=np.zeros_like(store.teacher))
    torch.manual_seed(0)
    network = RTATL(RTATLConfig(aus=AUS, width=8, token=16, geometry=16))
    one, twelve = real_output(heard(network, Source(store, np.arange(24), labels=False)), AUS)
    said = predict_store(network, store, np.arange(24)).intensity
    assert set(one.absent) == set(one.resting) == set(said[:20:2, 0])
    assert set(twelve.clear) == set(said[:20:2, 1])
    photos = dataclasses.replace(store, clips=np.full(24, ""))
    one, _ = real_output(heard(network, Source(photos, np.arange(24), labels=False)), AUS)
    assert set(one.absent) == set(said[:, 0]), "photos count each, and unrated ones at rest as well"
    clear = dataclasses.replace(photos, teacher=np.ones_like(store.teacher), rated=1 - rated / 3)
    _, twelve = real_output(heard(network, Source(clear, np.arange(24), labels=False)), AUS)
    assert not len(twelve.clear), "raters saw no smile, whatever the blendshapes say"
