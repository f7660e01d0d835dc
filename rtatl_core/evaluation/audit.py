"""A model on real faces that nobody coded: what can be said of it all the same.

Enters: a model, prepared clips and photos with teacher values (``rtatl prepare videos|photos --teacher``), perhaps a
table of who is who, perhaps one of AUs that raters saw on them (``rtatl_core/datasets/ratings.py``), perhaps
pictures for the flicker test. Leaves: numbers, as JSON and as tables.

- agreement: PCC with MediaPipe's blendshapes within clips, where they move. A model that they taught agrees more.
- resting: what faces at rest read, less those on which raters saw the AU. 1 (FACS A) or more is a false alarm.
- clear: what faces read on which the teacher finds an AU clearly shown.
- apex: the highest that each such expression reads within a clip, smoothed as live.
- ratings: whether photos and frames read 1 (FACS A) or more where raters saw the AU, and do not where they saw none.
- pose: PCC of each AU with yaw and pitch over faces at rest, each clip about its own mean, so that it is the head's
  turning that counts and not who is seen from where; an AU must not follow the head. Frames of few clips follow by
  chance, too: how much is found by moving each clip's readings in time.
- flicker: a picture repeated with a camera's noise, through the whole engine with its smoothing.
- lean: left - right of a picture and of its mirror image, through the whole engine: what both have in common is no
  property of the face.
- groups: agreement over photos, readings at rest, and what raters saw, by skin tone, head turn, and the columns of the
  table (``rtatl_core/datasets/groups.py``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.groups import GroupTable, divisions, read_groups
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.protocols import require_apart
from rtatl_core.datasets.ratings import read_ratings
from rtatl_core.datasets.split import names_of
from rtatl_core.datasets.teacher import CLEAR, at_rest, clearly_shown, stand_in
from rtatl_core.engine import Engine
from rtatl_core.errors import InputError, RecipeError
from rtatl_core.evaluation.agreement import clip_agreement
from rtatl_core.evaluation.bootstrap import mean_known
from rtatl_core.evaluation.metrics import pcc, rounded
from rtatl_core.evaluation.pose import Calm, pose_within_clips
from rtatl_core.evaluation.rated import FEW, against_ratings, against_ratings_by_group
from rtatl_core.evaluation.readings import in_time, read_store
from rtatl_core.facs import au_label
from rtatl_core.files import replace_file
from rtatl_core.handoffs import AUPrediction, Float32, Float64, FramePacket, UInt8
from rtatl_core.photos import read_photo
from rtatl_core.temporal import SMOOTHING_S, Smoother
from rtatl_core.weights import load_model

FEW_EVENTS = 5
LAGS = 3
"""Frames after a stretch that still belong to it, because smoothing lags."""
GRAIN, STILL_FRAMES, STILL_RATE = 3.0, 60, 30.0
"""Grey levels of camera noise, frames and frames per second of the flicker test."""


@dataclass(frozen=True, slots=True)
class Read:
    """What the model says of a store's faces, 0-5."""

    store: ChipStore
    values: Float32
    rated: Float32 | None = None
    """(n, n_aus) what raters saw, NaN where they could not tell or did not look; None without ratings."""


