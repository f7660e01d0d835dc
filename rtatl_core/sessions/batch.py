"""Many videos and folders of photos -> a session folder each, over the cores of this machine or the workers of a Dask
cluster.

What was analysed before (the same content, model and settings) is left as it is, so the same command goes on after an
interruption. Every worker analyses with an engine of its own on one core; memory does not grow with a video's length.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from rtatl_core.card import read_card
from rtatl_core.engine import Engine
from rtatl_core.errors import InputError, PredictionError
from rtatl_core.handoffs import OF_PHOTOS
from rtatl_core.parallel import WORKER_DIED, work_through
from rtatl_core.progress import counter
from rtatl_core.runtimes.choose import graphs_to_run, pick_device
from rtatl_core.sessions.analyse import analyse_photos, analyse_video
from rtatl_core.sessions.inputs import Input, session_names
from rtatl_core.sessions.interrupted import recover_sessions
from rtatl_core.sessions.rest import RestWhere, identity_of
from rtatl_core.sessions.session import check_root
from rtatl_core.system import how_to_install
from rtatl_core.temporal import SMOOTHING_S

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
    tracking: bool = True
    """Off for photos that have nothing to do with each other; nothing is smoothed or compared then."""
    rest: RestWhere | None = None

    @property
    def of_photos(self) -> Settings:
        return replace(self, **OF_PHOTOS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input; ``error`` says in a sentence why there is no session."""

    input: Input
    folder: Path | None = None
    frames: int = 0
    skipped: bool = False
    """It was analysed before."""
    warning: str | None = None
    error: str | None = None


Done = Mapping[str, Mapping[str, tuple[Path, str | None]]]
"""Identity of an analysis (``_identity``) -> whole paths of the inputs that have it -> session folder, and what was
wrong with the input."""


def analyse_all(
    inputs: Sequence[Input],
    out: Path,
    settings: Settings,
    *,
    fps: float | None = None,
    jobs: int = 1,
    cluster: str | None = None,
) -> Iterator[Outcome]:
    """Analyse every input and yield its outcome as it is done. ``fps``: the pictures of a folder are frames of a video
    at that rate, instead of photos. ``cluster``: address of a Dask scheduler instead of processes of this machine; its
    workers must see the same paths and have this program installed.

    Raises InputError when model, device or cluster cannot be used or there are no pictures for ``fps``, SessionError
    when ``out`` is no folder (``check_root``). What its disk refuses later, each outcome says for itself.
    """
    if fps and not any(one.photos for one in inputs):
        raise InputError(
            "--fps is for pictures that are frames, and there are none here; leave it out, videos tell their own"
        )
    check_root(out)
    _check_rest(settings, photos=fps is None and any(one.photos for one in inputs))
    device, card = pick_device(settings.device), read_card(settings.model)
    model = _model(card.facts, graphs_run=bool(graphs_to_run(card, device)))
    settings = replace(settings, personal=settings.personal and card.config.reference)
    if cluster is not None:  # its workers were started elsewhere
        out, inputs = out.absolute(), [one.absolute() for one in inputs]
        settings = replace(settings, model=str(card.path.absolute()) if settings.model else None)
        settings = replace(settings, rest=settings.rest.absolute() if settings.rest else None)
    for _ in recover_sessions(out):
        pass  # what an earlier run was killed at says so from now on, and is analysed again
    alone = cluster is None and min(jobs, len(inputs)) <= 1
    work = partial(
        _analyse_one,
        out=out,
        settings=settings,
        fps=fps,
        threads=None if alone else 1,
        model=model,
        rest=identity_of(settings.rest.to_json() if settings.rest else None),
        done=_done_before(out),
    )
    tasks = list(zip(inputs, session_names(inputs), strict=True))
    frames: Synchronized[int] = multiprocessing.get_context("spawn").Value("Q", 0)
    with _Bar(inputs, None if cluster else frames) as bar:
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


