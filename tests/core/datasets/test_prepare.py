"""Small trees in exactly the layouts of the data sets, with all their traps, prepared by the command itself."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.assets import asset
from rtatl_core.cli import main
from rtatl_core.datasets import bp4d, coded, disfa, kinds, rendered
from rtatl_core.datasets.chips import ChipStore, part_folder
from rtatl_core.datasets.parts import NO_FACE, UNREADABLE, Frame, Plan
from rtatl_core.datasets.prepare import Report, prepare
from rtatl_core.datasets.videos import Video, find_photos, find_videos
from rtatl_core.errors import RecipeError
from rtatl_core.facs import BP4D_AUS, DISFA_INTENSITY_AUS
from rtatl_core.sessions.inputs import find_inputs
from tests.clips import begin_later, damage_frame, number_of, write_clip


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Neighbouring frames of the demo: a face in each."""
    source = cv2.VideoCapture(str(asset("demo.mp4")))
    frames = [cv2.resize(source.read()[1], (320, 240)) for _ in range(10)]
    source.release()
    return frames


def write_video(path: Path, frames: list[np.ndarray], fps: float = 20.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


# ---- BP4D ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bp4d_tree(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> Path:
    """F001_T1: padded names, a missing picture, code 9, a short row, an empty line. M002_T3: names without zeros, a
    broken picture, a wall without a face. F003_T2: coded, but its pictures are gone."""
    root = tmp_path_factory.mktemp("BP4D")
    codes = root / "AUCoding" / "AU_OCC"
    codes.mkdir(parents=True)
    header = ["0", *(str(au) for au in range(1, 65))]

    def row(number: int, present: dict[int, int]) -> str:
        return ",".join([str(number), *(str(present.get(au, 0)) for au in range(1, 65))])

    first = [row(640, {1: 1, 12: 1}), row(641, {1: 9, 12: 1}), row(642, {}), "643,0,1", "", row(644, {24: 1})]
    (codes / "F001_T1.csv").write_text("\n".join([",".join(header), *first]) + "\n")
    (codes / "M002_T3.csv").write_text("\r\n".join([",".join(header), row(7, {2: 1}), row(8, {}), row(9, {})]) + "\r\n")
    (codes / "F003_T2.csv").write_text("\n".join([",".join(header), row(1, {4: 1})]) + "\n")
    (codes / "notes.txt").write_text("not a label file")
    (codes.parent / "F001_T1.csv").write_text("an older release keeps the file here too")
    for au, rows in ((12, "640,3\n641,9\n642,0\n"), (6, "640,5\n")):
        folder = root / "AU-Intensity-Codes3.0" / f"AU{au:02d}"
        folder.mkdir(parents=True)
        (folder / f"F001_T1_AU{au:02d}.csv").write_text(rows)
    for name, number in (("0640", 0), ("0641", 1), ("0643", 2), ("0644", 3)):
        write_picture(root / "Sequences" / "F001" / "T1" / f"{name}.jpg", pictures[number])
    (root / "Sequences" / "F001" / "T1" / "Thumbs.db").write_bytes(b"x")
    write_picture(root / "Sequences" / "M002" / "T3" / "7.jpg", pictures[4])
    (root / "Sequences" / "M002" / "T3" / "8.jpg").write_bytes(b"broken")
    write_picture(root / "Sequences" / "M002" / "T3" / "9.jpg", np.full((240, 320, 3), 90, np.uint8))
    return root


def write_picture(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def test_bp4d_is_read_with_all_its_traps(bp4d_tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "chips"
    assert main(["prepare", "bp4d", "--root", str(bp4d_tree), "--out", str(out), "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert f"4 used, 1 {bp4d.SHORT_ROW}, 1 {NO_FACE}, 3 {UNREADABLE}" in said
    assert "not all subjects are here" in said
    store = ChipStore.open(out)
    assert store.aus == BP4D_AUS
    assert list(store.subjects) == ["F001", "F001", "F001", "M002"]
    assert list(store.clips) == ["F001_T1"] * 3 + ["M002_T3"]
    np.testing.assert_allclose(store.times[:3] * bp4d.FPS, [640, 641, 644])
    assert store.occurrence is not None
    assert store.intensity is not None
    at = {au: j for j, au in enumerate(BP4D_AUS)}
    np.testing.assert_array_equal(store.occurrence[:, at[1]], [1, np.nan, 0, 0])
    np.testing.assert_array_equal(store.occurrence[:, at[12]], [1, 1, 0, 0])
    np.testing.assert_array_equal(store.occurrence[:, at[24]], [0, 0, 1, 0])
    np.testing.assert_array_equal(store.occurrence[:, at[2]], [0, 0, 0, 1])
    np.testing.assert_array_equal(store.intensity[:, at[12]], [3, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(store.intensity[:, at[6]], [5, np.nan, np.nan, np.nan])
    assert np.isnan(store.intensity[:, at[1]]).all()
    report = json.loads((out / "report.json").read_text())
    assert report["units"]["F003_T2"] == {"used": 0, UNREADABLE: 1}
    assert report["positive_rate_percent"]["AU12"] == pytest.approx(100 * 2 / 8, abs=0.01)  # the short row has no AU12
    assert report["positive_rate_percent"]["AU04"] == pytest.approx(100 * 1 / 8, abs=0.01)


def test_bp4d_mistakes_are_named(bp4d_tree: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="holds no BP4D label files"):
        bp4d.find_sequences(tmp_path)
    with pytest.raises(RecipeError, match="is no folder"):
        bp4d.find_sequences(tmp_path / "gone")
    with pytest.raises(RecipeError, match="holds no BP4D pictures"):
        bp4d.find_sequences(bp4d_tree / "AUCoding")
    codes = tmp_path / "AU_OCC"
    codes.mkdir()
    write_picture(tmp_path / "F001" / "T1" / "1.jpg", np.zeros((8, 8, 3), np.uint8))
    header = ",".join(str(n) for n in range(25))
    for rows, sentence in (
        (f"{header}\n1,2{',0' * 23}\n", r"F001_T1.csv, line 2: AU1 is 2, but occurrence codes are 0, 1 and 9"),
        (f"{header}\n1,x{',0' * 23}\n", r"line 2: 'x' is no whole number"),
        (f"{header}\n1{',0' * 24}\n1{',0' * 24}\n", r"line 3: frame 1 has two rows; keep one"),
        (f"{header}\n1,0,5{',0' * 23}\n", r"line 2: 26 cells under 25 headings"),
        (f"{header},1\n1{',0' * 25}\n", r"line 1: AU1 has two columns"),
        (f"{header},²\n-1{',0' * 24}\n", r"line 2: '-1' is no whole number"),
        ("", r"has no column for AU1"),
        ("frame,AU1\n1,0\n", r"has no column for AU1"),
    ):
        (codes / "F001_T1.csv").write_text(rows, encoding="utf-8")
        with pytest.raises(RecipeError, match=sentence):
            bp4d.find_sequences(tmp_path)
    (codes / "F001_T1.csv").write_bytes(f"{header},böe\n1{',0' * 24}\n".encode("cp1252"))
    assert bp4d.find_sequences(tmp_path)[0].numbers == (1,)
    (tmp_path / "AU06").mkdir()
    (tmp_path / "AU06" / "F001_T1_AU06.csv").write_text("1,7\n")
    with pytest.raises(RecipeError, match=r"F001_T1_AU06.csv, line 1: intensity 7, but codes are 0-5 and 9"):
        bp4d.find_sequences(tmp_path)


def test_rates_are_checked_against_the_published() -> None:
    from rtatl_core.datasets.protocols import POSITIVE_RATES

    published = POSITIVE_RATES["bp4d"]
    counts = {au: (round(rate * 100), 10_000) for au, rate in published.items()}
    good = kinds.check_rates("bp4d", Report(1, {}, {}, counts), whole=True)
    assert good[-1] == "all agree to within 1 points"
    shifted = counts | {4: (round(published[4] * 100 + 150), 10_000)}
    assert "CHECK: AU4 differ" in kinds.check_rates("bp4d", Report(1, {}, {}, shifted), whole=True)[-1]
    del shifted[4]
    assert "CHECK: AU4 differ" in kinds.check_rates("bp4d", Report(1, {}, {}, shifted), whole=True)[-1]


# ---- DISFA ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def disfa_tree(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> Path:
    """SN001: whole, a picture more than labels, one short row. SN002: frames counted from 0, one AU file missing, a
    label more than pictures. SN003: labels without a video."""
    root = tmp_path_factory.mktemp("DISFA")
    write_video(root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi", pictures[:6])
    write_video(root / "Video_RightCamera" / "RightVideoSN001_comp.avi", pictures[:3])
    write_video(root / "Videos_LeftCamera" / "LeftVideoSN002_comp.avi", pictures[:4])
    for subject, first, count in (("SN001", 1, 5), ("SN002", 0, 5), ("SN003", 1, 2)):
        folder = root / "ActionUnit_Labels" / subject
        folder.mkdir(parents=True)
        for au in DISFA_INTENSITY_AUS:
            if (subject, au) == ("SN002", 5):
                continue
            rows = [f"{first + k},{(k + au) % 6}" for k in range(count)]
            if (subject, au) == ("SN001", 12):
                rows[2] = "3"
            (folder / f"{subject}_au{au}.txt").write_text("\n".join(rows) + "\n")
    return root


def test_disfa_is_read_with_all_its_traps(disfa_tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "chips"
    assert main(["prepare", "disfa", "--root", str(disfa_tree), "--out", str(out), "--jobs", "2"]) == 0
    said = capsys.readouterr().out
    assert "no codes of AU5 for SN002" in said
    assert "no video of SN003" in said
    assert f"9 used, 1 {disfa.NO_PICTURE}, 2 {UNREADABLE}, 1 {disfa.NO_LABEL}" in said
    store = ChipStore.open(out)
    assert store.aus == DISFA_INTENSITY_AUS
    assert store.intensity is not None
    assert store.occurrence is not None
    at = {au: j for j, au in enumerate(DISFA_INTENSITY_AUS)}
    expected = [(k + 12) % 6 for k in range(5)]
    expected[2] = np.nan
    np.testing.assert_array_equal(store.intensity[:5, at[12]], expected)
    np.testing.assert_array_equal(store.occurrence[:5, at[12]], [0, 0, np.nan, 1, 1])  # 2 or more
    np.testing.assert_array_equal(store.intensity[5:, at[1]], [1, 2, 3, 4])  # frame 0 is the first picture
    assert np.isnan(store.intensity[5:, at[5]]).all()
    np.testing.assert_allclose(store.times[:5], np.arange(5) / 20, atol=1e-3)


def test_disfa_labels_stay_with_their_pictures_after_a_damaged_one(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "video.mp4", frames=6)
    damage_frame(path, 3)
    intensity = np.tile(np.arange(6, dtype=np.float32)[:, None] % 6, (1, 12))
    frames = list(disfa.Subject("SN001", path, 1, intensity).frames())
    seen = [(int(frame.intensity[0]), None if frame.image is None else number_of(frame.image)) for frame in frames]
    assert seen == [(0, 1), (1, 2), (2, None), (3, 4), (4, 5), (5, 6)]
    assert frames[2].lost == UNREADABLE


def test_disfa_mistakes_are_named(disfa_tree: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="holds no DISFA label files"):
        disfa.find_subjects(tmp_path)
    with pytest.raises(RecipeError, match="holds no DISFA videos like LeftVideo"):
        disfa.find_subjects(disfa_tree / "ActionUnit_Labels")
    assert disfa.find_subjects(disfa_tree, "right")[0].video is not None
    labels = tmp_path / "SN009"
    labels.mkdir()
    (tmp_path / "LeftVideoSN009_comp.avi").write_bytes(b"")
    for text, sentence in (
        ("1,6\n", r"SN009_au1.txt, line 1: intensity 6, but codes are 0-5"),
        ("1,a\n", r"line 1: 'a' is no whole number"),
        ("1,inf\n", r"line 1: 'inf' is no whole number"),
        ("1,0\n1,2.7\n", r"line 2: '2\.7' is no whole number"),
        ("2.9,1\n", r"line 1: '2\.9' is no whole number"),
        ("-1,1\n", r"line 1: '-1' is no whole number"),
        ("1e12,1\n", r"line 1: '1e12' is no whole number from 0 to 1000000"),
        ("1,2,7\n", r"line 1: 3 cells where 'frame,code' is expected"),
        ("1,2\n1,3\n", r"line 2: frame 1 has two rows; keep one"),
        ("\n", "hold label files without rows|holds label files without rows"),
    ):
        (labels / "SN009_au1.txt").write_text(text)
        with pytest.raises(RecipeError, match=sentence):
            disfa.find_subjects(tmp_path)


# ---- the frame around them ---------------------------------------------------------------------------------


def test_interrupted_preparation_goes_on_where_it_stopped(
    tmp_path: Path, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
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
    with pytest.raises(RecipeError, match="was begun with side 112, now it is 64"):
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
    assert store.flow.shape == (7, 36, 36, 2)
    assert np.isfinite(store.flow[0]).all()
    assert np.isnan(store.flow[6]).all()


def test_rendered_clips_bring_exact_flow(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    """The whole picture slides: alignment takes that out, so no motion is left; a cheek that moves by itself stays."""
    root = tmp_path / "renders"
    image = pictures[0]
    slid = np.roll(image, (3, 5), axis=(0, 1))
    write_picture(root / "images" / "a.png", image)
    write_picture(root / "images" / "b.png", slid)
    (root / "flow").mkdir()
    motion = np.full((*image.shape[:2], 2), (5, 3), np.float16)
    motion[:100] = np.nan
    motion[130:170, 130:160] += (4, 0)
    np.savez(root / "flow" / "a.npz", flow=motion[::2, ::2], to="b.png", step=2)
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "identity", "clip", "time", "AU12_L", "AU12_R"])
        writer.writerow(["a.png", "p", "c", 0.0, 0.2, 0.4])
        writer.writerow(["b.png", "p", "c", 0.2, 0.2, 0.6])
    assert main(["prepare", "rendered", "--root", str(root), "--out", str(tmp_path / "out")]) == 0
    store = ChipStore.open(tmp_path / "out")
    assert store.flow is not None
    assert list(store.flow_to) == [1, -1]
    field = store.flow[0].astype(np.float32) * 112
    known = np.isfinite(field).all(axis=-1)
    still = np.median(np.linalg.norm(field[known], axis=-1))
    assert still < 1.0  # what FaceMesh's own jitter leaves of a slide by 2.6 pixels of the chip
    assert field[known][:, 0].max() > 1.5
    assert not known.all()
    assert store.intensity is not None
    np.testing.assert_allclose(store.intensity[:, 0], [1.5, 2.0], atol=1e-2)


HEADING = "image,identity,clip,time,AU12_L,AU12_R"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no column 'image'"),
        ("image,identity\na,p\n", "no column 'AU12_L'"),
        ("image,identity,AU12_L\na,p,0\n", "no column 'AU12_R'"),
        (f"{HEADING},AU99_L,AU99_R\na,p,,,0,0,0,0\n", "a column of AU99; known are 1, 2"),
        (f"{HEADING},AU12_L\na,p,,,0,0,0\n", "two columns 'AU12_L'"),
        (f"{HEADING}\na,p,,,0,0\nb,p,,,0,x\n", "line 3: AU12_R is 'x', where 0 to 1 is expected"),
        (f"{HEADING}\na,p,,,nan,0\n", "line 2: AU12_L is 'nan'"),
        (f"{HEADING}\na,p,,,inf,0\n", "line 2: AU12_L is 'inf'"),
        (f"{HEADING}\na,p,,,-0.5,0\n", "line 2: AU12_L is '-0.5'"),
        (f"{HEADING}\na,p,,,2.5,0\n", "line 2: AU12_L is '2.5'"),
        (f"{HEADING}\na,p,,,,0\n", "line 2: AU12_L is ''"),
        (f"{HEADING}\na,p,,,0,5,0\n", "line 2: it has more or fewer cells"),
        (f"{HEADING}\na,p,,,0\n", "line 2: it has more or fewer cells"),
        (f"{HEADING}\na,p,c,,0,0\n", "line 2: time is ''"),
        (f"{HEADING}\na,p,c,nan,0,0\n", "line 2: time is 'nan'"),
        (f"{HEADING}\na,,,,0,0\n", "line 2: identity is ''"),
        (f"{HEADING}\na,p,,,0,0\na,p,,,1,1\n", "line 3: its image has a row already"),
    ],
)
def test_labels_of_renders_that_cannot_be_used_are_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(RecipeError, match=r"labels\.csv") as caught:
        rendered.find_renders(tmp_path)
    assert problem in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_labels_of_renders_may_have_other_columns_and_encodings(tmp_path: Path, encoding: str) -> None:
    text = f"{HEADING},eye_L,lm0_x\na,Zoë,,,0.2,0.4,open,1\n"
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    aus, units = rendered.find_renders(tmp_path)
    (frame,) = units[0].frames()
    assert (aus, frame.name, frame.subject) == ((12,), "a", "Zoë")
    np.testing.assert_allclose(frame.sides, [[1, 2]])


@pytest.mark.parametrize("stored", [b"", b"PK\x03\x04broken", {"to": "b.png"}, {"flow": np.zeros(3), "to": "b.png"}])
def test_a_damaged_flow_of_a_render_is_named(tmp_path: Path, stored: bytes | dict[str, object]) -> None:
    write_picture(tmp_path / "images" / "a.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "labels.csv").write_text(f"{HEADING}\na.png,p,c,0,0,0\n")
    (tmp_path / "flow").mkdir()
    if isinstance(stored, bytes):
        (tmp_path / "flow" / "a.npz").write_bytes(stored)
    else:
        np.savez(tmp_path / "flow" / "a.npz", **stored)
    _, (unit,) = rendered.find_renders(tmp_path)
    with pytest.raises(RecipeError, match=r"a\.npz holds no flow .*; render it again"):
        list(unit.frames())


# ---- a source that changes -----------------------------------------------------------------------------------


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


# ---- own coded videos ----------------------------------------------------------------------------------------


def test_own_coded_videos(tmp_path: Path, pictures: list[np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "study"
    for name in ("P01/smile.mp4", "P02/smile.mp4", "calm.mp4", "uncoded.mp4"):
        write_video(root / name, pictures[:4])
    (root / "codes.csv").write_text(
        "video,subject,frame,AU12,AU6_c,Coder,time\n"
        "P01/smile.mp4,anna,1,A,1\nP01/smile.mp4,anna,3,4,0\n"
        "C:\\films\\P02\\smile.mp4,ben,2,0,\ncalm,cleo,4,9,1\n"
    )
    out = tmp_path / "chips"
    assert main(["prepare", "coded", "--root", str(root), "--out", str(out), "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "1 videos have no codes and are left out: uncoded.mp4" in said
    assert "codes.csv: columns not used: Coder\n" in said
    assert "4 used, 8 frame without a code" in said
    store = ChipStore.open(out)
    assert store.aus == (6, 12)
    rows = {(s, round(float(t) * 20)): i for i, (s, t) in enumerate(zip(store.subjects, store.times, strict=True))}
    assert set(rows) == {("anna", 0), ("anna", 2), ("ben", 1), ("cleo", 3)}
    assert store.intensity is not None
    assert store.occurrence is not None
    assert store.intensity[rows["anna", 0], 1] == 1
    assert store.intensity[rows["anna", 2], 1] == 4
    np.testing.assert_array_equal(store.occurrence[rows["anna", 2]], [0, 1])
    np.testing.assert_array_equal(store.occurrence[rows["ben", 1]], [np.nan, 0])
    np.testing.assert_array_equal(store.occurrence[rows["cleo", 3]], [1, np.nan])
    (root / "more.csv").write_text("video,frame,AU12\nsmile.mp4,1,2\n")
    assert main(["prepare", "coded", "--root", str(root), "--out", str(tmp_path / "x")]) == 2
    assert "are called so; write the path below --root" in capsys.readouterr().err
    (root / "more.csv").write_text("video,frame,AU12\ngone.mp4,1,2\n")
    assert main(["prepare", "coded", "--root", str(root), "--out", str(tmp_path / "x")]) == 2
    assert "codes 'gone.mp4', and there is no such video below" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("codes", "problem"),
    [
        ("video,au,onset,offset\nthree.mp4,12,1200,2000\n", "up to 2000 s, and the video ends at 3.00 s"),
        ("video,au,onset,offset\nthree.mp4,12,1.2,3.6\n", "up to 3.6 s"),
        ("video,time,AU12\nthree.mp4,1200,2\n", "up to 1200 s"),
        ("video,frame,AU12\nthree.mp4,1,1\nthree.mp4,500,2\n", r"up to frame 500, and the video has 75 frames"),
    ],
)
def test_codes_after_the_end_of_the_video_are_refused(tmp_path: Path, codes: str, problem: str) -> None:
    write_clip(tmp_path / "three.mp4", frames=75)
    (tmp_path / "codes.csv").write_text(codes)
    (unit,) = coded.find_coded(tmp_path)[1]
    with pytest.raises(RecipeError, match=rf"codes\.csv codes three\.mp4 {problem}.*milliseconds") as caught:
        list(unit.frames())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "codes",
    [
        "video,au,onset,offset\nthree.mp4,12,1.2,3.4\n",
        "video,au,onset,offset\nthree.mp4,12,,\n",
        "video,frame,AU12\nthree.mp4,76,1\nthree.mp4,999,\n",
    ],
    ids=["sound", "neutral", "empty"],
)
def test_codes_may_end_a_little_late_and_rows_without_a_code_later(tmp_path: Path, codes: str) -> None:
    write_clip(tmp_path / "three.mp4", frames=75)
    (tmp_path / "codes.csv").write_text(codes)
    (unit,) = coded.find_coded(tmp_path)[1]
    assert len(list(unit.frames())) == 75


def test_a_video_without_codes_is_named_though_another_of_its_name_has_some(tmp_path: Path) -> None:
    for name in ("P01/pre.mp4", "P02/pre.mp4"):
        (tmp_path / name).parent.mkdir()
        write_clip(tmp_path / name, frames=2)
    (tmp_path / "codes.csv").write_text("video,frame,AU12\nP02/pre.mp4,1,2\n")
    assert coded.find_coded(tmp_path)[2] == ["1 videos have no codes and are left out: P01/pre.mp4"]


@pytest.mark.parametrize("name", [".mp4", ".", "file://"])
def test_a_name_that_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    write_clip(tmp_path / "smile.mp4", frames=2)
    (tmp_path / "codes.csv").write_text(f"video,frame,AU12\n{name},1,1\n")
    with pytest.raises(RecipeError, match=rf"codes '{re.escape(name)}', and there is no such video"):
        coded.find_coded(tmp_path)


def test_a_coded_video_of_which_nothing_is_used_is_named(
    tmp_path: Path, pictures: list[np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "study" / "whole.mp4", pictures[:2])
    (tmp_path / "study" / "damaged.mp4").write_bytes(b"no video")
    (tmp_path / "study" / "codes.csv").write_text("video,frame,AU12\nwhole.mp4,1,2\ndamaged.mp4,1,2\n")
    command = ["prepare", "coded", "--root", str(tmp_path / "study"), "--out", str(tmp_path / "out"), "--jobs", "1"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"nothing could be used of 1 of 2 parts: damaged.mp4 (1 {UNREADABLE})\n" in said


def test_a_damaged_frame_does_not_shift_the_codes_of_the_next_ones(tmp_path: Path) -> None:
    damage_frame(write_clip(tmp_path / "a.mp4", frames=6), 3)
    rows = "".join(f"a.mp4,{number},{number % 5}\n" for number in range(1, 7))
    (tmp_path / "codes.csv").write_text(f"video,frame,AU12\n{rows}")
    (unit,) = coded.find_coded(tmp_path)[1]
    frames = list(unit.frames())
    assert [None if f.image is None else number_of(f.image) for f in frames] == [1, 2, None, 4, 5, 6]
    assert [None if f.intensity is None else f.intensity[0] for f in frames] == [1, 2, None, 4, 0, 1]
    assert frames[2].lost == UNREADABLE


def test_codes_count_from_the_start_of_the_file_also_where_its_pictures_begin_later(tmp_path: Path) -> None:
    begin_later(write_clip(tmp_path / "late.mp4", frames=20), 0.4)
    (tmp_path / "codes.csv").write_text("video,au,onset,offset\nlate.mp4,12,0.6,0.8\nlate.mp4,12,1.16,1.6\n")
    (unit,) = coded.find_coded(tmp_path)[1]
    frames = list(unit.frames())
    assert [round(frame.time, 2) for frame in frames[:2]] == [0.4, 0.44]
    present = [number for number, f in enumerate(frames, 1) if f.occurrence is not None and f.occurrence[0]]
    assert present == [6, 7, 8, 9, 10, 20]
