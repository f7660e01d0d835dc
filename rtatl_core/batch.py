"""Many videos -> a session folder each, over the cores of this machine or the workers of a Dask cluster.

What was analysed before (the same content, model and settings) is left as it is, so the same command goes on after an
interruption. Every worker analyses with an engine of its own on one core; memory does not grow with a video's length.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import socket
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from rtatl_core.analyse import analyse_video
from rtatl_core.card import read_card
from rtatl_core.engine import Engine
from rtatl_core.errors import InputError
from rtatl_core.interrupted import recover_sessions
from rtatl_core.parallel import work_through
from rtatl_core.progress import counter
from rtatl_core.runtimes import graphs_to_run, pick_device
from rtatl_core.temporal import SMOOTHING_S
from rtatl_core.video import VIDEO_SUFFIXES, VideoReader

CLUSTER_ANSWERS_S = 10.0
_REPORT_EVERY = 16
"""Frames between two reports to the bar."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What shapes the numbers; travels to workers, and decides whether a session is still good."""

    model: str | None = None
    device: str = "auto"
    faces: int = 1
    smoothing_s: float = SMOOTHING_S
    personal: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one video; ``error`` says in a sentence why there is no session."""

    video: Path
    folder: Path | None = None
    frames: int = 0
    skipped: bool = False
    """It was analysed before."""
    warning: str | None = None
    error: str | None = None


Done = Mapping[str, tuple[Path, str | None]]
"""Identity of an analysis (``_identity``) -> its session folder, and what was wrong with the video."""


def find_videos(inputs: Iterable[Path]) -> list[Path]:
    """Files as they are named, folders searched to the bottom, in a fixed order. Raises InputError for a folder without
    a video."""
    found: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file())
        if not inside:
            known = ", ".join(sorted(VIDEO_SUFFIXES))
            raise InputError(f"{path} holds no video; name video files, or a folder with {known}")
        found += inside
    return list(dict.fromkeys(found))


def session_names(videos: Sequence[Path]) -> list[str]:
    """Each video's name without its ending; where several are named alike, after as many of the folders around each as
    it takes to tell them apart: P01-pre, P02-pre."""
    alike: defaultdict[str, list[Path]] = defaultdict(list)
    for video in videos:
        alike[video.stem].append(video.absolute().parent)

    def named(folder: Path, stem: str, depth: int) -> str:
        return "-".join((*folder.parts[max(0, len(folder.parts) - depth) :], stem))

    def depth(stem: str) -> int:
        folders = alike[stem]
        longest = max(len(folder.parts) for folder in folders)
        return max(range(longest + 1), key=lambda depth: len({named(folder, stem, depth) for folder in folders}))

    depths = {stem: depth(stem) for stem in alike}
    return [named(video.absolute().parent, video.stem, depths[video.stem]) for video in videos]


def analyse_all(
    videos: Sequence[Path],
    out: Path,
    settings: Settings,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    quiet: bool = False,
) -> Iterator[Outcome]:
    """Analyse every video and yield its outcome as it is done. ``cluster``: address of a Dask scheduler instead of
    processes of this machine; its workers must see the same paths and have this program installed.

    Raises InputError when model, device or cluster cannot be used, SessionError when ``out`` refuses.
    """
    device, card = pick_device(settings.device), read_card(settings.model)
    model = _model(card.facts, graphs_run=bool(graphs_to_run(card, device)))
    for _ in recover_sessions(out):
        pass  # what an earlier run was killed at says so from now on, and is analysed again
    alone = cluster is None and min(jobs, len(videos)) <= 1
    work = partial(
        _analyse_one,
        out=out,
        settings=settings,
        threads=None if alone else 1,
        model=model,
        done=_done_before(out),
    )
    tasks = list(zip(videos, session_names(videos), strict=True))
    frames: Synchronized[int] = multiprocessing.get_context("spawn").Value("Q", 0)
    with _Bar(videos, None if cluster else frames, quiet) as bar:
        try:
            if cluster is not None:
                outcomes = _on_cluster(work, tasks, cluster)
            else:
                _report_to(frames if alone else None)
                outcomes = work_through(work, tasks, jobs, on_start=partial(_report_to, frames))
            for outcome in outcomes:
                bar.count(outcome)
                yield outcome
        finally:
            _report_to(None)
            _own.close()


class _Own(threading.local):
    """The engine of one worker, kept from video to video. An engine belongs to one thread."""

    engine: Engine | None = None
    settings: Settings | None = None

    def get(self, settings: Settings, threads: int | None) -> Engine:
        if self.engine is None or self.settings != settings:
            self.close()
            self.engine = Engine(
                settings.model,
                device=settings.device,
                max_faces=settings.faces,
                smoothing_s=settings.smoothing_s,
                personal=settings.personal,
                threads=threads,
            )
            self.settings = settings
        return self.engine

    def close(self) -> None:
        if self.engine is not None:
            self.engine.close()
        self.engine = self.settings = None


_own = _Own()
_frames: Synchronized[int] | None = None


def _report_to(frames: Synchronized[int] | None) -> None:
    global _frames
    _frames = frames


def _count_frame(number: int) -> None:
    if _frames is not None and number % _REPORT_EVERY == 0:
        with _frames.get_lock():
            _frames.value += _REPORT_EVERY


def _analyse_one(
    task: tuple[Path, str], out: Path, settings: Settings, threads: int | None, model: str, done: Done
) -> Outcome:
    """``task``: a video, and what to call its session."""
    video, name = task
    try:
        content = content_hash(video)
        if before := done.get(_identity(content, model, settings)):
            return Outcome(video, before[0], skipped=True, warning=before[1])
        engine = _own.get(settings, threads)
        source = {"sha256": content}
        analysed = analyse_video(video, out, engine, name=name, source=source, on_frame=_count_frame)
    except InputError as error:
        return Outcome(video, error=str(error))
    return Outcome(video, analysed.folder, analysed.frames, warning=analysed.warning)


def content_hash(video: Path) -> str:
    """sha256 of the file. Raises InputError."""
    try:
        with video.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{video} cannot be read ({error.strerror}); check the name and that you may read it"
        ) from error


def _model(facts: Mapping[str, Any], *, graphs_run: bool) -> str:
    """What decides the numbers: the weights, how their output is read, and the graph if one in int8 runs; a float32
    one gives what torch gives."""
    is_int8 = graphs_run and facts.get("onnx_parity", {}).get("precision") == "int8"
    graph = facts["onnx"]["network"] if is_int8 else None
    return json.dumps([facts["sha256"], facts["calibration"], graph], sort_keys=True)


def _identity(content: str, model: str, settings: Settings) -> str:
    parts = {name: value for name, value in asdict(settings).items() if name not in ("model", "device")}
    return json.dumps([content, model, parts], sort_keys=True)


def _done_before(out: Path) -> Done:
    """The sessions in ``out`` that hold all there is to be had from their video."""
    found: dict[str, tuple[Path, str | None]] = {}
    for file in sorted(out.glob("*/session.json")):
        try:
            session: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            said, status = session["settings"], session["status"]
            model = _model(session["model"], graphs_run=said["runtime"] != "torch")
            content = session["source"]["sha256"]
            settings = Settings(
                faces=said["max_faces"], smoothing_s=said["smoothing_s"], personal=said.get("personal", True)
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a live recording, or a session of another program
        if status in ("complete", "cut off"):
            found[_identity(content, model, settings)] = file.parent, session.get("warning")
    return found


def _on_cluster(work: partial[Outcome], tasks: Sequence[tuple[Path, str]], address: str) -> Iterator[Outcome]:
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise InputError("a cluster needs Dask; install it with: pip install 'au-desktop[cluster]'") from error
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:  # a Client that fails leaves its threads behind
        socket.create_connection((host, int(port)), CLUSTER_ANSWERS_S).close()
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address} ({error}); start one with: dask scheduler") from error
    with Client(address) as client:
        for future in as_completed(client.map(work, tasks, pure=False)):
            yield future.result()


class _Bar:
    """Frames done of all there are, on stderr; with ``frames`` it moves while workers work, without when a video is
    done."""

    def __init__(self, videos: Sequence[Path], frames: Synchronized[int] | None, quiet: bool) -> None:
        self._frames = frames
        self._ended = threading.Event()
        self._bar = counter(unit="frame", quiet=quiet)
        if not self._bar.disable:
            self._bar.total = sum(_length(video) for video in videos) or None
        self._bar.set_postfix_str(f"0 of {len(videos)} videos")
        self._count, self._videos = 0, len(videos)
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> _Bar:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._bar.close()

    def count(self, outcome: Outcome) -> None:
        self._count += 1
        self._bar.set_postfix_str(f"{self._count} of {self._videos} videos")
        if self._frames is None or outcome.skipped:
            self._bar.update(_length(outcome.video) if outcome.skipped else outcome.frames)

    def _follow(self) -> None:
        shown = 0
        while self._frames is not None and not self._ended.wait(0.3):
            now = self._frames.value
            self._bar.update(now - shown)
            shown = now


def _length(video: Path) -> int:
    """Frames as its container says; 0 where it does not."""
    try:
        with VideoReader(video) as reader:
            return reader.frame_count or 0
    except InputError:
        return 0