def _check_rest(settings: Settings, *, photos: bool) -> None:
    if settings.rest is not None and settings.faces > 1:
        raise InputError(f"--rest is of one person, and --faces follows {settings.faces}; leave one of them out")
    if settings.rest is not None and settings.rest.between is not None and photos:
        raise InputError("--rest has seconds, and photos have none; name a photo of the person at rest")


class _Own(threading.local):
    """The engine of one worker, kept from input to input. An engine belongs to one thread."""

    engine: Engine | None = None
    made_for: tuple[Settings, str, str | None] | None = None

    def get(
        self, settings: Settings, threads: int | None, model: str, identity: str | None, one: Input, fps: float | None
    ) -> Engine:
        """``model``, ``identity``: of model and rest, whose files may be others under the same names since a worker of
        a cluster was here last. ``one``: what is analysed next, with ``fps``."""
        if self.engine is None or self.made_for != (settings, model, identity):
            self.close()
            self.engine = Engine(
                settings.model,
                device=settings.device,
                max_faces=settings.faces,
                smoothing_s=settings.smoothing_s,
                personal=settings.personal,
                tracking=settings.tracking,
                threads=threads,
            )
            self.made_for = settings, model, identity
        rest = settings.rest
        if rest is not None and (rest.between is not None or self.engine.everyones_rest is None):
            self.engine.everyones_rest = rest.measure(self.engine, one, fps)
        return self.engine

    def close(self) -> None:
        if self.engine is not None:
            self.engine.close()
        self.engine = self.made_for = None


_own = _Own()
_frames: Synchronized[int] | None = None


def _report_to(frames: Synchronized[int] | None) -> None:
    global _frames
    _frames = frames


