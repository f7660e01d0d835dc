from __future__ import annotations

import argparse
import csv
import errno
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from rtatl_core.assets import asset
from rtatl_core.cli import COMMANDS, main
from rtatl_core.commands import doctor
from rtatl_core.errors import PredictionError
from rtatl_core.predictor import Predictor
from rtatl_core.sessions.session import SessionWriter, read_session
from rtatl_core.temporal import SMOOTHING_S
from tests.clips import cut_from_demo, damage_frame, write_clip
from tests.tables import csv_rows


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first second of the demo."""
    return cut_from_demo(tmp_path_factory.mktemp("clip") / "one second.mp4", 25)


def test_analyze_writes_a_session(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(clip), "--out", str(tmp_path), "--device", "cpu"]) == 0
    (folder,) = tmp_path.iterdir()
    assert capsys.readouterr().out.strip() == str(folder)
    assert folder.name.startswith("one second_20")
    meta, columns = read_session(folder)
    assert meta["status"] == "complete"
    assert (meta["source"]["start_s"], meta["source"]["duration_s"]) == (0, 1)
    assert meta["model"]["name"]
    assert meta["model"]["trained_on"] == "synthetic faces and AI-rated photos"
    assert meta["settings"]["smoothing_s"] == SMOOTHING_S  # as in the window
    assert meta["counts"] == {"captured": 25, "analysed": 25, "dropped": 0, "rows": 25, "faces": 1}
    np.testing.assert_array_equal(columns["frame"], np.arange(1, 26))
    np.testing.assert_allclose(columns["timestamp"], np.arange(25) / 25, atol=1e-3)
    assert (columns["success"] == 1).all()
    assert ((columns["AU12_r"] >= 0) & (columns["AU12_r"] <= 5)).all()


def test_the_recipe_in_the_docs_reads_a_session(clip: Path, tmp_path: Path) -> None:
    assert main(["analyze", str(clip), "--out", str(tmp_path), "--device", "cpu"]) == 0
    (folder,) = tmp_path.iterdir()
    text = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")
    recipe = text.split("```python\n")[1].split("```")[0].replace('"SESSION"', repr(str(folder)))
    command = [sys.executable, "-X", "utf8", "-c", recipe]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    _, columns = read_session(folder)
    smile = columns["AU12_r"]
    strongest = columns["timestamp"][smile.argmax()]
    assert done.stdout.splitlines() == [
        "complete, 100% of the rows have a face",
        f"AU12: {smile.mean():.2f} in the mean, strongest at {strongest:.1f} s",
    ]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__.rpartition(".")[2])
def test_help_says_what_a_command_does_and_what_each_argument_is(
    command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert [action.dest for action in parser._actions if not action.help] == []
    with pytest.raises(SystemExit):
        main([command.__name__.rpartition(".")[2], "--help"])
    assert " ".join(command.HELP.split()) in " ".join(capsys.readouterr().out.split())


def small_study(folder: Path) -> None:
    """One session is whole, one was interrupted, one is of a video that ends too early; and one is of photos."""
    for name, status in (("a", "complete"), ("b", "interrupted: the program ended"), ("c", "cut off")):
        session = folder / "sessions" / name
        session.mkdir(parents=True)
        facts = {"model": {"trust": {"12": "good"}}, "status": status}
        (session / "session.json").write_text(json.dumps(facts, indent=2))
        (session / "frames.csv").write_text("frame,face_id,timestamp,success,AU12_r\n1,0,0.0,1,0.5\n2,0,6.0,1,1.5\n")
    photos = shutil.copytree(folder / "sessions" / "a", folder / "sessions" / "d")
    (photos / "frames.csv").write_text("frame,face_id,timestamp,success,AU12_r,file\n1,0,,1,0.5,one.jpg\n")


@pytest.mark.parametrize("language", ["r", "python"])
def test_the_recipes_for_a_study_take_whole_sessions_only(language: str, tmp_path: Path) -> None:
    """An interrupted one is analysed anew: with both, its person would count twice."""
    if language == "python":
        pytest.importorskip("pandas")
    elif shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    small_study(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")
    recipe = text.split(f"```{language}\n")[2].split("```")[0]
    command = ["Rscript", "-e"] if language == "r" else [sys.executable, "-c"]
    done = subprocess.run([*command, recipe], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [word for word in done.stdout.split() if word in ("a", "b", "c", "d")] == ["a", "c", "d"]
    smiles = [(row["session"], row["AU12_r"]) for row in csv_rows(tmp_path / "all-frames.csv") if row["AU12_r"]]
    if language == "r":
        assert smiles == [("a", "0.5"), ("a", "1.5"), ("c", "0.5"), ("c", "1.5"), ("d", "0.5")]
    else:  # takes off the rest
        assert smiles == [("a", "0.0"), ("a", "1.0"), ("c", "0.0"), ("c", "1.0")]


def test_inputs_that_fail_are_named_and_the_rest_goes_on(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    missing = tmp_path / "missing.mp4"
    out = tmp_path / "out"
    assert main(["analyze", str(missing), str(clip), str(text), "--out", str(out), "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert str(missing) in said.err
    assert str(text) in said.err
    assert main(["analyze", str(missing), "--out", str(out), "--device", "cpu"]) == 2


def test_a_damaged_frame_keeps_its_row_and_the_rest_is_analysed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cut_from_demo(tmp_path / "damaged.mp4", 25)
    damage_frame(path, 10)
    arguments = ["analyze", str(path), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(arguments) == 0
    (folder,) = (tmp_path / "out").iterdir()
    warning = f"1 frame of {path} cannot be decoded, so its row is empty; copy the file again."
    assert warning in capsys.readouterr().err
    meta, columns = read_session(folder)
    assert (meta["status"], meta["warning"]) == ("complete", warning)
    assert meta["counts"] == {"captured": 25, "analysed": 24, "dropped": 1, "rows": 25, "faces": 1}
    assert columns["frame"].tolist() == list(range(1, 26))
    assert np.flatnonzero(columns["success"] == 0).tolist() == np.flatnonzero(columns["analysed"] == 0).tolist() == [9]
    assert np.isnan(columns["AU12_r"][9])
    np.testing.assert_allclose(columns["timestamp"], np.arange(25) / 25, atol=1e-3)
    events = (folder / "events.csv").read_text().splitlines()[1:]
    assert events == [
        "0.360000,10,warning,Frame 10 of damaged.mp4 (0.4 s) is damaged and cannot be decoded; its row is empty."
    ]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert warning in said.err, "again, when it is skipped"
    assert "(analysed before)" in said.out


def test_a_video_that_was_cut_off_is_not_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_clip(tmp_path / "cut.avi", frames=60, codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for run in ("", "  (analysed before)"):
        assert main(["analyze", str(path), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
        (folder,) = (tmp_path / "out").iterdir()
        said = capsys.readouterr()
        assert said.out == f"{folder}{run}\n"
        assert "so it was cut off" in said.err
        assert "No face was found" in said.err
    assert read_session(folder)[0]["status"] == "cut off"


@pytest.mark.parametrize("smoothing", ["nan", "inf", "-1", "much"])
def test_a_smoothing_that_is_no_duration_is_refused(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], smoothing: str
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["analyze", str(clip), "--out", str(tmp_path), "--smoothing", smoothing])
    assert refused.value.code == 2
    assert "--smoothing" in capsys.readouterr().err


def test_no_face_is_said_of_a_video_with_a_damaged_frame_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_clip(tmp_path / "wall.mp4", frames=20)
    damage_frame(path, 10)
    assert main(["analyze", str(path), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert "No face was found in any of the 20 frames" in said
    assert "1 frame of" in said


def test_a_face_that_the_network_cannot_read_is_a_face(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_number(*_: object, **__: object) -> None:
        raise PredictionError("the network gave no number (NaN) for this frame")

    monkeypatch.setattr(Predictor, "warm_up", lambda predictor: None)
    monkeypatch.setattr(Predictor, "run", no_number)
    assert main(["analyze", str(clip), "--out", str(tmp_path), "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "No face was found" not in said
    assert "gave no number" in said
    (folder,) = tmp_path.iterdir()
    assert (folder / "events.csv").read_text().count("gave no number") == 25


def test_no_face_is_said_and_rows_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_clip(tmp_path / "wall.mp4", 5, size=(160, 120))
    assert main(["analyze", str(path), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "No face was found in any of the 5 frames" in capsys.readouterr().err
    (folder,) = (tmp_path / "out").iterdir()
    rows = csv_rows(folder / "frames.csv")
    assert len(rows) == 5
    assert all(row["success"] == "0" and row["AU12_r"] == "" and row["face_id"] == "" for row in rows)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "no-such-model"], "is missing; name a .safetensors"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
    ],
)
def test_unusable_options_end_with_2(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(["analyze", str(clip), "--out", str(tmp_path), *arguments]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["analyze", "x.mp4", "--out", "y", "--faces", "two"], "--faces: 'two' is no number"),
        (["analyze", "x.mp4", "--out", "y", "--faces", "1.5"], "--faces: write a whole number from 1 on"),
        (["analyze", "", "--out", "y"], "the word after analyze is empty; is a variable in your command not set?"),
        (["analyze", "x.mp4", "--out", ""], "the word after --out is empty"),
        (["soak", "--hours", "1", "--pace", "0", "--out", "y"], "--pace: write a number above 0"),
    ],
)
def test_numbers_and_paths_that_are_none_are_named(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert sentence in capsys.readouterr().err


def test_output_that_cannot_be_written(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert main(["analyze", str(clip), "--out", str(blocked), "--device", "cpu"]) == 2
    assert str(blocked) in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows says so by another error")
def test_nobody_reads_on() -> None:
    arguments = [sys.executable, "-m", "rtatl_core", "doctor"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.stderr.read() == "rtatl: stopped\n"
    assert command.returncode == 141


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends none")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_closes_the_files_and_says_how_to_go_on(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = SessionWriter.append
    monkeypatch.setattr(SessionWriter, "append", lambda *of: (write(*of), signal.raise_signal(signal.Signals[name])))
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    clip = write_clip(tmp_path / "clip.mp4", 5)
    assert main(["analyze", str(clip), "--out", str(tmp_path / "out"), "--device", "cpu"]) == code
    assert capsys.readouterr().err == "rtatl: stopped; the same command goes on from here\n"
    facts, columns = read_session(next((tmp_path / "out").iterdir()))
    assert facts["status"].startswith("stopped: ")
    assert len(columns["frame"]) == 1
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no nohup")
def test_nohup_keeps_a_command_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "run", lambda options: signal.raise_signal(signal.SIGHUP) or 0)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["doctor"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_full_disk_is_told_whatever_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(options: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(doctor, "run", write)
    assert main(["doctor"]) == 2
    assert "takes no more (No space left on device); make room" in capsys.readouterr().err


def test_a_folder_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def gone() -> str:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr("os.getcwd", gone)
    assert main(["analyze", "clip.mp4", "--out", "out"]) == 2
    assert capsys.readouterr().err.startswith("rtatl: the folder in which this was started is gone; change to another")


def test_without_stderr_videos_are_analysed_too(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["analyze", str(clip), "--out", str(tmp_path), "--device", "cpu"]) == 0


def test_prepare_and_train_from_a_folder_of_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of the README, on frames of the demo."""
    root = tmp_path / "renders"
    (root / "images").mkdir(parents=True)
    source = cv2.VideoCapture(str(asset("demo.mp4")))
    with asset("demo.csv").open(newline="") as file, (root / "labels.csv").open("w", newline="") as out:
        truth = [row for row in csv.DictReader(file) if row["face"] == "0" and int(row["frame"]) <= 620]
        columns = ["image", *truth[0]]
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        for row in truth[::40]:
            source.set(cv2.CAP_PROP_POS_FRAMES, int(row["frame"]) - 1)
            name = f"{row['frame']}.jpg"
            cv2.imwrite(str(root / "images" / name), source.read()[1])
            writer.writerow({"image": name, **row})
        writer.writerow({"image": "gone.jpg", **truth[0]})
    source.release()
    assert main(["prepare", "rendered", "--root", str(root), "--out", str(tmp_path / "chips")]) == 0
    assert "16 used, 1 picture missing or unreadable" in capsys.readouterr().out
    recipe = tmp_path / "r.toml"
    recipe.write_text('name = "small"\ntrained_on = "sixteen renders"\n')
    settings = [f"data.labelled={tmp_path / 'chips'}", "optim.epochs=1", "optim.labelled_batch=4", "network.width=8"]
    flags = [part for setting in settings for part in ("--set", setting)]
    assert main(["train", str(recipe), "--out", str(tmp_path / "run"), *flags]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "run" / "small.safetensors")
    assert "epoch 1/1" in printed.err
    card = json.loads((tmp_path / "run" / "small.json").read_text())
    assert card["trained_on"] == "sixteen renders"
    assert main(["train", str(recipe), "--out", str(tmp_path / "run"), *flags]) == 2
    assert "run holds a run already; add --resume" in capsys.readouterr().err
    assert main(["prepare", "rendered", "--root", str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert "holds no labels.csv" in capsys.readouterr().err


@pytest.mark.parametrize("flag", [("--codes", "x"), ("--camera", "right")])
def test_a_flag_that_the_kind_would_not_use_is_refused(
    flag: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "videos", "--root", str(tmp_path), "--out", str(tmp_path / "x"), *flag]) == 2
    assert f"{flag[0]} is only for prepare " in capsys.readouterr().err
