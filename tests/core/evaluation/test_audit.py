"""What can be said of a model on real faces that nobody coded."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rtatl_core.assets import asset
from rtatl_core.calibration import Calibration
from rtatl_core.cli import main
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.ratings import read_ratings
from rtatl_core.datasets.teacher import TEACHER_SHAPES
from rtatl_core.errors import InputError, RecipeError
from rtatl_core.evaluation import audit as auditing
from rtatl_core.evaluation import audit_text
from rtatl_core.evaluation.audit import (
    Read,
    agreement,
    apex,
    by_group,
    by_raters,
    clear,
    pose_leakage,
    resting,
)
from rtatl_core.evaluation.metrics import pcc, rounded
from rtatl_core.evaluation.pose import largest, pose_where_absent
from rtatl_core.evaluation.rated import against_ratings_by_group
from rtatl_core.handoffs import AUPrediction, FramePacket
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.video import VideoReader
from rtatl_core.weights import save_model
from tests.core.stores import write_clips, write_labelled

AUS = (1, 12, 43)
COLUMNS = list(TEACHER_SHAPES)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """60 faces of five clips; AU12 follows its blendshape, AU1 follows the head, AU43 says nothing."""
    rng = np.random.default_rng(0)
    store = ChipStore.open(write_clips(tmp_path, clips=5))
    teacher = np.zeros((60, len(COLUMNS)), np.float32)
    smile = np.where(np.arange(60) % 2, 0.9, 0.0) * rng.uniform(0.8, 1, 60)
    teacher[:, COLUMNS.index(12)] = smile
    yaw = rng.normal(0, 15, 60).astype(np.float32)
    store = dataclasses.replace(store, teacher=teacher, yaw=yaw, pitch=rng.normal(0, 5, 60).astype(np.float32))
    values = np.stack([1 + 0.05 * yaw, 5 * smile, np.full(60, 0.2)], axis=1).astype(np.float32)
    return Read(store, values)


def test_agreement_is_within_clips(read: Read) -> None:
    found = agreement([read], AUS)
    assert found == {"AU12": {"pcc": 1.0, "clips": 5}}


def test_what_a_smile_hides_is_not_judged_while_it_lasts(tmp_path: Path) -> None:
    """The blendshape of AU10 rises with every broad smile, so only the frames without one count."""
    store = ChipStore.open(write_clips(tmp_path, clips=3))
    half = np.arange(36) % 2
    lifted = np.random.default_rng(0).uniform(0, 0.5, 36)
    teacher = np.zeros((36, len(COLUMNS)), np.float32)
    teacher[:, COLUMNS.index(12)] = 0.9 * half
    teacher[:, COLUMNS.index(10)] = np.where(half, 0.8, lifted)
    store = dataclasses.replace(store, teacher=teacher, clips=np.full(36, "one"))
    one = Read(store, np.where(half, 0, 5 * lifted)[:, None].astype(np.float32))
    assert agreement([one], (10,)) == {"AU10": {"pcc": 1.0, "clips": 1}}


def test_resting_faces_and_false_alarms(read: Read) -> None:
    found = resting([read], AUS)
    assert found["AU12"]["faces"] == 30  # those without a smile
    assert found["AU12"]["from_half"] == 0
    assert found["AU01"]["faces"] == 60  # a smile does not move the brows
    assert found["AU01"]["from_one"] == pytest.approx((read.values[:, 0] >= 1).mean(), abs=0.01)


def test_a_face_on_which_raters_saw_an_au_does_not_rest_there(read: Read) -> None:
    """Blendshapes call all 60 at rest on the brows; raters saw AU1 on 20, could not tell on 10, and saw no AU43."""
    rated = np.full((60, 3), np.nan, np.float32)
    rated[:20, 0], rated[30:, 0], rated[:, 2] = 1.5, 0, 0
    seen = dataclasses.replace(read, rated=rated)
    found = resting([seen], AUS)
    assert [found[au]["faces"] for au in ("AU01", "AU12", "AU43")] == [40, 30, 60]
    names = {str(name): {"age": "old"} for name in np.unique(read.store.subjects)}
    assert by_group([seen], AUS, names)["age"]["old"]["at_rest"]["AU01"] == rounded(read.values[20:, 0].mean(), 2)
    turned = pose_leakage([dataclasses.replace(seen, values=np.where(rated > 0, 3, read.values))], AUS)
    assert turned["AU01"]["yaw"] == pytest.approx(1), "what is shown is no leakage"


def test_clear_expressions(read: Read) -> None:
    assert clear([read], AUS)["AU12"]["quartiles"][1] == pytest.approx(np.median(read.values[1::2, 1]), abs=0.01)
    assert "AU43" not in clear([read], AUS)  # never shown
    rated = np.full((60, 3), np.nan, np.float32)
    rated[1:12:2, 1], rated[:12:2, 1] = 2.5, 0  # of 30 smiles six, and as many faces without
    found = clear([dataclasses.replace(read, rated=rated)], AUS)["AU12"]
    assert (found["faces"], found["rated"], found["rated_faces"]) == (30, 2.5, 6)
    assert "rated" not in clear([dataclasses.replace(read, rated=np.full_like(rated, np.nan))], AUS)["AU12"]


def test_what_people_saw(read: Read, tmp_path: Path) -> None:
    """AU12 reads as it was rated but on one face, AU1 says nothing of what was seen, AU43 was hardly ever seen."""
    ratings = tmp_path / "rated.csv"
    smiles = read.values[:, 1] > 0
    rows = [f"p{k},{k % 2},{3 * smiles[k]},{4 * (k == 7)}" for k in range(58)] + ["p58,,0.5,", "nobody,1,1,1"]
    ratings.write_text("\n".join(["image,AU01,AU12,AU43", *rows]))
    store = dataclasses.replace(read.store, images=np.array([f"p{k}" for k in range(60)]))
    values = read.values.copy()
    values[0, 1] = 1.2
    rated = read_ratings(ratings).take(store.images, AUS)
    found = by_raters([Read(store, values, rated)], AUS)
    assert found["AU12"]["seen"] == 29
    assert found["AU12"]["people"] == len(np.unique(store.subjects[:58][smiles[:58]]))
    assert found["AU12"]["absent"] == 29  # the trace and the face on which nobody could tell are left out
    assert found["AU12"]["auc"] == 1
    assert found["AU12"]["false_alarms"] == pytest.approx(1 / 29, abs=0.01)
    assert found["AU12"]["f1"] == pytest.approx(2 * 29 / (2 * 29 + 1), abs=0.01)
    assert found["AU12"]["rated"] == 3
    assert found["AU12"]["reads"] == pytest.approx(np.median(values[:58, 1][smiles[:58]]), abs=0.01)
    assert 0.3 < found["AU01"]["auc"] < 0.7
    assert found["AU43"] == {"seen": 1, "people": 1, "absent": 57, "false_alarms": 0}
    text = audit_text.against_ratings(found)
    assert "| AU43 | 1 (1) / 57 |  |  | 0% |  |" in text
    assert "over the 2 AUs seen often enough: AUC 0." in text
    with pytest.raises(RecipeError, match="no AU that 10 of these photos and frames lack"):
        by_raters([dataclasses.replace(read, rated=np.full((60, 3), np.nan, np.float32))], AUS)


def test_an_au_that_follows_the_head_is_found_out(read: Read) -> None:
    found = pose_leakage([read], AUS)
    assert found["AU01"]["yaw"] == pytest.approx(1)
    assert "AU43" not in found  # it never moves


def _turned(yaw: np.ndarray) -> dict[str, np.ndarray]:
    turn = np.abs(yaw)
    return {"frontal": turn <= 10, "turned": (turn > 10) & (turn <= 25), "far turned": turn > 25}


def test_strangers_without_an_au_must_not_read_as_their_heads_turn() -> None:
    rng = np.random.default_rng(3)
    yaw, pitch = rng.normal(0, 15, (2, 200)).astype(np.float32)
    rated = np.zeros((200, 3), np.float32)
    rated[:60] = 2
    values = np.stack([np.abs(yaw), rng.normal(size=200), np.ones(200)], axis=1).astype(np.float32)
    values[:60, 1] = yaw[:60]  # of faces that do show the AU nothing is said
    people = np.arange(200).astype(str)
    found = pose_where_absent(values, rated, people, yaw, pitch, AUS)
    assert list(found) == ["AU01", "AU12"], "the third reads the same on all"
    assert found["AU01"]["faces"] == found["AU12"]["faces"] == 140
    assert found["AU01"]["abs_yaw"] == 1
    assert largest(found["AU12"]) < 0.25
    assert found["AU01"]["by_chance"] == pytest.approx(1.33 / 140**0.5, abs=0.02), "the largest of three half-normals"
    mean = {name: float(np.abs(yaw)[60:][of].mean()) for name, of in _turned(yaw[60:]).items()}
    assert found["AU01"]["reads"] == pytest.approx(mean, abs=0.01)
    told = [*(np.concatenate([part, part[::-1]]) for part in (values, rated, people, yaw, pitch)), AUS]
    assert pose_where_absent(*told) == found, "frames of one person would make what chance does look small"
    assert pose_where_absent(values, rated, np.full(200, "anna"), yaw, pitch, AUS) == {}
    text = audit_text.pose(found)
    assert "| AU01 | 140 |" in text
    assert f"| {mean['frontal']:.2f} | {mean['turned']:.2f} | {mean['far turned']:.2f} |" in text
    assert "1.00 at most; over 0.2 are AU01; by chance 0.1" in text


def test_who_is_seen_from_where_is_no_pose_leakage(read: Read) -> None:
    """A person who frowns and is filmed from aside does not make AU1 follow the head."""
    who = np.unique(read.store.clips, return_inverse=True)[1]
    yaw = (10 * who + np.random.default_rng(1).normal(0, 1, 60)).astype(np.float32)
    values = read.values.copy()
    values[:, 0] = who + np.random.default_rng(2).normal(0, 0.1, 60)
    one = Read(dataclasses.replace(read.store, yaw=yaw), values)
    assert abs(pcc(values[:, 0], yaw)) > 0.9
    assert abs(pose_leakage([one], AUS)["AU01"]["yaw"]) < 0.3


def test_what_goes_along_by_chance_is_told(read: Read) -> None:
    """Two clips of slow movements: a head that turns once, and a reading that has nothing to do with it but drifts. In
    the photos of as many people the same numbers say something."""
    phase = np.linspace(0, 2 * np.pi, 60, endpoint=False, dtype=np.float32)
    values = np.zeros((60, 3), np.float32)
    values[:, 0] = np.cos(phase)
    pitch = np.random.default_rng(0).normal(size=60).astype(np.float32)
    drifting = dataclasses.replace(read.store, yaw=10 * np.sin(phase + 0.5), pitch=pitch, times=phase.astype(float))
    by_chance = {
        clips: pose_leakage([Read(dataclasses.replace(drifting, clips=np.full(60, clips)), values)], AUS)["AU01"]
        for clips in ("a", "")
    }
    assert by_chance["a"]["yaw"] == by_chance[""]["yaw"] > 0.4
    assert by_chance["a"]["by_chance"] > 0.6, "two slow waves of one length go along at most moments"
    assert by_chance[""]["by_chance"] < 0.25


def test_a_picture_and_its_mirror_image_lean_alike() -> None:
    with VideoReader(asset("demo.mp4")) as reader:
        picture = reader.read()
    assert picture is not None
    straight, turned = (auditing.lean(None, [image] * 10) for image in (picture.image, picture.image[:, ::-1]))
    for label, entry in straight.items():
        assert entry["over_all"] == pytest.approx(turned[label]["over_all"], abs=0.002)
        assert (entry["where_shown"] is None) == (entry["shown"] < 10)
    assert any(entry["over_all"] for entry in straight.values())


class _Crooked:
    """An engine whose left reads .2 more of AU1 than half a picture's brightness says, and which sees no face in the
    dark."""

    aus = (1,)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> _Crooked:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def process(self, packet: FramePacket) -> SimpleNamespace:
        assert packet.still
        right, left = (float(half.mean()) / 50 for half in np.split(packet.image, 2, axis=1))
        said = AUPrediction(*np.zeros((2, 1), np.float32), sides=np.array([[left + 0.2, right]], np.float32))
        return SimpleNamespace(faces=[SimpleNamespace(prediction=said)] if right + left else [])


def test_what_leans_is_the_network_and_not_the_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "Engine", _Crooked)
    halves = [(100, 50)] * 10 + [(20, 60)] * 3 + [(0, 0)]  # read 1.6 and, less than 1, .9
    pictures = [np.ones((8, 8, 3), np.uint8) * np.repeat(pair, 4).astype(np.uint8)[:, None] for pair in halves]
    assert auditing.lean(None, pictures) == {"AU01": {"over_all": 0.2, "where_shown": 0.2, "shown": 10}}
    assert auditing.lean(None, pictures[1:]) == {"AU01": {"over_all": 0.2, "where_shown": None, "shown": 9}}
    assert auditing.lean(None, pictures[-1:]) == {}


@pytest.mark.parametrize(("key", "named"), [("subjects", "training"), ("judged_by", "calibration")])
def test_faces_that_the_model_learnt_from_are_refused(tmp_path: Path, key: str, named: str) -> None:
    write_clips(tmp_path / "data", clips=1, teacher=True, name="anna")
    network = RTATL(RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16))
    plain = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    description = {"name": "tiny", "trained_on": "anna", "trust": {}, "training": {key: ["anna0"]}}
    save_model(tmp_path / "tiny", network, plain, description)
    with pytest.raises(RecipeError, match=rf"subject anna0 is in the {named} of tiny and in .*data \(1 of them are\)"):
        auditing.audit(tmp_path / "tiny.safetensors", [tmp_path / "data"], [])


def test_groups_of_the_table_and_of_the_skin(read: Read) -> None:
    names = {str(name): {"age": "young" if k % 2 else "old"} for k, name in enumerate(np.unique(read.store.subjects))}
    found = by_group([read], AUS, names)
    assert set(found) == {"skin tone", "head turn", "age"}
    assert sum(entry["faces"] for entry in found["skin tone"].values()) <= 60
    assert set(found["head turn"]) <= {"frontal", "turned", "far turned"}


def test_what_raters_saw_by_group() -> None:
    """Two groups of 25 faces and one of 10 on which AU1 was never seen: AU1 is then no part of any group's AUC."""
    groups = np.repeat(["a", "b", "c"], [25, 25, 10])
    seen = np.arange(60) % 2 == 1
    rated = np.stack([np.where(groups == "c", np.nan, 2 * seen), 3 * seen, np.full(60, np.nan)], axis=1)
    values = np.stack([np.full(60, 3), np.where(groups == "b", 0.5, 1.5 * seen), np.zeros(60)], axis=1)
    faces = (values.astype(np.float32), rated.astype(np.float32), np.arange(60).astype(str))
    found = against_ratings_by_group(*faces, {"letter": np.where(groups == "c", "", groups)}, AUS)["letter"]
    assert found["a"] == {"rated": 25, "false_alarms": 0.5, "auc": 0.75, "f1": 0.8243, "judged": 2}
    assert found["b"] == {"rated": 25, "false_alarms": 0.5, "auc": 0.5, "f1": 0.3421, "judged": 2}
    rated[50:, 1] = np.where(np.arange(10) < 4, 3, 0)  # 6 without: too few to judge by
    alone = against_ratings_by_group(faces[0], rated.astype(np.float32), faces[2], {"letter": groups}, AUS)["letter"]
    assert alone["c"] == {"rated": 10}
    assert alone["a"] == {"rated": 25}, "no AU can be judged in all three"
    text = audit_text.rated_groups({"letter": found})
    assert "| letter | a | 25 | 0.75 (2) | 0.82 | 50.0% |" in text


