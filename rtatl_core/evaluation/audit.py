"""A model on real faces that nobody coded: what can be said of it all the same.

Enters: a model, prepared clips and photos with teacher values (``rtatl prepare videos|photos --teacher``), perhaps a
table of who is who, perhaps one of AUs that raters saw on them (``rtatl_core/datasets/ratings.py``), perhaps
pictures for the flicker test. Leaves: numbers, as JSON and as tables.

- agreement: PCC with MediaPipe's blendshapes within clips, where they move. A model that they taught agrees more.
- resting: what faces at rest read. 1 (FACS A) or more is a false alarm.
- clear: what faces read on which the teacher finds an AU clearly shown.
- apex: the highest that each such expression reads within a clip, smoothed as live.
- ratings: whether photos and frames read 1 (FACS A) or more where raters saw the AU, and do not where they saw none.
- pose: PCC of each AU with yaw and pitch over faces at rest, each clip about its own mean, so that it is the head's
  turning that counts and not who is seen from where; an AU must not follow the head.
- flicker: a picture repeated with a camera's noise, through the whole engine with its smoothing.
- groups: agreement over photos and readings at rest by skin tone (individual typology angle of the cheeks: Chardon et
  al. 1991), head turn, and the columns of the table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.augment import centre_crop
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.codings.table import read_rows
from rtatl_core.datasets.protocols import require_apart
from rtatl_core.datasets.ratings import Ratings, read_ratings
from rtatl_core.datasets.split import names_of
from rtatl_core.datasets.teacher import CLEAR, at_rest, clearly_shown, stand_in
from rtatl_core.engine import Engine
from rtatl_core.errors import InputError, RecipeError
from rtatl_core.evaluation.agreement import clip_agreement
from rtatl_core.evaluation.bootstrap import mean_known
from rtatl_core.evaluation.metrics import pcc, rounded
from rtatl_core.evaluation.rated import FEW, against_ratings
from rtatl_core.evaluation.readings import in_time, read_store
from rtatl_core.facs import au_label
from rtatl_core.handoffs import AUPrediction, Float32, Float64, FramePacket, UInt8
from rtatl_core.photos import read_photo
from rtatl_core.temporal import SMOOTHING_S, Smoother
from rtatl_core.weights import load_model

FEW_EVENTS = 5
LAGS = 3
"""Frames after a stretch that still belong to it, because smoothing lags."""
TONES = ((28.0, "light"), (10.0, "medium"), (-180.0, "dark"))
"""From which individual typology angle on a skin is called so."""
YAW_BINS = ((10.0, "frontal"), (25.0, "turned"), (180.0, "far turned"))
GRAIN, STILL_FRAMES, STILL_RATE = 3.0, 60, 30.0
"""Grey levels of camera noise, frames and frames per second of the flicker test."""
_CHEEKS = (50, 280)
"""Mesh points in the middle of the cheeks."""


@dataclass(frozen=True, slots=True)
class Read:
    """What the model says of a store's faces, 0-5."""

    store: ChipStore
    values: Float32


def audit(
    model: str | Path | None,
    clips: Sequence[Path],
    photos: Sequence[Path],
    *,
    groups: Path | None = None,
    ratings: Path | None = None,
    stills: Sequence[Path] = (),
) -> dict[str, Any]:
    """All measures that the material allows. Raises RecipeError for folders without teacher values or with faces that
    the model was trained on or calibrated by, InputError when there is nothing to measure on."""
    if not clips and not photos:
        raise InputError("nothing to measure on; name prepared folders with --clips or --photos")
    loaded = load_model(model)
    rated = read_ratings(ratings) if ratings is not None else None
    training = loaded.facts.get("training", {})

    def read(folder: Path) -> Read:
        store = ChipStore.open(folder)
        if store.teacher is None:
            raise RecipeError(f"{folder} has no teacher values; prepare it with --teacher face_landmarker.task")
        everybody = names_of(store, np.arange(len(store)))
        for key, name in (("subjects", "training"), ("judged_by", "calibration")):
            trained = f"in the {name} of {loaded.name}"
            require_apart(training.get(key, []), everybody, trained=trained, tested=f"in {folder}")
        return Read(store, read_store(loaded.network, loaded.calibration, store)[0])

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
        result["against_ratings"] = by_raters(everything, loaded.aus, rated)
    if still:
        table = _table(groups)
        if table and not any(table.keys() & set(one.store.subjects.tolist()) for one in still):
            raise InputError(f"{groups} names none of the photos; its first column must hold their file names")
        result["groups"] = by_group(still, loaded.aus, table)
    if stills:
        result["flicker"] = flicker(model, stills)
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


