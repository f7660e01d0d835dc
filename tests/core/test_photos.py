"""Photos, and pictures that are frames: read in order, each by itself or as a video; what is no picture is named."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.errors import InputError, SourceError
from rtatl_core.photos import PhotoReader, in_order, read_photo
from rtatl_core.sessions.batch import Outcome, Settings, analyse_all
from rtatl_core.sessions.inputs import Input, find_inputs, session_names
from rtatl_core.sessions.session import read_session
from tests.clips import cut_from_demo, demo_frames
from tests.tables import csv_rows


def write(path: Path, image: np.ndarray) -> Path:
    cv2.imencode(path.suffix, image)[1].tofile(path)
    return path


def turned_tiff(orientation: int) -> bytes:
    """What EXIF says of a picture's orientation: 6 is turned by 90 degrees."""
    return b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"


def write_turned_jpeg(path: Path, image: np.ndarray, orientation: int) -> Path:
    coded, exif = cv2.imencode(".jpg", image)[1].tobytes(), b"Exif\0\0" + turned_tiff(orientation)
    path.write_bytes(coded[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + coded[2:])
    return path


def write_turned_webp(path: Path, image: np.ndarray, orientation: int) -> Path:
    coded, exif = cv2.imencode(".webp", image)[1].tobytes(), turned_tiff(orientation)
    path.write_bytes(coded + b"EXIF" + len(exif).to_bytes(4, "little") + exif)
    return path


@pytest.fixture(scope="module")
def stimuli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three faces, a wall, and something that only calls itself a picture."""
    folder = tmp_path_factory.mktemp("study") / "stimuli"
    folder.mkdir()
    for number, image in zip((1, 2, 10), demo_frames(3, skip=30, every=60), strict=True):
        write(folder / f"face, {number}.png", image)
    write(folder / "wall.jpg", np.full((240, 320, 3), 128, np.uint8))
    (folder / "wrong.jpg").write_bytes(b"no picture")
    return folder


def analyse(inputs: list[Input], out: Path, fps: float | None = None) -> Outcome:
    (outcome,) = analyse_all(inputs, out, Settings(device="cpu"), fps=fps)
    return outcome


def table(outcome: Outcome) -> list[dict[str, str]]:
    assert outcome.folder is not None
    return csv_rows(outcome.folder / "frames.csv")


def test_names_are_counted_through() -> None:
    names = ["b/10.jpg", "b/2.jpg", "a9/1.jpg", "b/1.jpg", "a10/1.jpg", "1.jpg"]
    assert [p.as_posix() for p in in_order(map(Path, names))] == [
        "1.jpg",
        "a9/1.jpg",
        "a10/1.jpg",
        "b/1.jpg",
        "b/2.jpg",
        "b/10.jpg",
    ]


def test_pictures_are_read_upright_whatever_their_name_and_kind(tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30] = 200
    for name in ("ä, 雪.png", "x.tiff", "x.bmp", "x.webp"):
        read = read_photo(write(tmp_path / name, picture))
        assert read is not None
        assert abs(read.astype(int) - picture).max() < 12
    grey = read_photo(write(tmp_path / "grey.png", picture[..., 0]))
    assert grey is not None
    assert grey.shape == (40, 60, 3)
    deep = read_photo(write(tmp_path / "deep.png", picture.astype(np.uint16) * 257))
    assert deep is not None
    assert (deep == picture).all()
    write_turned_jpeg(tmp_path / "phone.jpg", picture, 6)
    phone = read_photo(tmp_path / "phone.jpg")
    assert phone is not None
    assert phone.shape == (60, 40, 3)
    assert phone[:25].mean() > 150 > 50 > phone[35:].mean()
    assert read_photo(tmp_path / "missing.jpg") is None
    assert read_photo(write(tmp_path / "wide.png", np.zeros((2, 32_766, 3), np.uint8))) is not None
    assert read_photo(write(tmp_path / "wider.png", np.zeros((2, 32_767, 3), np.uint8))) is None


@pytest.mark.parametrize("orientation", range(9))
def test_a_webp_is_turned_as_a_jpeg_is(orientation: int, tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20, :30] = 200
    webp = read_photo(write_turned_webp(tmp_path / "x.webp", picture, orientation))
    jpeg = read_photo(write_turned_jpeg(tmp_path / "x.jpg", picture, orientation))
    assert webp is not None
    assert jpeg is not None
    assert webp.shape == jpeg.shape
    assert np.abs(webp.astype(int) - jpeg).mean() < 5


def test_what_cannot_be_read_is_passed_over_and_named(tmp_path: Path) -> None:
    for number in (1, 3):
        write(tmp_path / f"{number}.png", np.full((8, 8, 3), number, np.uint8))
    for number in (2, 4, 5):
        (tmp_path / f"{number}.png").touch()
    files = in_order(tmp_path.iterdir())
    with PhotoReader(files, fps=4) as reader:
        first, third = reader
        assert (first.number, first.timestamp, first.lost, first.still) == (1, 0.0, (), False)
        assert (third.number, third.timestamp, third.lost) == (3, 0.5, ((2, 0.25),))
        assert reader.lost_at_end == ((4, 0.75), (5, 1.0))
        assert reader.describe_lost(reader.lost_at_end).startswith("4.png, 5.png cannot be read as a picture; ")
    with PhotoReader(files) as reader:
        assert all(math.isnan(packet.timestamp) and packet.still for packet in reader)
    with pytest.raises(SourceError, match=r"no file in .* is a picture that can be read; open it elsewhere"):
        PhotoReader(files[3:])
    with pytest.raises(SourceError, match=r"2\.png is no picture that can be read"):
        PhotoReader([tmp_path / "2.png"])


def test_photos_of_a_folder_are_one_session_and_videos_one_each(stimuli: Path) -> None:
    video = cut_from_demo(stimuli.parent / "talk.mp4", 4)
    found = find_inputs([stimuli.parent])
    assert found == [Input(video), Input(stimuli, tuple(in_order(stimuli.iterdir())))]
    assert session_names(found) == ["talk", "stimuli"]
    one = stimuli / "wall.jpg"
    assert find_inputs([one]) == [Input(one, (one,))]
    assert session_names(find_inputs([one])) == ["wall"]


def test_each_photo_is_a_row_and_judged_by_itself(stimuli: Path, tmp_path: Path) -> None:
    outcome = analyse(find_inputs([stimuli]), tmp_path)
    rows = table(outcome)
    assert [row["file"] for row in rows] == [
        *("face, 1.png", "face, 2.png", "face, 10.png"),
        *("wall.jpg", "wrong.jpg"),
    ]
    assert [row["success"] + row["analysed"] for row in rows] == ["11", "11", "11", "01", "00"]
    assert [row["face_id"] for row in rows] == ["0", "0", "0", "", ""]
    assert {row["timestamp"] for row in rows} == {""}
    assert all(row["AU12_r"] == row["AU12_raw"] for row in rows)
    assert outcome.folder is not None
    facts, columns = read_session(outcome.folder)
    assert facts["counts"] == {"captured": 5, "analysed": 4, "dropped": 1, "rows": 5, "faces": 3}
    assert facts["source"]["kind"] == "photos"
    assert np.isnan(columns["timestamp"]).all()
    assert outcome.warning is not None
    assert f"No face was found in 1 of the 5 photos of {stimuli} (faces narrower than a twentieth" in outcome.warning
    assert (
        f"wrong.jpg of {stimuli} cannot be decoded, so its row is empty; copy it again, or save as JPEG or PNG of"
        in outcome.warning
    )
    events = (outcome.folder / "events.csv").read_text()
    assert '\n,5,warning,"wrong.jpg cannot be read as a picture; open it elsewhere' in events
    for row in rows[:3]:
        alone = table(analyse(find_inputs([stimuli / row["file"]]), tmp_path))[0]
        assert {**alone, "frame": row["frame"]} == row, "whatever came before"


def test_pictures_with_a_rate_are_a_video(tmp_path: Path) -> None:
    clip = cut_from_demo(tmp_path / "clip.mp4", 12)
    (tmp_path / "frames").mkdir()
    reader = cv2.VideoCapture(str(clip))
    for number in range(12):
        write(tmp_path / "frames" / f"{number}.png", reader.read()[1])
    reader.release()
    video = table(analyse([Input(clip)], tmp_path / "out"))
    inputs = find_inputs([tmp_path / "frames"])
    pictures = analyse(inputs, tmp_path / "out", fps=25)
    assert [{**row, "file": f"{number}.png"} for number, row in enumerate(video)] == table(pictures)
    assert analyse(inputs, tmp_path / "out", fps=25).skipped
    assert not analyse(inputs, tmp_path / "out", fps=50).skipped
    assert not analyse(inputs, tmp_path / "out").skipped, "photos are something else"
    assert analyse(inputs, tmp_path / "out").skipped


def test_the_command_names_bad_rates_and_folders_without_a_picture(
    stimuli: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["analyze", str(stimuli), "--out", str(tmp_path), "--fps", "0"])
    assert "write a number above 0" in capsys.readouterr().err
    (tmp_path / "bad.jpg").touch()
    assert main(["analyze", str(tmp_path / "bad.jpg"), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    assert "bad.jpg is no picture that can be read" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_odd_endings_are_photos_or_are_told(stimuli: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "phone"
    (folder / ".thumbnails").mkdir(parents=True)
    for name in ("a.jfif", "b.JPE", "plain", ".thumbnails/a.jpg"):
        shutil.copy(stimuli / "wall.jpg", folder / name)
    (folder / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (found,) = find_inputs([folder])
    assert [photo.name for photo in found.photos] == ["a.jfif", "b.JPE", "IMG_1.HEIC"]
    assert find_inputs([folder / "plain"]) == [Input(folder / "plain", (folder / "plain",))]
    arguments = ["analyze", str(folder), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(arguments) == 0
    assert f"IMG_1.HEIC of {folder} cannot be decoded, so its row is empty" in capsys.readouterr().err
    (session,) = (tmp_path / "out").iterdir()
    assert (
        "IMG_1.HEIC cannot be read as a picture; open it elsewhere, or save it as JPEG"
        in (session / "events.csv").read_text()
    )
    assert main([arguments[0], str(folder / "IMG_1.HEIC"), *arguments[2:]]) == 2
    assert "IMG_1.HEIC is no picture that can be read; open it elsewhere, or save it as JPEG" in capsys.readouterr().err
    for number in range(4):
        (folder / f"empty {number}.png").touch()
    assert main([*arguments, "--smoothing", "0"]) == 0
    several = "empty 0.png, empty 1.png, empty 2.png and 2 more"
    said = capsys.readouterr().err
    assert f"{several} of {folder} cannot be decoded, so their rows are empty; copy them again" in said


def test_numbers_that_are_missing_among_frames_are_told(tmp_path: Path) -> None:
    for number in (1, 2, 5, 12):
        write(tmp_path / f"f_{number}.png", np.full((8, 8, 3), number, np.uint8))
    files = in_order(tmp_path.iterdir())
    said = PhotoReader(files, fps=30).warning
    assert said == "8 numbers are missing between f_1 and f_12; times count the pictures that are there."
    assert PhotoReader(files).warning is None
    assert PhotoReader(files[:2], fps=30).warning is None
    assert PhotoReader([*files, write(tmp_path / "last.png", np.zeros((8, 8, 3), np.uint8))], fps=30).warning is None


def test_a_picture_among_frames_that_is_none_is_told(tmp_path: Path) -> None:
    """It moves the times of all that follow."""
    for name in ("cover", *(f"f{number:03}" for number in range(1, 12) if number != 7)):
        write(tmp_path / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
    assert PhotoReader(in_order(tmp_path.iterdir()), fps=30).warning == (
        "cover is not numbered as the others are, but counts as a frame; move it elsewhere if it is none. "
        "A number is missing between f001 and f011; times count the pictures that are there."
    )


def test_frames_with_the_number_of_another_are_told(tmp_path: Path) -> None:
    """They were saved in two formats, or copied beside themselves."""
    white = np.full((8, 8, 3), 255, np.uint8)
    files = [write(tmp_path / f"{number:04}.png", white) for number in range(3)]
    files.append(write(tmp_path / "0001.jpg", white))
    assert PhotoReader(in_order(files), fps=30).warning == (
        "0001 has the number of another picture, but each counts as a frame; keep one for each number."
    )
    files.append(write(tmp_path / "2.jpg", white))
    said = "2 pictures, 0001 first, have the numbers of others, but each counts as a frame; keep one for each number."
    assert PhotoReader(in_order(files), fps=30).warning == said
    assert PhotoReader(in_order(files)).warning is None


def test_frames_of_several_series_are_told(tmp_path: Path) -> None:
    """Of two cameras, they would follow one another as one video."""
    white = np.full((8, 8, 3), 255, np.uint8)
    files = [write(tmp_path / f"{side}_{number:04}.png", white) for side in "LR" for number in range(3)]
    assert PhotoReader(in_order(files), fps=30).warning == (
        "The pictures are numbered in 2 series, from L_0000, R_0000 on, but count as one video; "
        "if they are not one, put each series into a folder of its own."
    )
    assert PhotoReader(files).warning is None
    files += [write(tmp_path / f"{name}.png", white) for name in ("a1", "a2", "b1", "b2", "cover1")]
    said = PhotoReader(in_order(files), fps=30).warning
    assert said is not None
    assert "in 4 series, from a1, b1, L_0000 and 1 more on, but" in said


def test_a_rate_for_videos_is_refused(tmp_path: Path) -> None:
    """They have one of their own: whoever gives one believes that it holds."""
    clip = cut_from_demo(tmp_path / "clip.mp4", 2)
    with pytest.raises(InputError, match=r"--fps is for pictures that are frames, and there are none here"):
        analyse([Input(clip)], tmp_path / "out", fps=10)


def test_the_folder_one_stands_in_has_a_name_too(stimuli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stimuli)
    found = find_inputs([Path()])
    assert session_names(found) == ["stimuli"]
    assert found[0].absolute().path == stimuli