class _Count:
    """Tells of the frames of one input that are done."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, number: int) -> None:
        """``number``: of a frame; those before it are done, too."""
        if number - self._told >= _REPORT_EVERY:
            self.up_to(number)

    def up_to(self, number: int) -> None:
        if _frames is not None:
            with _frames.get_lock():
                _frames.value += number - self._told
        self._told = number


def _analyse_one(
    task: tuple[Input, str],
    out: Path,
    settings: Settings,
    fps: float | None,
    threads: int | None,
    model: str,
    rest: str | None,
    done: Done,
) -> Outcome:
    """``task``: an input, and what to call its session."""
    one, name = task
    if one.photos and not fps:
        settings = settings.of_photos
    try:
        content = one.content_hash()
        if before := done.get(_identity(content, model, settings, rest, fps if one.photos else None)):
            return _as_before(one, before)
        engine = _own.get(settings, threads, model, rest, one, fps)
        source, count = {"sha256": content}, _Count()
        if one.photos:
            analysed = analyse_photos(one.photos, out, engine, fps=fps, name=name, source=source, on_frame=count)
        else:
            analysed = analyse_video(one.path, out, engine, name=name, source=source, on_frame=count)
        count.up_to(analysed.frames)
    except (InputError, PredictionError) as error:
        return Outcome(one, error=str(error))
    except Exception as error:  # nobody foresaw it; the other inputs go on
        return Outcome(one, error=f"{one.path} was given up ({type(error).__name__}: {error}); please report this")
    return Outcome(one, analysed.folder, analysed.frames, warning=analysed.warning)


def _as_before(one: Input, before: Mapping[str, tuple[Path, str | None]]) -> Outcome:
    """What is told of an input that was analysed before, where it lies or elsewhere."""
    path = os.path.abspath(one.path)
    moved = (at for at in before if Path(at).name == Path(path).name and not os.path.exists(at))
    if at := path if path in before else next(moved, None):
        folder, warning = before[at]
    else:  # a copy, or renamed since: whoever waits for a session of its own must know
        at, (folder, warning) = next(iter(before.items()))
        same = f"{one.path} has the content of {at}, analysed before in {folder}."
        warning = f"{same} {warning}" if warning else same
    return Outcome(one, folder, skipped=True, warning=warning)


def _model(facts: Mapping[str, Any], *, graphs_run: bool) -> str:
    """What decides the numbers: the weights, how their output is read, and the graph if one in int8 runs; a float32
    one gives what torch gives."""
    is_int8 = graphs_run and facts.get("onnx_parity", {}).get("precision") == "int8"
    graph = facts["onnx"]["network"] if is_int8 else None
    return json.dumps([facts["sha256"], facts["calibration"], graph], sort_keys=True)


def _identity(content: str, model: str, settings: Settings, rest: str | None, fps: float | None) -> str:
    """Short, since those of all sessions travel to the workers with every input. ``rest``: see ``identity_of``;
    ``fps``: of pictures that are frames."""
    parts = {name: value for name, value in asdict(settings).items() if name not in ("model", "device", "rest")}
    return hashlib.sha256(json.dumps([content, model, parts, rest, fps], sort_keys=True).encode()).hexdigest()


def _done_before(out: Path) -> Done:
    """The sessions in ``out`` that hold all there is to be had from their input."""
    found: defaultdict[str, dict[str, tuple[Path, str | None]]] = defaultdict(dict)
    for file in sorted(out.glob("*/session.json")):
        try:
            session: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            said, status = session["settings"], session["status"]
            model = _model(session["model"], graphs_run=said["runtime"] != "torch")
            source = session["source"]
            content, fps = source["sha256"], source["fps"] if source["kind"] == "frames" else None
            path = os.path.abspath(source["target"])
            settings = Settings(
                faces=said["max_faces"],
                smoothing_s=said["smoothing_s"],
                personal=said.get("personal", False),
                tracking=said.get("tracking", True),
            )
            rest = identity_of(said.get("rest"))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a live recording, or a session of another program
        if status in ("complete", "cut off"):
            found[_identity(content, model, settings, rest, fps)][path] = file.parent, session.get("warning")
    return dict(found)


def _on_cluster(work: partial[Outcome], tasks: Sequence[tuple[Input, str]], address: str) -> Iterator[Outcome]:
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise InputError(f"a cluster needs Dask; {how_to_install('cluster')}") from error
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:  # a Client that fails leaves its threads behind
        socket.create_connection((host, int(port)), CLUSTER_ANSWERS_S).close()
    except ValueError as error:
        raise InputError(f"{address} is no address of a Dask scheduler; write it like tcp://host:8786") from error
    except OSError as error:
        raise InputError(f"no Dask scheduler answers at {address} ({error}); start one with: dask scheduler") from error
    with Client(address) as client:
        futures = client.map(work, tasks, pure=False)
        inputs = {future.key: one for future, (one, _) in zip(futures, tasks, strict=True)}
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except (KilledWorker, CancelledError):
                one = inputs[future.key]
                outcome = Outcome(one, error=f"{one.path}: {WORKER_DIED} workers to a machine to continue")
            yield outcome


class _Bar:
    """Frames done of all there are, on stderr; with ``frames`` it moves while workers work, without when an input
    is done."""

    def __init__(self, inputs: Sequence[Input], frames: Synchronized[int] | None) -> None:
        self._frames = frames
        self._ended = threading.Event()
        self._bar = counter(unit="frame")
        if not self._bar.disable:
            self._bar.total = sum(one.length for one in inputs) or None
        self._bar.set_postfix_str(f"0 of {len(inputs)} done")
        self._count, self._inputs = 0, len(inputs)
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
        self._bar.set_postfix_str(f"{self._count} of {self._inputs} done")
        if self._frames is None or outcome.skipped:
            self._bar.update(outcome.input.length if outcome.skipped else outcome.frames)

    def _follow(self) -> None:
        shown, ended = 0, False
        while self._frames is not None and not ended:
            ended = self._ended.wait(0.3)
            now = self._frames.value
            self._bar.update(now - shown)
            shown = now
