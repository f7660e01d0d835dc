"""Preparing: what was begun goes on, and a source that changes is prepared anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.datasets.chips import ChipStore, part_folder
from rtatl_core.datasets.parts import NO_FACE, UNREADABLE, Frame, Plan
from rtatl_core.datasets.prepare import prepare
from rtatl_core.datasets.videos import Video, find_photos, find_videos
from rtatl_core.errors import RecipeError
from rtatl_core.sessions.inputs import find_inputs
from tests.clips import write_picture, write_video


def test_interrupted_preparation_goes_on_where_it_stopped(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    for name in "ab":
        write_video(tmp_path / "videos" / f"{name}.mp4", pictures[:3])
    units, out = find_videos(tmp_path / "videos"), tmp_path / "out"

    class Stopped(Video):
        def frames(self) -> Iterator[Frame]:
            yield from list(units[1].frames())[:2]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare([units[0], Stopped(units[1].name, units[1].path)], out, Plan(kind="videos"))
    assert part_folder(out, units[0].name).is_dir()
    assert not part_folder(out, units[1].name).exists()
    with pytest.raises(RecipeError, match="not prepared to the end"):
        ChipStore.open(out)
    before = (part_folder(out, units[0].name) / "chips.npy").stat().st_mtime_ns
    assert prepare(units, out, Plan(kind="videos")).used == 6
    assert (part_folder(out, units[0].name) / "chips.npy").stat().st_mtime_ns == before
    assert len(ChipStore.open(out)) == 6
    write_video(tmp_path / "videos" / "c.mp4", pictures[:2])
    with pytest.raises(KeyboardInterrupt):  # adding to a finished folder
        prepare([*units, Stopped("c.mp4", units[1].path)], out, Plan(kind="videos"))
    with pytest.raises(RecipeError, match="not prepared to the end"):
        ChipStore.open(out)
    assert prepare(find_videos(tmp_path / "videos"), out, Plan(kind="videos")).used == 8


def test_a_teacher_that_is_missing_claims_no_folder(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    write_video(tmp_path / "videos" / "a.mp4", pictures[:2])
    units, out = find_videos(tmp_path / "videos"), tmp_path / "out"
    with pytest.raises(RecipeError, match="or leave --teacher out"):
        prepare(units, out, Plan(kind="videos", teacher=tmp_path / "face_landmarker.task"))
    assert prepare(units, out, Plan(kind="videos")).used == 2


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    write_video(tmp_path / "videos" / "a.mp4", pictures[:2])
    units, out = find_videos(tmp_path / "videos"), tmp_path / "out"
    prepare(units, out, Plan(kind="videos"))
    with pytest.raises(RecipeError, match="was begun with side 144, now it is 64"):
        prepare(units, out, Plan(kind="videos", side=64))
    with pytest.raises(RecipeError, match="not empty and not a folder"):
        prepare(units, tmp_path / "videos", Plan(kind="videos"))
    with pytest.raises(RecipeError, match="was begun with made_of None, now it is 'seed 1'"):
        prepare(units, out, Plan(kind="videos", made_of="seed 1"))
    note = json.loads((out / "plan.json").read_text())
    (out / "plan.json").write_text(json.dumps(note | {"made_of": "seed 1"}))
    with pytest.raises(RecipeError, match="was begun with made_of 'seed 1', now it is None"):
        prepare(units, out, Plan(kind="videos"))
    (out / "plan.json").write_text("")  # the disk was full
    with pytest.raises(RecipeError, match=r"plan\.json is damaged .*; delete"):
        prepare(units, out, Plan(kind="videos"))


def test_a_part_that_is_being_read_is_waited_for(
    tmp_path: Path, pictures: list[np.ndarray], busy_files: list[Path]
) -> None:
    write_video(tmp_path / "videos" / "a.mp4", pictures[:2])
    units, out = find_videos(tmp_path / "videos"), tmp_path / "out"
    prepare(units, out, Plan(kind="videos"))
    write_video(tmp_path / "videos" / "a.mp4", pictures[:3])  # the part made from it is outdated
    assert prepare(units, out, Plan(kind="videos")).used == 3
    assert {path.name for path in busy_files} >= {units[0].name, f"{units[0].name}.unfinished"}


def test_full_disk_says_so_and_keeps_what_was_done(
    tmp_path: Path, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        write_video(tmp_path / "videos" / f"{name}.mp4", pictures[:2])
    units, out = find_videos(tmp_path / "videos"), tmp_path / "out"
    saved = np.save

    def full(path: Path, array: np.ndarray) -> None:
        if units[1].name in str(path):
            raise OSError(28, "No space left on device")
        saved(path, array)

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(RecipeError, match=r"disk of .* is full; make room and run the same command again"):
        prepare(units, out, Plan(kind="videos"))
    monkeypatch.undo()
    assert [p.name for p in (out / "parts").iterdir()] == [units[0].name]
    assert prepare(units, out, Plan(kind="videos")).used == 4


def test_processes_give_what_one_gives(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    for name in "ab":
        write_video(tmp_path / "videos" / f"{name}.mp4", pictures[:3])
    units = find_videos(tmp_path / "videos")
    prepare(units, tmp_path / "one", Plan(kind="videos"), jobs=1)
    prepare(units, tmp_path / "two", Plan(kind="videos"), jobs=2)
    one, two = (ChipStore.open(tmp_path / name) for name in ("one", "two"))
    np.testing.assert_array_equal(one.chips.take(range(6)), two.chips.take(range(6)))
    np.testing.assert_array_equal(one.geometry.take(range(6)), two.geometry.take(range(6)))


def test_photos_are_stills_of_different_people(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    write_picture(tmp_path / "p" / "a.jpg", pictures[0])
    write_picture(tmp_path / "p" / "day" / "a.png", pictures[1])
    (tmp_path / "p" / "broken.jpg").write_bytes(b"x")
    report = prepare(find_photos(tmp_path / "p"), tmp_path / "out", Plan(kind="photos"))
    assert (report.used, report.lost) == (2, {UNREADABLE: 1})
    store = ChipStore.open(tmp_path / "out")
    assert list(store.subjects) == ["a.jpg", "day/a.png"]
    assert set(store.clips) == {""}
    with pytest.raises(RecipeError, match="holds no photo"):
        find_photos(tmp_path / "out" / "parts")


def test_the_same_videos_are_found_as_by_analyze(tmp_path: Path) -> None:
    for suffix in ("MP4", "mts", "3gp", "flv", "txt"):
        (tmp_path / f"a.{suffix}").touch()
    assert {video.path for video in find_videos(tmp_path)} == {one.path for one in find_inputs([tmp_path])}
    assert len(find_videos(tmp_path)) == 4


def test_nothing_usable_is_said(tmp_path: Path) -> None:
    write_picture(tmp_path / "p" / "wall.jpg", np.full((200, 200, 3), 128, np.uint8))
    with pytest.raises(RecipeError, match=rf"no face could be used for .* \(1 {NO_FACE}\)"):
        prepare(find_photos(tmp_path / "p"), tmp_path / "out", Plan(kind="photos"))


def test_stored_flow_leads_to_the_frame_a_gap_later(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    write_video(tmp_path / "videos" / "a.mp4", pictures[:7])
    assert (
        main(
            ["prepare", "videos", "--root", str(tmp_path / "videos"), "--out", str(tmp_path / "out"), "--flow", "tvl1"]
        )
        == 0
    )
    store = ChipStore.open(tmp_path / "out")
    assert list(store.flow_to) == [4, 5, 6, -1, -1, -1, -1]  # 0.2 s at 20 frames per second
    assert store.flow is not None
    assert store.flow.take(range(7)).shape == (7, 46, 46, 2)
    assert np.isfinite(store.flow[0]).all()
    assert np.isnan(store.flow[6]).all()


def made_at(out: Path, *names: str) -> list[int]:
    return [(part_folder(out, name) / "chips.npy").stat().st_mtime_ns for name in names]


def test_a_corrected_code_is_prepared_anew(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    root, out = tmp_path / "study", tmp_path / "out"
    for name in ("a.mp4", "b.mp4"):
        write_video(root / name, pictures[:2])
    command, made = ["prepare", "coded", "--root", str(root), "--out", str(out), "--jobs", "1"], []
    for rows, expected in (("b.mp4,1,3\n", [2, 3]), ("b.mp4,1,1\n", [2, 1]), ("b.mp4,1,1\nb.mp4,2,4\n", [2, 1, 4])):
        (root / "codes.csv").write_text(f"video,frame,AU12\na.mp4,1,2\n{rows}")
        assert main(command) == 0
        store = ChipStore.open(out)
        assert store.intensity is not None
        assert store.intensity[:, 0].tolist() == expected
        made.append(made_at(out, "a.mp4", "b.mp4"))
        assert main(command) == 0
        assert made_at(out, "a.mp4", "b.mp4") == made[-1]
    first, second = zip(*made, strict=True)
    assert (len({*first}), len({*second})) == (1, 3), "what was not corrected stays"


def test_more_and_fewer_photos_under_the_same_names_of_parts(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    for number in range(3):
        write_picture(tmp_path / "p" / f"{number}.jpg", pictures[number])
    out, plan = tmp_path / "out", Plan(kind="photos")
    assert prepare(find_photos(tmp_path / "p"), out, plan).used == 3
    write_picture(tmp_path / "p" / "9.jpg", pictures[3])
    assert prepare(find_photos(tmp_path / "p"), out, plan).used == 4
    (tmp_path / "p" / "0.jpg").unlink()
    assert prepare(find_photos(tmp_path / "p"), out, plan).used == 3
    assert list(ChipStore.open(out).images) == ["1.jpg", "2.jpg", "9.jpg"]


def test_what_the_source_no_longer_has_is_not_read(
    tmp_path: Path, pictures: list[np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = tmp_path / "videos", tmp_path / "out"
    command = ["prepare", "videos", "--root", str(root), "--out", str(out), "--jobs", "1"]
    for name in "ab":
        write_video(root / f"{name}.mp4", pictures[:3])
    assert main(command) == 0
    made = made_at(out, "a.mp4", "b.mp4")
    assert "no longer" not in capsys.readouterr().out
    (root / "b.mp4").rename(tmp_path / "b.mp4")
    assert main(command) == 0
    assert "1 parts prepared before are no longer in the source and are not read: b.mp4\n" in capsys.readouterr().out
    assert set(ChipStore.open(out).clips) == {"a.mp4"}
    (tmp_path / "b.mp4").rename(root / "b.mp4")
    root = root.rename(tmp_path / "elsewhere")
    assert prepare(find_videos(root), out, Plan(kind="videos")).unused == ()
    assert set(ChipStore.open(out).clips) == {"a.mp4", "b.mp4"}
    assert made_at(out, "a.mp4", "b.mp4") == made, "neither a pause nor a move is a change"


def test_an_interruption_leaves_nothing_outdated(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    out, plan = tmp_path / "out", Plan(kind="videos")
    video = write_video(tmp_path / "v" / "a.mp4", pictures[:2])
    prepare(find_videos(tmp_path / "v"), out, plan)

    class Stopped(Video):
        def frames(self) -> Iterator[Frame]:
            raise KeyboardInterrupt

    write_video(video, pictures[:5])
    with pytest.raises(KeyboardInterrupt):
        prepare([Stopped("a.mp4", video)], out, plan)
    assert list((out / "parts").iterdir()) == []
    with pytest.raises(RecipeError, match="not prepared to the end"):
        ChipStore.open(out)
    prepare(find_videos(tmp_path / "v"), out, plan)
    assert len(ChipStore.open(out)) == 5


def test_folders_of_earlier_versions_are_taken_as_they_are(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    out, plan = tmp_path / "out", Plan(kind="videos")
    write_video(tmp_path / "v" / "a.mp4", pictures[:2])
    prepare(find_videos(tmp_path / "v"), out, plan)
    for path, key in ((part_folder(out, "a.mp4") / "report.json", "fingerprint"), (out / "meta.json", "parts")):
        content = json.loads(path.read_text())
        del content[key]
        path.write_text(json.dumps(content))
    made = made_at(out, "a.mp4")
    assert len(ChipStore.open(out)) == 2
    prepare(find_videos(tmp_path / "v"), out, plan)
    assert made_at(out, "a.mp4") == made
    assert json.loads((out / "meta.json").read_text())["parts"] == ["a.mp4"]
