"""Which faces train, validate, test, calibrate and judge: nobody is on two sides."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.config import DataConfig
from rtatl_core.datasets.protocols import test_subjects as subjects_of
from rtatl_core.datasets.split import only_aus, split
from rtatl_core.errors import RecipeError
from tests.core.stores import AUS, write_clips, write_labelled


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_labelled(folder / "labelled", people=12)
    write_clips(folder / "clips", name="s")  # the clips' subjects are called as some of the labelled ones
    return folder


def test_training_validation_and_test_share_nobody(folders: Path) -> None:
    config = DataConfig(
        labelled=(str(folders / "labelled"),),
        unlabelled=(str(folders / "clips"),),
        protocol="subjects:3",
        fold=2,
        held_out=0.2,
        label_share=0.25,
    )
    data = split(config, seed=0)
    assert data.labelled is not None
    assert data.validation is not None
    store = data.labelled.store
    sides = [
        set(store.subjects[data.labelled.rows]) | {s for u in data.unlabelled for s in u.store.subjects[u.rows]},
        set(store.subjects[data.validation.rows]),
        set(data.test),
    ]
    assert sum(len(side) for side in sides) == len(set.union(*sides)) == 12
    assert set(data.subjects) == sides[0]
    pool = len(data.labelled.rows) + len(data.unlabelled[0].rows)
    assert len(data.labelled.rows) == round(pool * 0.25)
    assert not np.isin(data.labelled.rows, data.unlabelled[0].rows).any()
    assert all(not source.labels for source in data.unlabelled)
    again = split(config, seed=1)
    assert again.labelled is not None
    assert set(again.labelled.rows) != set(data.labelled.rows)


def test_chosen_aus_and_uncoded_ones(folders: Path) -> None:
    data = split(DataConfig(labelled=(str(folders / "labelled"),), aus=(25, 1)), seed=0)
    assert data.aus == (25, 1)
    assert data.labelled is not None
    assert data.labelled.store.intensity is not None
    assert np.isnan(data.labelled.store.intensity[:, 1]).all()
    assert np.isfinite(data.labelled.store.intensity[data.labelled.rows, 0]).all()  # faces without AU25 are left out
    with pytest.raises(RecipeError, match=r"codes none of data.aus; it codes AU12, AU25"):
        split(DataConfig(labelled=(str(folders / "labelled"),), aus=(1, 2)), seed=0)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (DataConfig(), "names no data"),
        (DataConfig(unlabelled=("clips",)), "must say whose regions to use; fill data.aus"),
        (DataConfig(unlabelled=("clips",), aus=(12,), protocol="disfa"), "needs data.labelled"),
        (DataConfig(labelled=("labelled",), label_share=0), "write a share over 0"),
        (DataConfig(labelled=("clips",)), "has no AU codes"),
        (DataConfig(labelled=("labelled", "clips")), "differ in aus"),
        (DataConfig(labelled=("labelled",), unlabelled=("clips",), repeat=(1, 2)), r"for each of the 1 folders"),
        (DataConfig(labelled=("labelled",), unlabelled=("clips",), repeat=(0,)), r"repeat is \[0\]; write a number"),
        (DataConfig(unlabelled=("clips",), aus=(12,), ratings="rated.csv"), "ratings teach AUs beside data.labelled"),
    ],
)
def test_mistakes_are_named(folders: Path, config: DataConfig, sentence: str) -> None:
    labelled, unlabelled = ([str(folders / name) for name in names] for names in (config.labelled, config.unlabelled))
    with pytest.raises(RecipeError, match=sentence):
        split(replace(config, labelled=tuple(labelled), unlabelled=tuple(unlabelled)), seed=0)


def test_ratings_reach_the_faces_that_they_name(folders: Path, tmp_path: Path) -> None:
    strangers = write_clips(tmp_path / "strangers", name="t")
    table = tmp_path / "rated.csv"
    table.write_text("image,AU12,AU04\nstranger,3,1\nsomebody,2,2\n")
    config = DataConfig(
        labelled=(str(folders / "labelled"),),
        unlabelled=(str(folders / "clips"),),
        calibration=(str(strangers),),
        ratings=str(table),
        repeat=(3,),
    )
    with pytest.raises(RecipeError, match="no teacher values"):
        split(config, seed=0)
    told = write_clips(tmp_path / "told", name="t", teacher=True)
    config = replace(config, calibration=(str(told),))
    with pytest.raises(RecipeError, match="rates nothing of"):
        split(config, seed=0)
    index = told / "parts" / "all" / "index.csv"
    index.write_text(index.read_text().replace("\n3,", "\nstranger,", 1))
    data = split(config, seed=0)
    (calibrating,) = data.calibration
    assert calibrating.rated is not None
    shown = calibrating.images == "stranger"
    np.testing.assert_array_equal(calibrating.rated[shown], [[3, np.nan]])  # of AU12 and AU25
    assert np.isnan(calibrating.rated[~shown]).all()
    assert data.unlabelled[0].store.rated is not None
    assert np.isnan(data.unlabelled[0].store.rated).all()
    assert data.unlabelled[0].repeat == 3
    assert data.validation is not None
    validating = data.validation.store.subjects[data.validation.rows].tolist()
    assert set(data.judges) == {"t0", "t1", *validating}
    table.write_text("image,AU12\n5,2\n")
    with pytest.raises(RecipeError, match=r"5 of the ratings is in .*clips and in .*told; rename one"):
        split(config, seed=0)


def test_without_codes_people_are_held_out_too(folders: Path) -> None:
    data = split(DataConfig(unlabelled=(str(folders / "clips"),), aus=(12,), held_out=0.5), seed=0)
    assert data.labelled is None
    assert data.validation is not None
    kept = set(data.validation.store.subjects[data.validation.rows])
    assert kept
    assert not kept & set(data.subjects)
    assert kept == set(data.judges)


def test_a_video_is_the_same_with_and_without_its_codes(folders: Path, tmp_path: Path) -> None:
    """`prepare coded` calls the person by the name of the file, `prepare videos` by the whole file name."""
    index = folders / "labelled" / "parts" / "all" / "index.csv"
    coded = tmp_path / "coded"
    shutil.copytree(folders / "labelled", coded)
    names = [f"s{k}" for k in range(12)]
    lines = index.read_text().splitlines()
    head = lines[0].split(",")
    cells = [line.split(",") for line in lines[1:]]
    for row in cells:
        row[head.index("clip")] = f"{row[head.index('subject')]}.mp4"
    (coded / "parts" / "all" / "index.csv").write_text("\n".join([lines[0], *map(",".join, cells)]) + "\n")
    plain = write_clips(tmp_path / "plain", name="v", clips=12)
    table = plain / "parts" / "all" / "index.csv"
    text = table.read_text()
    for k in reversed(range(12)):
        text = text.replace(f",v{k},", f",s{k}.mp4,")
    table.write_text(text)
    data = split(
        DataConfig(labelled=(str(coded),), unlabelled=(str(plain),), protocol="subjects:3", fold=1, held_out=0.3),
        seed=0,
    )
    assert data.validation is not None
    apart = {*subjects_of("subjects:3", 1, names), *data.validation.store.subjects[data.validation.rows]}
    assert len(apart) > 5
    (source,) = data.unlabelled
    assert set(source.store.subjects[source.rows]) == {f"{name}.mp4" for name in set(names) - apart}
    assert {f"{name}.mp4" for name in subjects_of("subjects:3", 1, names)} < data.test


def renamed(folder: Path, names: Mapping[str, str]) -> Path:
    """Its subjects, and their clips, under other names; what has a folder in its name is a photo, of no clip."""
    index = folder / "parts" / "all" / "index.csv"
    head, *lines = (line.split(",") for line in index.read_text().splitlines())
    for row in lines:
        subject, clip = head.index("subject"), head.index("clip")
        row[subject] = names.get(row[subject], row[subject])
        row[clip] = "" if "/" in row[subject] else names.get(row[clip], row[clip])
    index.write_text("\n".join(map(",".join, [head, *lines])) + "\n")
    return folder


@pytest.mark.parametrize(
    ("protocol", "people", "called"),
    [
        ("disfa", ["SN001", "SN002", "SN006", "SN011", "SN003", "SN004"], "LeftCamera--LeftVideo{}_comp.avi"),
        ("bp4d", ["F001", "M001", "F003", "M002", "F004", "M003"], "{}/T1/0100.jpg"),
    ],
)
def test_uncoded_faces_of_the_test_fold_are_known_by_their_file_names(
    tmp_path: Path, protocol: str, people: list[str], called: str
) -> None:
    coded = renamed(write_labelled(tmp_path / "coded", people=6), {f"s{k}": name for k, name in enumerate(people)})
    more = [*people, "SN009" if protocol == "disfa" else "F002"]  # tested by fold 1, too, and not coded here
    names = {f"v{k}": called.format(name) for k, name in enumerate(more)}
    plain = renamed(write_clips(tmp_path / "plain", clips=7, name="v"), names)
    config = DataConfig(labelled=(str(coded),), unlabelled=(str(plain),), aus=AUS, protocol=protocol, fold=1)
    data = split(config, seed=0)
    assert data.validation is not None
    (held,) = np.unique(data.validation.store.subjects[data.validation.rows]).tolist()
    training = set(people[2:]) - {held}
    (source,) = data.unlabelled
    assert set(source.store.subjects[source.rows]) == {called.format(name) for name in training}
    assert training <= set(data.subjects)
    assert not {held, *people[:2]} & set(data.subjects)
    one = next(iter(training))
    judge = renamed(write_clips(tmp_path / "judge", clips=1, name="v", teacher=True), {"v0": called.format(one)})
    judged = split(replace(config, selection=str(judge)), seed=0)
    assert one in judged.judges
    assert one not in judged.subjects
    assert called.format(one) not in judged.subjects


def test_the_other_camera_shows_the_same_person(tmp_path: Path) -> None:
    """Uncoded on both sides."""
    left = renamed(write_clips(tmp_path / "left", name="v"), {"v0": "LeftVideoSN001_comp.avi"})
    right = renamed(write_clips(tmp_path / "right", name="w", teacher=True), {"w0": "RightVideoSN001_comp.avi"})
    coded = str(write_labelled(tmp_path / "coded"))
    for judging in ("selection", "aside"):
        data = split(DataConfig(labelled=(coded,), unlabelled=(str(left),), **{judging: str(right)}), seed=0)
        assert set(data.unlabelled[-1].store.subjects[data.unlabelled[-1].rows]) == {"v1"}


def test_a_training_set_without_anybody_is_refused(folders: Path, tmp_path: Path) -> None:
    judge = write_clips(tmp_path / "judge", name="s", teacher=True)
    config = DataConfig(unlabelled=(str(folders / "clips"),), aus=(12,), selection=str(judge))
    with pytest.raises(RecipeError, match=r"nobody is left to train on: everybody in data\.unlabelled is in"):
        split(config, seed=0)


def test_who_was_trained_on_before_does_not_validate(folders: Path) -> None:
    config = DataConfig(labelled=(str(folders / "labelled"),), held_out=0.2)
    first = split(config, seed=0).validation
    assert first is not None
    known = frozenset(first.store.subjects[first.rows].tolist())
    data = split(config, seed=0, known=known)
    assert data.validation is not None
    assert not known & set(data.validation.store.subjects[data.validation.rows])
    assert known <= set(data.subjects)
    everybody = frozenset(first.store.subjects.tolist())
    with pytest.raises(RecipeError, match=r"in the training of optim\.init already.*code another person, or leave"):
        split(config, seed=0, known=everybody)
    uncoded = DataConfig(unlabelled=(str(folders / "clips"),), aus=(12,), held_out=0.5)
    assert split(uncoded, seed=0, known=frozenset({"s0", "s1"})).validation is None
    kept = split(uncoded, seed=0, known=frozenset({"s0"})).validation
    assert kept is not None
    assert set(kept.store.subjects[kept.rows]) == {"s1"}


def test_who_judges_is_not_trained_on_with_codes_or_without(folders: Path, tmp_path: Path) -> None:
    judge = write_clips(tmp_path / "judge", name="s", teacher=True)  # s0 and s1, who are coded too
    data = split(DataConfig(labelled=(str(folders / "labelled"),), selection=str(judge)), seed=0)
    assert {"s0", "s1"} <= set(data.judges)
    assert not {"s0", "s1"} & set(data.subjects)
    more = write_clips(tmp_path / "more", name="s", clips=4)
    data = split(DataConfig(unlabelled=(str(more),), aus=(12,), selection=str(judge), held_out=0.5), seed=0)
    assert len(data.subjects) == 1
    assert not {"s0", "s1"} & set(data.subjects)


def test_an_au_without_codes_in_the_training_set_is_named(folders: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    shutil.copytree(folders / "labelled", few)
    part = few / "parts" / "all"
    for name in ("intensity", "occurrence"):
        values = np.load(part / f"{name}.npy")
        values[:, 1] = np.nan
        np.save(part / f"{name}.npy", values)
    config = DataConfig(labelled=(str(few),))
    with pytest.raises(RecipeError, match=r"few: nobody who trains has codes of AU25; .* data.aus = \[12\]"):
        split(config, seed=0)
    assert split(replace(config, aus=(12, 25)), seed=0).aus == (12, 25), "asked for by name: other data may teach it"


def test_chips_of_one_size_everywhere(folders: Path, tmp_path: Path) -> None:
    small = write_clips(tmp_path / "small", name="q", teacher=True)
    meta = json.loads((small / "meta.json").read_text())
    meta["layout"]["side"] = 64
    (small / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(RecipeError, match=r"small has chips of 64 px, .*labelled of 144"):
        split(DataConfig(labelled=(str(folders / "labelled"),), selection=str(small)), seed=0)


def test_rendered_faces_are_nobody_s(tmp_path: Path) -> None:
    write_labelled(tmp_path / "people", prefix="p")
    made = write_labelled(tmp_path / "made", prefix="m")
    meta = json.loads((made / "meta.json").read_text())
    (made / "meta.json").write_text(json.dumps(meta | {"origin": {"kind": "synthetic"}}))
    labelled = (str(tmp_path / "people"), str(made))
    names = split(DataConfig(labelled=labelled, held_out=0.2), 0).subjects
    assert names
    assert all(name.startswith("p") for name in names)


def test_sides_go_with_their_au_and_are_unknown_where_a_folder_tells_none(tmp_path: Path) -> None:
    told = write_labelled(tmp_path / "told", count=6, people=3, sides=True)
    untold = write_labelled(tmp_path / "untold", count=6, people=3, prefix="u")
    store = ChipStore.open(told, untold)
    assert store.intensity is not None
    assert store.sides is not None
    np.testing.assert_allclose(store.sides[:6].mean(axis=2), store.intensity[:6], atol=0.01)
    assert np.isnan(store.sides[6:]).all()
    assert ChipStore.open(untold).sides is None
    swapped = only_aus(store, (25, 12, 1))
    assert swapped.sides is not None
    np.testing.assert_array_equal(swapped.sides[:, 1], store.sides[:, 0])
    assert np.isnan(swapped.sides[:, 2]).all()


def test_who_trains_and_calibrates_is_left_out_of_one_run(folders: Path, tmp_path: Path) -> None:
    one, two = (str(write_clips(tmp_path / name, teacher=True, name=name)) for name in "ab")
    plain = str(folders / "clips")
    config = DataConfig(
        labelled=(str(folders / "labelled"),),
        unlabelled=(plain, one, two),
        repeat=(1, 2, 3),
        calibration=(one, two),
    )
    data = split(config, seed=0)
    assert [source.store.folder for source in data.unlabelled] == [Path(plain), Path(one), Path(two)]
    assert data.crossed == {Path(one), Path(two)}
    assert not data.calibration
    assert {"a0", "b0"} <= set(data.subjects)
    assert not {"a0", "b0"} & set(data.judges), "whoever trains is refused for that already"
    apart = config.without(one)
    assert (apart.unlabelled, apart.repeat, apart.calibration) == ((plain, two), (1, 3), (one,))
    data = split(apart, seed=0)
    assert not data.crossed
    assert [store.folder for store in data.calibration] == [Path(one)]
    assert not {"a0", "a1"} & set(data.subjects)
    assert {"a0", "a1"} <= set(data.judges)
    assert replace(config, calibration=(f"{one}/", str(Path(two) / ".." / "b"))).crossed == (one, two)
    both = replace(config, unlabelled=(plain, one), repeat=(), calibration=(one, two))
    assert (both.crossed, both.strangers) == ((one,), (two,))
    assert both.without(one).calibration == (two, one), "whoever is a stranger to all is one here too"
    with pytest.raises(RecipeError, match="no teacher values"):
        split(replace(config, calibration=(plain,)), seed=0)
    with pytest.raises(ValueError, match=r"names the only folder of data.unlabelled"):
        DataConfig(unlabelled=(one,), calibration=(one,))