def test_raters_beside_blendshapes_in_the_groups_of_an_audit(read: Read, tmp_path: Path) -> None:
    (tmp_path / "rated.csv").write_text("image,AU12\n" + "".join(f"p{k},{3 * (k % 2)}\n" for k in range(60)))
    store = dataclasses.replace(read.store, images=np.array([f"p{k}" for k in range(60)]))
    names = {str(name): {"age": "old"} for name in np.unique(store.subjects)}
    rated = read_ratings(tmp_path / "rated.csv").take(store.images, AUS)
    found = by_group([Read(store, read.values, rated)], AUS, names)["age"]["old"]
    assert (found["faces"], found["rated"], found["auc"], found["f1"], found["judged"]) == (60, 60, 1, 1, 1)
    text = audit_text.groups({"age": {"old": found}})
    assert "| age | old | 60 | 1.00 (1) | 1.00 | 0.0% |" in text


def test_a_model_without_any_au_that_the_teacher_shows_clearly(tmp_path: Path) -> None:
    write_clips(tmp_path / "data", clips=2, teacher=True)
    network = RTATL(RTATLConfig(aus=(4, 6), width=8, token=16, geometry=16))
    plain = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    save_model(tmp_path / "tiny", network, plain, {"name": "tiny", "trained_on": "nothing", "trust": {}})
    flags = ["--model", str(tmp_path / "tiny.safetensors"), "--photos", str(tmp_path / "data")]
    assert main(["audit", *flags, "--out", str(tmp_path / "out")]) == 0
    groups = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))["groups"]
    assert groups["head turn"]["frontal"]["pcc_with_teacher"] is None
    assert "Groups of fewer than 10 photos are left out." in (tmp_path / "out" / "audit.md").read_text("utf-8")
    assert "| head turn | frontal | 24 |  | " in (tmp_path / "out" / "audit.md").read_text(encoding="utf-8")