def _calm(one: Read, au: int | None = None) -> NDArray[np.bool_]:
    return at_rest(_taught(one), au)


def resting(reads: Sequence[Read], aus: tuple[int, ...]) -> dict[str, Any]:
    """AU -> on faces at rest there: median, share from .5 and from 1 on."""
    result = {}
    for j, au in enumerate(aus):
        values = np.concatenate([one.values[_calm(one, au), j] for one in reads])
        if len(values) >= FEW:
            shares = {"from_half": rounded((values >= 0.5).mean(), 2), "from_one": rounded((values >= 1).mean(), 2)}
            result[au_label(au)] = {"median": rounded(np.median(values), 2), **shares, "faces": len(values)}
    return result


def clear(reads: Sequence[Read], aus: tuple[int, ...]) -> dict[str, Any]:
    """AU -> quartiles of what faces read on which the teacher sees it clearly."""
    result = {}
    for au in CLEAR:
        if au not in aus:
            continue
        values = np.concatenate([one.values[clearly_shown(_taught(one), au), aus.index(au)] for one in reads])
        if len(values) >= FEW:
            quartiles = [rounded(quartile, 2) for quartile in np.percentile(values, (25, 50, 75))]
            result[au_label(au)] = {"quartiles": quartiles, "faces": len(values)}
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


def by_raters(reads: Sequence[Read], aus: tuple[int, ...], ratings: Ratings) -> dict[str, Any]:
    """``against_ratings`` of all photos and frames. Raises RecipeError when too little is rated to judge any AU."""
    result = against_ratings(
        np.concatenate([one.values for one in reads]),
        np.concatenate([ratings.take(one.store.images, aus) for one in reads]),
        np.concatenate([one.store.subjects for one in reads]),
        aus,
    )
    if not result:
        raise RecipeError(
            f"the ratings tell of no AU that {FEW} of these photos and frames lack it; check the names in their first "
            "column, and that absent AUs are rated 0"
        )
    return result


def pose_leakage(reads: Sequence[Read], aus: tuple[int, ...]) -> dict[str, Any]:
    """AU -> PCC with yaw, |yaw| and pitch over faces at rest, each clip and all stills about their own mean."""
    result = {}
    for j, au in enumerate(aus):
        table = np.concatenate([_about_clips(one, _calm(one, au), j) for one in reads])
        if len(table) >= FEW and table[:, 0].std() > 1e-6:
            angles = zip(("yaw", "abs_yaw", "pitch"), table.T[1:], strict=True)
            result[au_label(au)] = {name: rounded(pcc(table[:, 0], angle), 2) for name, angle in angles}
    return result


def _about_clips(one: Read, rows: NDArray[np.bool_], column: int) -> Float32:
    """(n, 4) value, yaw, |yaw|, pitch of the rows, less their mean in the same clip."""
    store = one.store
    table: Float32 = np.stack([one.values[:, column], store.yaw, np.abs(store.yaw), store.pitch], axis=1)[rows]
    for clip in np.unique(store.clips[rows]):
        mine = store.clips[rows] == clip
        table[mine] -= table[mine].mean(axis=0)
    return table