def audit(
    model: str | Path | None,
    clips: Sequence[Path],
    photos: Sequence[Path],
    *,
    groups: Path | None = None,
    ratings: Path | None = None,
    stills: Sequence[Path] = (),
) -> dict[str, Any]:
    """All measures that the material allows. Raises RecipeError for folders without teacher values, with faces that the
    model was trained on or calibrated by, or with photos among the clips, InputError when there is nothing to measure
    on."""
    if not clips and not photos:
        raise InputError("nothing to measure on; name prepared folders with --clips or --photos")
    if groups is not None and not photos:
        raise InputError(f"{groups} divides photos, and there are none; name prepared ones with --photos")
    loaded = load_model(model)
    rated = read_ratings(ratings) if ratings is not None else None  # every mistake now, not after an hour
    table = read_groups(groups) if groups is not None else {}
    pictures = [_picture(path) for path in stills]
    training = loaded.facts.get("training", {})

    def read(folder: Path) -> Read:
        store = ChipStore.open(folder)
        if store.teacher is None:
            raise RecipeError(f"{folder} has no teacher values; prepare it with --teacher face_landmarker.task")
        if folder in clips and not all(store.clips):
            raise RecipeError(f"{folder} holds photos, which are no clip; name it with --photos")
        everybody = names_of(store, np.arange(len(store)))
        for key, name in (("subjects", "training"), ("judged_by", "calibration")):
            trained = f"in the {name} of {loaded.name}"
            require_apart(training.get(key, []), everybody, trained=trained, tested=f"in {folder}")
        values, _ = read_store(loaded.network, loaded.calibration, store)
        return Read(store, values, None if rated is None else rated.take(store.images, loaded.aus))

    moving, still = [read(folder) for folder in clips], [read(folder) for folder in photos]
    everything = [*moving, *still]
    result: dict[str, Any] = {
        "model": loaded.name,
        "frames": sum(len(one.values) for one in moving),
        "clips": sum(len(np.unique(one.store.clips)) for one in moving),
        "photos": sum(len(one.values) for one in still),
        "aus": list(loaded.aus),
        "agreement": agreement(moving, loaded.aus),
        "resting": resting(everything, loaded.aus),
        "clear": clear(everything, loaded.aus),
        "apex": apex(moving, loaded.aus),
        "pose": pose_leakage(everything, loaded.aus),
    }
    if rated is not None:
        result["against_ratings"] = by_raters(everything, loaded.aus)
    if still:
        if table and not any(table.keys() & set(one.store.subjects.tolist()) for one in still):
            raise InputError(f"{groups} names none of the photos; its first column must hold their file names")
        result["groups"] = by_group(still, loaded.aus, table)
    if pictures:
        result["flicker"] = flicker(model, pictures)
        result["lean"] = lean(model, pictures)
    return result


def agreement(reads: Sequence[Read], aus: tuple[int, ...]) -> dict[str, Any]:
    """AU -> mean PCC over the clips in which the teacher moves, and their number."""
    scores: dict[int, list[float]] = {}
    for one in reads:
        for au, found in clip_agreement(one.store, one.values, aus).items():
            scores.setdefault(au, []).extend(found)
    return {au_label(au): {"pcc": rounded(np.mean(found), 2), "clips": len(found)} for au, found in scores.items()}


def _taught(one: Read) -> Float32:
    assert one.store.teacher is not None
    return one.store.teacher


def _calm(one: Read, aus: tuple[int, ...]) -> NDArray[np.bool_]:
    """(n, n_aus) at rest there by the teacher, and nothing seen of the AU by raters: a furrow that stays is no false
    alarm."""
    calm = np.stack([at_rest(_taught(one), au) for au in aus], axis=1)
    return calm if one.rated is None else calm & ~(one.rated > 0)


def resting(reads: Sequence[Read], aus: tuple[int, ...]) -> dict[str, Any]:
    """AU -> on faces at rest there: median, share from .5 and from 1 on."""
    result = {}
    calm = [_calm(one, aus) for one in reads]
    for j, au in enumerate(aus):
        values = np.concatenate([one.values[rows[:, j], j] for one, rows in zip(reads, calm, strict=True)])
        if len(values) >= FEW:
            shares = {"from_half": rounded((values >= 0.5).mean(), 2), "from_one": rounded((values >= 1).mean(), 2)}
            result[au_label(au)] = {"median": rounded(np.median(values), 2), **shares, "faces": len(values)}
    return result


def clear(reads: Sequence[Read], aus: tuple[int, ...]) -> dict[str, Any]:
    """AU -> quartiles of what faces read on which the teacher sees it clearly; of those that were rated, their number
    and the median rating, since what a teacher calls clear may be weak."""
    result: dict[str, Any] = {}
    for au in CLEAR:
        if au not in aus:
            continue
        shown = [(one, clearly_shown(_taught(one), au)) for one in reads]
        values = np.concatenate([one.values[rows, aus.index(au)] for one, rows in shown])
        if len(values) < FEW:
            continue
        quartiles = [rounded(quartile, 2) for quartile in np.percentile(values, (25, 50, 75))]
        result[au_label(au)] = {"quartiles": quartiles, "faces": len(values)}
        seen = [one.rated[rows, aus.index(au)] for one, rows in shown if one.rated is not None]
        if known := [rating for ratings in seen for rating in ratings if np.isfinite(rating)]:
            result[au_label(au)] |= {"rated": rounded(np.median(known), 2), "rated_faces": len(known)}
    return result


