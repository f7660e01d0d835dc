"""Many videos: each once, by one process, by several, or by a cluster, and never again."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch
from tqdm import tqdm

from rtatl_core.calibration import Calibration
from rtatl_core.cli import main
from rtatl_core.engine import Engine
from rtatl_core.errors import InputError, PredictionError
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.runtimes.export import export_onnx
from rtatl_core.sessions import batch
from rtatl_core.sessions.batch import Outcome, Settings, analyse_all
from rtatl_core.sessions.inputs import Input, find_inputs, session_names
from rtatl_core.weights import save_model
from tests.clips import cut_from_demo


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short clips of the demo, one of them deeper down, and a text."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "day 2").mkdir()
    cut_from_demo(folder / "anna.mp4", 8)
    cut_from_demo(folder / "day 2" / "ben.MP4", 8, skip=8)
    (folder / "notes.txt").write_text("no video")
    return folder


def frames_of(outcome: Outcome) -> str:
    assert outcome.folder is not None
    return (outcome.folder / "frames.csv").read_text()


def run(videos: Path, out: Path, **options: object) -> dict[str, Outcome]:
    outcomes = analyse_all(find_inputs([videos]), out, Settings(device="cpu"), **options)  # type: ignore[arg-type]
    return {outcome.input.stem: outcome for outcome in outcomes}


def test_what_was_analysed_is_not_analysed_again(videos: Path, tmp_path: Path) -> None:
    first = run(videos, tmp_path, jobs=1)
    assert all(outcome.frames == 8 and not outcome.skipped for outcome in first.values())
    copy = tmp_path / "renamed.mp4"
    shutil.copy(videos / "anna.mp4", copy)
    (again,) = analyse_all(find_inputs([copy]), tmp_path, Settings(device="cpu"))
    assert again.skipped
    assert again.folder == first["anna"].folder
    assert again.warning == f"{copy} has the content of {videos / 'anna.mp4'}, analysed before in {again.folder}."
    assert run(videos, tmp_path)["anna"].warning is None
    (other,) = analyse_all(find_inputs([copy]), tmp_path, Settings(device="cpu", smoothing_s=0.0))
    assert not other.skipped, "other settings give other numbers"
    before = first["anna"].folder / "session.json"  # type: ignore[operator]
    facts = json.loads(before.read_text())
    facts["model"]["calibration"]["gain"][0] += 1
    before.write_text(json.dumps(facts))
    assert not run(videos, tmp_path)["anna"].skipped, "another calibration too"
    session = first["ben"].folder / "session.json"  # type: ignore[operator]
    session.write_text(json.dumps(json.loads(session.read_text()) | {"status": "recording"}))
    assert not run(videos, tmp_path)["ben"].skipped, "an interrupted session is none"


def test_a_copy_of_the_same_name_is_told_and_a_folder_that_moved_is_not(tmp_path: Path) -> None:
    study, out = tmp_path / "study", tmp_path / "out"
    cut_from_demo(study / "P01" / "pre.mp4", 4)
    (first,) = run(study, out).values()
    shutil.copytree(study / "P01", study / "P02")
    own, copy = analyse_all(find_inputs([study]), out, Settings(device="cpu"))
    assert (own.skipped, own.folder, own.warning) == (True, first.folder, None)
    paths = [study / folder / "pre.mp4" for folder in ("P02", "P01")]
    assert copy.warning == f"{paths[0]} has the content of {paths[1]}, analysed before in {first.folder}."
    shutil.rmtree(study / "P02")
    study.rename(tmp_path / "moved")
    (moved,) = run(tmp_path / "moved", out).values()
    assert (moved.skipped, moved.folder, moved.warning) == (True, first.folder, None)
    shutil.copytree(first.folder, out / "twin")  # type: ignore[arg-type]
    facts = json.loads((out / "twin" / "session.json").read_text())
    facts["source"]["target"] = str(tmp_path / "moved" / "P01" / "pre.mp4")
    (out / "twin" / "session.json").write_text(json.dumps(facts))
    (moved,) = run(tmp_path / "moved", out).values()
    assert moved.folder == out / "twin", "each has its own"


def test_the_bar_counts_every_frame(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = [tqdm(total=0, file=io.StringIO()) for _ in range(2)]
    for bar in bars:  # the second time they were analysed before
        monkeypatch.setattr(batch, "counter", lambda bar=bar, **_: bar)
        run(videos, tmp_path, jobs=1)
        assert bar.n == bar.total == 16


def test_sessions_tell_which_of_the_videos_named_alike_they_are_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["P01/day 1/pre.mp4", "P02/day 1/pre.mp4", "P02/day 1/post.mp4"]
    assert session_names([Input(tmp_path / name) for name in names]) == ["P01-day 1-pre", "P02-day 1-pre", "post"]
    names = ["a/x.mp4", "a/x.avi", "b/x.mp4"]
    assert session_names([Input(Path(name)) for name in names]) == ["a-x.mp4", "a-x.avi", "b-x"]
    for folder in ("P01", "P02"):
        (tmp_path / folder).mkdir()
        cut_from_demo(tmp_path / folder / "pre.mp4", 4, skip=int(folder[1:]))
    monkeypatch.chdir(tmp_path)
    outcomes = analyse_all(find_inputs([Path("P01/pre.mp4"), Path("P02/pre.mp4")]), Path("out"), Settings(device="cpu"))
    for outcome, folder in zip(outcomes, ("P01", "P02"), strict=True):
        assert outcome.folder is not None
        assert outcome.folder.name.startswith(f"{folder}-pre_20")
        source = json.loads((outcome.folder / "session.json").read_text())["source"]
        assert source["target"] == str(tmp_path / folder / "pre.mp4")


def test_what_a_person_stops_says_so(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(count: object, number: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(batch._Count, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        run(videos, tmp_path)
    (session,) = tmp_path.glob("*/session.json")
    assert json.loads(session.read_text())["status"] == "stopped: KeyboardInterrupt"


@pytest.mark.slow
def test_what_another_graph_analysed_is_analysed_again(videos: Path, tmp_path: Path) -> None:
    lifted = Calibration(np.ones(2, np.float32), np.full(2, -0.5, np.float32))  # nothing is clipped
    torch.manual_seed(0)
    network = RTATL(RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16), flow=False)
    save_model(tmp_path / "tiny", network, lifted, {"name": "tiny", "trained_on": "nothing", "trust": {}})
    model = tmp_path / "tiny.safetensors"

    def analyse() -> Outcome:
        settings = Settings(str(model), device="cpu")
        (outcome,) = analyse_all([Input(videos / "anna.mp4")], tmp_path / "out", settings)
        return outcome

    by_torch = analyse()
    export_onnx(model)
    assert analyse().folder == by_torch.folder, "the same numbers"
    export_onnx(model, "int8", ranges_from=[videos / "anna.mp4"], parity_on=[videos / "anna.mp4"])
    by_int8 = analyse()
    assert not by_int8.skipped
    assert analyse().folder == by_int8.folder
    export_onnx(model, "int8", ranges_from=[videos / "day 2" / "ben.MP4"], parity_on=[videos / "anna.mp4"])
    assert not analyse().skipped, "other ranges"
    model.with_suffix(".onnx").unlink()
    assert analyse().folder == by_torch.folder


@pytest.mark.slow
def test_processes_and_clusters_give_the_files_of_one_process(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    alone = run(videos, tmp_path / "alone", jobs=1)
    several = run(videos, tmp_path / "several", jobs=2)
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        monkeypatch.chdir(tmp_path)  # workers stand elsewhere than whoever names a folder
        spread = run(Path(os.path.relpath(videos)), Path("spread"), cluster=cluster.scheduler_address)
        again = run(Path(os.path.relpath(videos)), Path("spread"), cluster=cluster.scheduler_address)
    assert all(outcome.skipped for outcome in again.values())
    assert set(alone) == set(several) == set(spread) == {"anna", "ben"}
    for name, outcome in alone.items():
        assert frames_of(several[name]) == frames_of(spread[name]) == frames_of(outcome)


def test_a_cluster_that_does_not_answer_is_named(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "CLUSTER_ANSWERS_S", 0.3)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(videos, tmp_path, cluster="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match=r"laptop is no address of a Dask scheduler; write it like tcp://host:8786"):
        run(videos, tmp_path, cluster="laptop")


def test_a_worker_of_a_cluster_that_dies_is_told_and_the_rest_goes_on(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import KilledWorker

    class Died(Future[Outcome]):
        def __init__(self, work: Callable[..., Outcome], task: tuple[Input, str]) -> None:
            super().__init__()
            self.key = task[1]
            if task[1] == "anna":
                self.set_exception(KilledWorker("anna", None, 3))
            elif task[1] == "ben":
                self.cancel()
            else:
                self.set_result(work(task))

    class Client(contextlib.nullcontext[None]):
        def __enter__(self) -> Client:  # type: ignore[override]
            return self

        def map(self, work: Callable[..., Outcome], tasks: list[tuple[Input, str]], pure: bool) -> list[Died]:
            return [Died(work, task) for task in tasks]

    monkeypatch.setattr("distributed.Client", Client)
    monkeypatch.setattr("distributed.as_completed", iter)
    monkeypatch.setattr(batch.socket, "create_connection", lambda *_: io.BytesIO())
    inputs = [*find_inputs([videos]), Input(tmp_path / "missing.mp4")]
    outcomes = list(analyse_all(inputs, tmp_path / "out", Settings(device="cpu"), cluster="tcp://127.0.0.1:9"))
    for outcome, one in zip(outcomes[:2], inputs, strict=False):
        assert outcome.error == (
            f"{one.path}: a worker process died, perhaps for lack of memory; "
            "run the same command with fewer workers to a machine to continue"
        )
    assert "missing.mp4 cannot be read" in str(outcomes[2].error)


def test_what_was_analysed_before_travels_light(videos: Path, tmp_path: Path) -> None:
    """With every input, whatever a model's calibration holds."""
    run(videos, tmp_path, jobs=1)
    done = batch._done_before(tmp_path)
    assert len(done) == 2
    assert max(map(len, done)) <= 64