def test_groups_in_any_table_that_names_the_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips(tmp_path / "data", clips=2, teacher=True)
    flags = ["audit", "--photos", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--groups"]
    (tmp_path / "excel.csv").write_bytes("file;Größe\nc0;groß\nc1;groß\n".encode("cp1252"))
    assert main([*flags, str(tmp_path / "excel.csv")]) == 0
    groups = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))["groups"]
    assert groups["Größe"]["groß"]["faces"] == 24
    (tmp_path / "other.csv").write_text("file,size\nsomebody.jpg,tall\n")
    assert main([*flags, str(tmp_path / "other.csv")]) == 2
    assert "other.csv names none of the photos; its first column" in capsys.readouterr().err


def test_mistakes_are_told_before_faces_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_clips(tmp_path / "data", clips=1, teacher=True)
    monkeypatch.delattr(auditing, "read_store")
    (tmp_path / "who.csv").write_text("file,age\n")
    with pytest.raises(InputError, match="is no table of photos"):
        auditing.audit(None, [], [data], groups=tmp_path / "who.csv")
    with pytest.raises(InputError, match=r"who\.csv divides photos, and there are none; .* --photos"):
        auditing.audit(None, [data], [], groups=tmp_path / "who.csv")
    with pytest.raises(InputError, match=r"picture .*gone\.jpg cannot be read; name another"):
        auditing.audit(None, [data], [], stills=[tmp_path / "gone.jpg"])


