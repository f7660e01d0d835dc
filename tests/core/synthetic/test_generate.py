"""Many pictures: truth beside them, interruptions, seeds."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.commands import synth
from rtatl_core.datasets.parts import Plan
from rtatl_core.datasets.rendered import OCCURRENCE_RULE, find_renders
from rtatl_core.errors import InputError, RecipeError
from rtatl_core.handoffs import CHIP_SIDE
from rtatl_core.synthetic import generate, kept, studio
from rtatl_core.synthetic.generate import Clip, Stills, units_of
from rtatl_core.synthetic.ict_files import POLYGONS, VERTICES, _names
from rtatl_core.synthetic.rig import AUS, LANDMARKS, RIGHT, ROW, Rig, full
from rtatl_core.synthetic.studio import Sources, Studio, open_rig
from rtatl_core.synthetic.surroundings import hdr_files
from tests.core.synthetic.puppet import PuppetRig
from tests.tables import csv_rows


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sources:
    def open_puppet(folder: Path) -> Rig:
        return PuppetRig()

    monkeypatch.setattr(studio, "open_rig", open_puppet)
    generate._studio.cache_clear()
    made = Sources((tmp_path / "puppets",), side=64)
    try:
        Studio(made)
    except InputError as error:
        pytest.skip(str(error))
    return made


def rows(folder: Path) -> list[dict[str, str]]:
    return csv_rows(folder / "labels.csv")


def test_pictures_come_with_their_truth(sources: Sources, tmp_path: Path) -> None:
    out = tmp_path / "out"
    units = [Stills(0, sources, 7, people=2, per_person=2), Clip(0, sources, 7, seconds=0.6, rate=10)]
    assert generate.generate(units, out, jobs=1) == 10
    table = rows(out)
    assert len(table) == 10
    assert {row["rig"] for row in table} == {"puppet"}
    assert len({row["identity"] for row in table}) == 3
    for row in table:
        assert cv2.imread(str(out / "images" / row["image"])).shape == (64, 64, 3)
        for au in AUS:
            assert 0 <= float(row[f"AU{au:02d}_L"]) <= 1
        assert all(row[f"lm{point}_x"] for point in range(LANDMARKS))
    clip = [row for row in table if row["clip"]]
    assert [float(row["time"]) for row in clip] == pytest.approx(np.arange(6) / 10)
    assert {row["seed"] for row in clip} == {"7-3-0-0"}, "one draw for the whole clip"
    with np.load(out / "flow" / f"{Path(clip[0]['image']).stem}.npz") as stored:
        assert str(stored["to"]) == clip[2]["image"]  # .2 s later
        assert stored["flow"].shape == (16, 16, 2)
    assert not (out / "flow" / f"{Path(clip[-1]['image']).stem}.npz").exists()


def test_the_way_back_to_rest_comes_with_the_same_pictures(sources: Sources, tmp_path: Path) -> None:
    """Of stills and clips, with what moves most where the expression is strongest."""
    made = {}
    for to_rest in (False, True):
        units = [Stills(0, sources, 7, 2, 4, to_rest), Clip(0, sources, 7, seconds=0.6, rate=10, to_rest=to_rest)]
        out = tmp_path / str(to_rest)
        generate.generate(units, out, jobs=1)
        made[to_rest] = {row["image"]: (out / "images" / row["image"]).read_bytes() for row in rows(out)}
    assert made[True] == made[False]
    shown, moved = [], []
    for row in rows(tmp_path / "True"):
        with np.load(tmp_path / "True" / "flow" / f"{Path(row['image']).stem}.npz") as stored:
            assert str(stored["to"]) == row["image"]
            motion = np.linalg.norm(stored["flow"].astype(float), axis=-1)
        moved.append(np.nanmax(motion))
        shown.append(max(float(row[f"AU{au:02d}_{side}"]) for au in AUS for side in "LR"))
    assert min(moved) < 0.6 * max(moved)
    assert np.corrcoef(shown, moved)[0, 1] > 0.3


def test_what_is_written_is_what_prepare_reads(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smirk = full(12)
    smirk.aus[ROW[12], RIGHT] = 0.25
    monkeypatch.setattr(generate, "sample_still", lambda rng: smirk)
    out = tmp_path / "out"
    made = [Stills(0, sources, 1, people=1, per_person=2), Clip(0, sources, 1, 0.4, 10)]
    generate.generate(made, out, jobs=1)
    aus, units = find_renders(out)
    assert aus == AUS
    frames = [frame for unit in units for frame in unit.frames()]
    assert len(frames) == 6
    shown = {taken.name: taken.shot.labels for unit in made for taken in unit.take()}
    for frame in frames:
        np.testing.assert_allclose(frame.sides / 5, shown[frame.name], atol=6e-4)  # type: ignore[operator]
    np.testing.assert_allclose(frames[0].sides[AUS.index(12)], [5, 1.25])  # type: ignore[index]
    moving = [frame for frame in frames if frame.flow is not None]
    assert len(moving) == 2
    assert np.isfinite(moving[0].flow).any()


def test_an_interrupted_run_goes_on_and_gives_the_same(sources: Sources, tmp_path: Path) -> None:
    units = [Stills(number, sources, 3, people=1, per_person=2) for number in range(3)]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    generate.generate(units, whole, jobs=1)
    generate.generate(units[:1], broken, jobs=1)
    before = (broken / "images" / rows(broken)[0]["image"]).stat().st_mtime_ns
    generate.generate(units, broken, jobs=1)
    assert (broken / "images" / rows(broken)[0]["image"]).stat().st_mtime_ns == before
    assert rows(whole) == rows(broken)
    for row in rows(whole):
        one, other = ((folder / "images" / row["image"]).read_bytes() for folder in (whole, broken))
        assert one == other


def test_a_part_of_other_material_is_made_anew(sources: Sources, tmp_path: Path) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for name in ("images", "flow") for path in (folder / name).iterdir()}

    (tmp_path / "hdri").mkdir()
    cv2.imwrite(str(tmp_path / "hdri" / "room.hdr"), np.full((32, 64, 3), 0.5, np.float32))
    lit = dataclasses.replace(sources, hdri=hdr_files(tmp_path / "hdri"))
    fewer = [Stills(0, sources, 3, people=1, per_person=2), Clip(0, sources, 3, seconds=0.6, rate=10)]
    for name, more in {
        "people": [Stills(0, sources, 3, people=2, per_person=2), fewer[1]],
        "seconds": [fewer[0], Clip(0, sources, 3, seconds=0.4, rate=10)],
        "hdri": [dataclasses.replace(unit, sources=lit) for unit in fewer],
    }.items():
        generate._studio.cache_clear()
        fresh, again = tmp_path / f"fresh {name}", tmp_path / f"again {name}"
        generate.generate(more, fresh, jobs=1)
        generate.generate(fewer, again, jobs=1)
        assert generate.generate(more, again, jobs=1) == len(rows(again))
        assert rows(again) == rows(fresh)
        assert files(again) == files(fresh), "nothing is left of what is no more"


def test_labels_do_not_outlive_their_pictures(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit, out = Stills(0, sources, 3, people=1, per_person=1), tmp_path / "out"
    generate.generate([unit], out, jobs=1)
    generate.generate([unit], out, jobs=1)
    assert (out / "labels.csv").is_file()

    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate.generate([dataclasses.replace(unit, people=2)], out, jobs=1)
    assert not (out / "labels.csv").exists()
    generate.generate([unit], out, jobs=1)
    assert len(rows(out)) == 1


def test_seeds_make_different_people(sources: Sources) -> None:
    first, same, other = (
        next(Stills(0, sources, seed, people=1, per_person=1).take()).shot.image for seed in (1, 1, 2)
    )
    assert (first == same).all()
    assert (first != other).any()


def test_a_folder_of_another_seed_is_left_alone(sources: Sources, tmp_path: Path) -> None:
    unit = Stills(0, sources, 3, people=1, per_person=1)
    generate.generate([unit], tmp_path / "out", jobs=1)
    with pytest.raises(InputError, match="begun with seed 3, now it is 4"):
        generate.generate([dataclasses.replace(unit, seed=4)], tmp_path / "out", jobs=1)
    chips = tmp_path / "chips"
    chips.mkdir()
    plan = Plan(kind="synthetic", aus=AUS, occurrence_rule=OCCURRENCE_RULE, side=CHIP_SIDE, made_of="seed 3, puppets")
    (chips / "plan.json").write_text(json.dumps(plan.to_json()))
    with pytest.raises(RecipeError, match=r"begun with made_of 'seed 3, puppets', now it is 'seed 4, puppets'"):
        generate.prepare_directly([dataclasses.replace(unit, seed=4)], chips, side=CHIP_SIDE, jobs=1)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("dear reader")
    with pytest.raises(InputError, match="thesis is not empty and not a folder of 'rtatl synth'"):
        generate.generate([unit], tmp_path / "thesis", jobs=1)
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter1.tex"]


def test_a_full_disk_is_named_and_finished_parts_stay(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = [Stills(number, sources, 3, people=1, per_person=1) for number in range(2)]
    out = tmp_path / "out"
    generate.generate(units[:1], out, jobs=1)
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.suffix == ".jpg":
            raise OSError(errno.ENOSPC, "no space")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"disk of .* is full.*finished parts are kept"):
        generate.generate(units, out, jobs=1)
    assert sorted(path.name for path in (out / "parts").iterdir()) == ["stills-00000.csv", "stills-00000.fingerprint"]


def test_count_is_rounded_up_to_whole_people(sources: Sources) -> None:
    units = units_of(sources, 155, 2, 0, 4.0)
    assert sum(unit.people * unit.per_person for unit in units if isinstance(unit, Stills)) == 160
    assert sum(isinstance(unit, Clip) for unit in units) == 2


def test_the_smallest_pictures_are_drawn_and_smaller_ones_refused(sources: Sources) -> None:
    least = dataclasses.replace(sources, side=studio.LEAST_SIDE)
    taken = list(Stills(0, least, 1, people=1, per_person=60).take())
    assert {shot.shot.image.shape for shot in taken} == {(studio.LEAST_SIDE, studio.LEAST_SIDE, 3)}
    with pytest.raises(InputError, match=r"cannot be drawn on 31 pixels; write --size 32 or more"):
        dataclasses.replace(sources, side=studio.LEAST_SIDE - 1)


def test_a_folder_without_a_rig_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no rig.*FaceXModel"):
        open_rig(tmp_path)


def test_an_incomplete_rig_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "generic_neutral_mesh.obj").write_text("v 0 0 0\n")
    with pytest.raises(InputError, match=r"lacks .*\.obj and \d+ more; name the FaceXModel folder"):
        open_rig(tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("version https://git-lfs.github.com/spec/v1\n", "has 0 vertices instead of 26719"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "has 3 vertices instead of 26719"),
        ("v 0 0 0\nv 1 0", "has 1 vertices instead of 26719"),
        ("v 0 0 0\nv 1 0 0.", "has 2 vertices instead of 26719"),
        ("v 0 0 0\nv 1 0 -", "is damaged"),
    ],
)
def test_a_rig_that_is_not_whole_or_of_another_version_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    monkeypatch.setattr(kept, "user_cache_path", lambda name: tmp_path / "cache")
    for name in ("generic_neutral_mesh", *_names()):
        (tmp_path / f"{name}.obj").write_text(text)
    (tmp_path / "vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": [0] * LANDMARKS}))
    with pytest.raises(InputError, match=rf"rig shape .*generic_neutral_mesh\.obj {complaint}"):
        open_rig(tmp_path)
    assert not (tmp_path / "cache").exists(), "nothing of it is kept"


@pytest.mark.parametrize(
    ("marks", "polygons", "complaint"),
    [
        ("{}", POLYGONS, r"vertex_indices\.json is damaged or of another version \(KeyError"),
        ("version https://git-lfs", POLYGONS, r"vertex_indices\.json is damaged or of another version"),
        ('{"idx_to_landmark_verts": [0, 1]}', POLYGONS, "it names 2 landmarks instead of 68"),
        (json.dumps({"idx_to_landmark_verts": [0] * LANDMARKS}), 7, "has 7 polygons instead of 26384; it is cut short"),
    ],
)
def test_a_rig_with_holes_or_without_landmarks_is_named_before_its_shapes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marks: str, polygons: int, complaint: str
) -> None:
    monkeypatch.setattr(kept, "user_cache_path", lambda name: tmp_path / "cache")
    for name in _names():
        (tmp_path / f"{name}.obj").touch()
    whole = "v 0 0 0\n" * VERTICES + "vt 0 0\n" + "f 1/1 2/1 3/1\n" * polygons
    (tmp_path / "generic_neutral_mesh.obj").write_text(whole)
    (tmp_path / "vertex_indices.json").write_text(marks)
    with pytest.raises(InputError, match=complaint):
        open_rig(tmp_path)
    assert not (tmp_path / "cache").exists(), "nothing of it is kept"


def test_avatars_must_be_glb(tmp_path: Path) -> None:
    (tmp_path / "someone.glb").write_bytes(b"not really")
    rig = open_rig(tmp_path)
    with pytest.raises(InputError, match=r"someone\.glb is no \.glb"):
        rig.head(np.random.default_rng(0))


def _options(arguments: list[str]) -> object:
    import argparse

    parser = argparse.ArgumentParser()
    synth.add_arguments(parser)
    return parser.parse_args(arguments)


def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to do"):
        synth.run(_options(["--rig", str(tmp_path)]))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="--out DIR"):
        synth.run(_options(["--rig", str(tmp_path), "--count", "3"]))  # type: ignore[arg-type]
    out = tmp_path / "new"
    with pytest.raises(InputError, match="holds no rig"):
        synth.run(_options(["--rig", str(tmp_path), "--count", "3", "--out", str(out)]))  # type: ignore[arg-type]
    assert not out.exists(), "nothing is begun with a rig that is none"


@pytest.mark.parametrize("name", ["sheet", "sheet.docx", "missing/sheet.png"])
@pytest.mark.parametrize("option", ["--sheet", "--au-sheet"])
def test_a_sheet_that_cannot_be_written_is_refused_before_it_is_drawn(tmp_path: Path, option: str, name: str) -> None:
    with pytest.raises(InputError, match=r"sheet.* cannot be written; name a \.png"):
        synth.run(_options(["--rig", str(tmp_path), option, str(tmp_path / name)]))  # type: ignore[arg-type]


def test_what_is_missing_for_pictures_is_said_before_rigs_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--out DIR"):
        synth.run(_options(["--rig", str(tmp_path), "--check", "--count", "3"]))  # type: ignore[arg-type]


def test_clips_without_a_picture_are_refused(sources: Sources) -> None:
    with pytest.raises(InputError, match=r"clips of 0\.02 s have no picture at 15 a second; write --seconds 0\.1"):
        units_of(sources, 0, 1, 0, 0.02)
    assert len(list(units_of(sources, 0, 1, 0, 0.1)[0].take())) == 2
    assert units_of(sources, 8, 0, 0, 0.02)


def test_long_seeds_are_not_rounded() -> None:
    options = _options(["--rig", "x", "--seed", str(2**53 + 1), "--count", "1e3"])
    assert (options.seed, options.count) == (2**53 + 1, 1000)  # type: ignore[attr-defined]


def test_chips_have_a_side() -> None:
    with pytest.raises(SystemExit):
        _options(["--rig", "x", "--chips", "--side", "0"])


def test_the_command_writes_pictures_and_sheets(
    sources: Sources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    arguments = ["--rig", str(tmp_path / "puppets"), "--count", "8", "--out", str(tmp_path / "out"), "--size", "64"]
    assert synth.run(_options([*arguments, "--jobs", "1", "--au-sheet", str(sheet)])) == 0  # type: ignore[arg-type]
    assert len(rows(tmp_path / "out")) == 8
    assert cv2.imread(str(sheet)).shape == (4 * 64, 6 * 64, 3)
    assert "8 pictures" in capsys.readouterr().err