def test_a_bad_video_is_named_and_the_rest_goes_on(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(np.random.default_rng(0).bytes(5000))
    arguments = ["analyze", str(bad), str(videos / "anna.mp4"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*arguments, "--jobs", "1"]) == 1
    said = capsys.readouterr()
    assert "bad.mp4 cannot be read as a video" in said.err
    assert len(said.out.splitlines()) == 1
    assert main([*arguments, "--jobs", "1"]) == 1
    assert "(analysed before)" in capsys.readouterr().out


def test_what_nobody_foresaw_is_named_and_the_rest_goes_on(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batch.analyse_video

    def broken(path: Path, *arguments: object, **options: object) -> object:
        if path.stem == "anna":
            raise ValueError("a point is missing")
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "analyse_video", broken)
    outcomes = run(videos, tmp_path)
    assert outcomes["ben"].frames == 8
    assert str(outcomes["anna"].error).endswith(
        "anna.mp4 was given up (ValueError: a point is missing); please report this"
    )


def test_a_video_that_gave_no_numbers_is_an_error_and_analysed_again(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_numbers(*_: object) -> None:
        raise PredictionError("no number (NaN)")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "analyse", no_numbers)
        outcomes = run(videos, tmp_path, jobs=1)
    assert outcomes["anna"].error == f"No frame of {videos / 'anna.mp4'} gave numbers (no number (NaN))."
    again = run(videos, tmp_path, jobs=1)["anna"]
    assert (again.skipped, again.error, again.frames) == (False, None, 8)


def test_what_was_cut_off_is_marked_and_analysed_again(videos: Path, tmp_path: Path) -> None:
    first = run(videos, tmp_path)["anna"].folder
    assert first is not None
    facts = json.loads((first / "session.json").read_text())
    facts |= {"status": "recording", "process": facts["process"] | {"pid": 2**22 + 1}}
    (first / "session.json").write_text(json.dumps(facts, indent=2))
    again = run(videos, tmp_path)
    assert again["ben"].skipped
    assert again["anna"].folder != first
    assert json.loads((first / "session.json").read_text())["status"].startswith("interrupted")


@pytest.mark.parametrize("below", ["", "sessions"])
def test_a_place_that_is_no_folder_is_named_once(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], below: str
) -> None:
    (tmp_path / "notes.txt").write_text("no folder")
    out = tmp_path / "notes.txt" / below
    assert main(["analyze", str(videos), "--out", str(out), "--jobs", "1"]) == 2
    assert capsys.readouterr().err == f"rtatl: {out} cannot be written (Not a directory); choose another folder.\n"