def apex(reads: Sequence[Read], aus: tuple[int, ...]) -> dict[str, Any]:
    """AU -> quartiles of the highest smoothed reading within each stretch of a clip on which the teacher sees the AU
    clearly, and their number."""
    highest: dict[int, list[float]] = {}
    for one in reads:
        for clip in np.unique(one.store.clips):
            rows = in_time(one.store, np.flatnonzero(one.store.clips == clip))
            smoothed = _as_live(one.store.times[rows], one.values[rows])
            for au in CLEAR:
                shown = clearly_shown(_taught(one)[rows], au)
                edges = np.flatnonzero(np.diff(np.concatenate([[False], shown, [False]])))
                if au in aus:
                    stretches = edges.reshape(-1, 2)
                    found = [float(smoothed[a : b + LAGS, aus.index(au)].max()) for a, b in stretches]
                    highest.setdefault(au, []).extend(found)
    return {
        au_label(au): {"quartiles": [rounded(q, 2) for q in np.percentile(found, (25, 50, 75))], "events": len(found)}
        for au, found in highest.items()
        if len(found) >= FEW_EVENTS
    }


def _as_live(times: Float64, values: Float32) -> Float32:
    """(T, n_aus) as the window shows them."""
    smoother = Smoother(SMOOTHING_S)
    said = [AUPrediction(value, value) for value in values]
    return np.stack([smoother(0, float(at), one).intensity for at, one in zip(times, said, strict=True)])


def by_raters(reads: Sequence[Read], aus: tuple[int, ...]) -> dict[str, Any]:
    """``against_ratings`` of all photos and frames, which are rated. Raises RecipeError when too little is rated to
    judge any AU."""
    result = against_ratings(
        np.concatenate([one.values for one in reads]),
        _ratings(reads),
        np.concatenate([one.store.subjects for one in reads]),
        aus,
    )
    if not result:
        raise RecipeError(
            f"the ratings tell of no AU that {FEW} of these photos and frames lack it; check the names in their first "
            "column, and that absent AUs are rated 0"
        )
    return result


def _ratings(reads: Sequence[Read]) -> Float32:
    return np.concatenate([one.rated for one in reads if one.rated is not None])


def pose_leakage(reads: Sequence[Read], aus: tuple[int, ...]) -> dict[str, Any]:
    """See ``pose_within_clips``."""
    return pose_within_clips([Calm(one.store, one.values, _calm(one, aus)) for one in reads], aus)


def by_group(reads: Sequence[Read], aus: tuple[int, ...], table: GroupTable) -> dict[str, dict[str, dict[str, Any]]]:
    """Division -> group of ``FEW`` faces or more -> faces, mean reading at rest, mean PCC with the teacher over photos
    (None if no AU has any), and, where they are rated, what ``against_ratings_by_group`` tells."""
    values = np.concatenate([one.values for one in reads])
    taught, calm = (
        np.concatenate(parts) for parts in zip(*[(_taught(one), _calm(one, aus)) for one in reads], strict=True)
    )
    divided = divisions([Source.whole(one.store) for one in reads], table)
    rated: dict[str, dict[str, dict[str, Any]]] = {}
    if reads[0].rated is not None:
        people = np.concatenate([one.store.subjects for one in reads])
        rated = against_ratings_by_group(values, _ratings(reads), people, divided, aus)
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for division, groups in divided.items():
        result[division] = {}
        for group in np.unique(groups).tolist():
            chosen = groups == group
            if group and chosen.sum() >= FEW:
                told = rated.get(division, {}).get(group, {})
                result[division][group] = _describe(values[chosen], taught[chosen], calm[chosen], aus) | told
    return result