def test_photos_are_no_clip(tmp_path: Path) -> None:
    data = write_clips(tmp_path / "data", clips=1, teacher=True)
    index = data / "parts" / "all" / "index.csv"
    with index.open(newline="") as file:
        rows = [row | {"clip": ""} for row in csv.DictReader(file)]
    with index.open("w", newline="") as file:
        (writer := csv.DictWriter(file, rows[0])).writeheader()
        writer.writerows(rows)
    with pytest.raises(RecipeError, match=r"data holds photos, which are no clip; name it with --photos"):
        auditing.audit(None, [data], [])


def test_folders_without_teacher_are_named(tmp_path: Path) -> None:
    write_labelled(tmp_path, 12)
    with pytest.raises(RecipeError, match="no teacher values"):
        auditing.audit(None, [tmp_path], [])
    with pytest.raises(InputError, match="nothing to measure on"):
        auditing.audit(None, [], [])


@pytest.mark.slow
def test_the_command_measures_the_bundled_model(tmp_path: Path) -> None:
    with VideoReader(asset("demo.mp4")) as reader:
        picture = reader.read()
    assert picture is not None
    store = ChipStore.open(write_clips(tmp_path / "chips", clips=3, teacher=True))
    cv2.imwrite(str(tmp_path / "still.png"), picture.image)
    with (tmp_path / "who.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "age"], *([str(name), "x"] for name in np.unique(store.subjects))])
    flags = ["--clips", str(tmp_path / "chips"), "--photos", str(tmp_path / "chips"), "--out", str(tmp_path / "out")]
    flags += ["--stills", str(tmp_path / "still.png"), "--groups", str(tmp_path / "who.csv")]
    assert main(["audit", *flags]) == 0
    result = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert result["flicker"]["pictures"] == 1
    assert 0 <= result["flicker"]["mean_spread"] < 0.5
    assert set(result["lean"]) == {f"AU{au:02d}" for au in result["aus"]}
    text = (tmp_path / "out" / "audit.md").read_text()
    assert "| AU12 |" in text
    assert "Flicker on 1 still faces" in text
    assert "Lean to one side: 0." in text


def test_the_apex_of_each_expression_is_what_the_window_shows(read: Read) -> None:
    """Twelve frames of a clip, six at rest and six with a smile that is read as 4."""
    order = np.argsort(read.store.times, kind="stable")
    teacher = np.zeros_like(read.store.teacher)
    values = np.zeros_like(read.values)
    for clip in np.unique(read.store.clips):
        smiling = [row for row in order if read.store.clips[row] == clip][6:]
        teacher[smiling, COLUMNS.index(12)] = 0.9
        values[smiling, 1] = 4.0
    one = Read(dataclasses.replace(read.store, teacher=teacher), values)
    (entry,) = apex([one], AUS).values()
    assert entry["events"] == 5
    assert 3.5 < entry["quartiles"][1] <= 4
    values[:, 1] = 0
    assert apex([one], AUS)["AU12"]["quartiles"] == [0, 0, 0]
    for clip in np.unique(read.store.clips):
        smiling = [row for row in order if read.store.clips[row] == clip][6:]
        teacher[smiling[3:], COLUMNS.index(12)] = 0
        values[smiling[3:], 1] = 4.0
    assert apex([one], AUS)["AU12"]["quartiles"][0] > 2, "what follows at once belongs to it"
    assert apex([Read(dataclasses.replace(read.store, teacher=np.zeros_like(teacher)), values)], AUS) == {}