def by_group(reads: Sequence[Read], aus: tuple[int, ...], table: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Division -> group -> faces, mean reading at rest, mean PCC with the teacher over photos (None if no
    AU has any)."""
    divisions: dict[str, list[NDArray[np.str_]]] = {"skin tone": [], "head turn": []}
    names = sorted({column for row in table.values() for column in row})
    for one in reads:
        divisions["skin tone"].append(np.array([_tone(one.store, row) for row in range(len(one.store))]))
        divisions["head turn"].append(np.array([_bin(abs(float(yaw)), YAW_BINS) for yaw in one.store.yaw]))
        for name in names:
            groups = [table.get(str(subject), {}).get(name, "") for subject in one.store.subjects]
            divisions.setdefault(name, []).append(np.array(groups))
    return {
        name: {
            str(group): described
            for group in np.unique(np.concatenate(parts))
            if group and (described := _describe(reads, aus, [part == group for part in parts]))
        }
        for name, parts in divisions.items()
    }


def _describe(reads: Sequence[Read], aus: tuple[int, ...], chosen: Sequence[NDArray[np.bool_]]) -> dict[str, Any]:
    count = int(sum(rows.sum() for rows in chosen))
    if count < FEW:
        return {}
    rest, scores = {}, []
    for j, au in enumerate(aus):
        pairs = list(zip(reads, chosen, strict=True))
        calm = np.concatenate([one.values[rows & _calm(one, au), j] for one, rows in pairs])
        if len(calm) >= FEW:
            rest[au_label(au)] = rounded(calm.mean(), 2)
        if au in CLEAR:
            truth = np.concatenate([stand_in(_taught(one)[rows], au) for one, rows in pairs])
            readings = np.concatenate([one.values[rows, j] for one, rows in pairs])
            scores.append(pcc(readings, truth))
    return {"faces": count, "pcc_with_teacher": rounded(float(mean_known(np.array(scores))), 2), "at_rest": rest}


def typology_angle(pixels: UInt8) -> float:
    """(n, 3) RGB of skin -> individual typology angle in degrees: arctan((L* - 50) / b*); light skins are positive."""
    lab = cv2.cvtColor((pixels.reshape(1, -1, 3) / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    lightness, yellow = np.median(lab[:, 0]), np.median(lab[:, 2])
    return float(np.degrees(np.arctan2(lightness - 50, max(float(yellow), 1.0))))


def _tone(store: ChipStore, row: int) -> str:
    chip = centre_crop(store.chips[row], store.layout)
    side, reach = store.layout.side, max(2, store.layout.side // 28)
    patches = []
    for point in _CHEEKS:
        x, y = (store.landmarks[row][point].astype(np.float32) * side).astype(int).clip(reach, side - reach - 1)
        patches.append(chip[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3))
    angle = typology_angle(np.concatenate(patches))
    return next(name for least, name in TONES if angle >= least)


def _bin(value: float, bins: Sequence[tuple[float, str]]) -> str:
    return next(name for most, name in bins if value <= most)


def flicker(model: str | Path | None, pictures: Sequence[Path]) -> dict[str, Any]:
    """Each picture for two seconds with fresh noise in every frame, through the engine with its own smoothing."""
    engine = Engine(model, device="cpu")
    rng = np.random.default_rng(0)
    spreads, steps = [], []
    try:
        for path in pictures:
            image = read_photo(path)
            if image is None:
                raise InputError(f"picture {path} cannot be read")
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
    finally:
        engine.close()
    if not spreads:
        raise InputError("no face was found in the pictures for the flicker test; name others with --stills")
    spread, step = np.mean(spreads, axis=0), np.mean(steps, axis=0)
    return {
        "pictures": len(spreads),
        "mean_spread": rounded(spread.mean(), 4),
        "mean_step": rounded(step.mean(), 4),
        "noise_floor": {au_label(au): rounded(2 * value, 4) for au, value in zip(engine.aus, spread, strict=True)},
    }


def _table(path: Path | None) -> dict[str, dict[str, str]]:
    """First column (a file's name) -> the other columns."""
    if path is None:
        return {}
    rows = [row.cells for row in read_rows(path)]
    if len(rows) < 2:
        raise InputError(f"{path} is no table of photos; it needs a heading, then the file's name and its groups")
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=False)) for row in rows[1:]}


def write(result: dict[str, Any], out: Path) -> Path:
    """audit.json and audit.md in ``out``; returns the latter."""
    from rtatl_core.evaluation.audit_text import markdown

    out.mkdir(parents=True, exist_ok=True)
    (out / "audit.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "audit.md").write_text(markdown(result), encoding="utf-8")
    return out / "audit.md"