def _describe(values: Float32, taught: Float32, calm: NDArray[np.bool_], aus: tuple[int, ...]) -> dict[str, Any]:
    rest, scores = {}, []
    for j, au in enumerate(aus):
        resting = values[calm[:, j], j]
        if len(resting) >= FEW:
            rest[au_label(au)] = rounded(resting.mean(), 2)
        if au in CLEAR:
            scores.append(pcc(values[:, j], stand_in(taught, au)))
    return {"faces": len(values), "pcc_with_teacher": rounded(float(mean_known(np.array(scores))), 2), "at_rest": rest}


def _picture(path: Path) -> UInt8:
    image = read_photo(path)
    if image is None:
        raise InputError(f"picture {path} cannot be read; name another with --stills")
    return image


def flicker(model: str | Path | None, pictures: Sequence[UInt8]) -> dict[str, Any]:
    """Each BGR picture for two seconds with fresh noise in every frame, through the engine with its own smoothing."""
    rng = np.random.default_rng(0)
    spreads, steps = [], []
    with Engine(model, device="cpu") as engine:
        for image in pictures:
            engine.reset()
            values = []
            for number in range(1, STILL_FRAMES + 1):
                noisy = (image + rng.normal(0, GRAIN, image.shape)).clip(0, 255).astype(np.uint8)
                frame = engine.process(FramePacket(noisy, number, (number - 1) / STILL_RATE, 0.0))
                if frame.faces:
                    values.append(frame.faces[0].result.intensity)
            if len(values) == STILL_FRAMES:
                settled = np.stack(values)[STILL_FRAMES // 4 :]
                spreads.append(settled.std(axis=0))
                steps.append(np.abs(np.diff(settled, axis=0)).mean(axis=0))
    if not spreads:
        raise InputError("no face was found in the pictures for the flicker test; name others with --stills")
    spread, step = np.mean(spreads, axis=0), np.mean(steps, axis=0)
    return {
        "pictures": len(spreads),
        "mean_spread": rounded(spread.mean(), 4),
        "mean_step": rounded(step.mean(), 4),
        "noise_floor": {au_label(au): rounded(2 * value, 4) for au, value in zip(engine.aus, spread, strict=True)},
    }


def lean(model: str | Path | None, pictures: Sequence[UInt8]) -> dict[str, Any]:
    """AU -> half the sum of left - right of a picture and of its mirror image, 0 where it is the face that is crooked;
    more: the subject's left reads more than its right does. over_all: the mean over all pictures; where_shown: over
    those that read 1 or more both ways, if they are ``FEW``, and shown: how many they are."""
    leans, reads = [], []
    with Engine(model, device="cpu", tracking=False) as engine:
        for image in pictures:
            both = [_photo(engine, one) for one in (image, np.ascontiguousarray(image[:, ::-1]))]
            sides = [face.sides for face in both if face is not None and face.sides is not None]
            if len(sides) == len(both):
                leans.append(np.mean([one[:, 0] - one[:, 1] for one in sides], axis=0))
                reads.append(np.min([one.mean(axis=1) for one in sides], axis=0))
        aus = engine.aus
    if not leans:
        return {}
    leaning, read = np.stack(leans), np.stack(reads)
    result = {}
    for j, au in enumerate(aus):
        shown = read[:, j] >= 1
        where_shown = rounded(leaning[shown, j].mean(), 3) if shown.sum() >= FEW else None
        result[au_label(au)] = {
            "over_all": rounded(leaning[:, j].mean(), 3),
            "where_shown": where_shown,
            "shown": int(shown.sum()),
        }
    return result


def _photo(engine: Engine, image: UInt8) -> AUPrediction | None:
    """Of the largest face."""
    faces = engine.process(FramePacket(image, 1, 0.0, 0.0, still=True)).faces
    return faces[0].prediction if faces else None


def write(result: dict[str, Any], out: Path) -> Path:
    """audit.json and audit.md in ``out``; returns the latter."""
    from rtatl_core.evaluation.audit_text import markdown

    out.mkdir(parents=True, exist_ok=True)
    replace_file(out / "audit.json", json.dumps(result, indent=1) + "\n")
    replace_file(out / "audit.md", markdown(result))
    return out / "audit.md"
