"""``rtatl bench``: how fast the engine is on this machine, stage by stage and without a window.

    video -> capture (decode) | -> observe | -> align -> predict -> smooth | -> record (rows to a session folder)

as in ``rtatl analyze``: the parts between bars work on different frames at the same time.

The same run also measures what limits this: decoding and finding landmarks with nothing else, in turns with the whole
path; and the network alone, as it runs live and in plain torch (float32), with the difference of their AUs. On a shared
machine the numbers of two runs differ by a third; ratios within one run do not. The keys are those of
``au-desktop --stats``, without what needs a window (delay, painting).
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rtatl_core.assets import asset
from rtatl_core.card import read_card
from rtatl_core.engine import Engine
from rtatl_core.errors import InputError
from rtatl_core.face.observe import Observer
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import AlignedFace, AnalysedFrame, Float32, FramePacket
from rtatl_core.machine.meter import ProcessMeter, stage_figures
from rtatl_core.reference import unknown_reference
from rtatl_core.runtimes.choose import open_runtime, pick_device
from rtatl_core.sessions.session import ClockPair, SessionWriter, versions
from rtatl_core.system import cores
from rtatl_core.video import VideoReader

WARM_UP = 15
"""Frames at the beginning that are not measured."""
TURN = 100
"""Frames after which the two measurements of ``_whole_path`` take turns, so that a slow minute slows both."""
NETWORK_FACES = 100
NETWORK_ROUNDS = 3
"""The two networks take turns that often, and their fastest round counts."""


@dataclass(frozen=True, slots=True)
class Wanted:
    source: str = "demo"
    """A video file, or demo."""
    model: str | None = None
    device: str = "auto"
    faces: int = 1
    frames: int = 600
    flow: bool = False
    """Predict flow as well, as with its layer on."""


def bench(wanted: Wanted) -> dict[str, Any]:
    """All measures. Raises InputError when source, model or device cannot be used."""
    path = asset("demo.mp4") if wanted.source == "demo" else Path(wanted.source)
    began = time.perf_counter()
    engine = Engine(wanted.model, device=wanted.device, max_faces=wanted.faces)
    loading = time.perf_counter() - began
    engine.want_flow = wanted.flow
    with engine, closing(Observer(wanted.faces)) as observer:
        measured, faces = _whole_path(path, engine, observer, wanted.frames)
        facts = {"model": engine.model["name"], "device": engine.device, "runtime": engine.runtime}
    return {
        "source": path.name,
        **facts,
        "faces": wanted.faces,
        "flow": wanted.flow,
        "load_s": round(loading, 2),
        **measured,
        "network": _network_alone(wanted, faces) if faces else None,
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        **versions(),
    }


def _whole_path(
    path: Path, engine: Engine, observer: Observer, frames: int
) -> tuple[dict[str, Any], list[AlignedFace]]:
    """Measures, in turns, the whole path and decoding and landmarks alone on so many frames. Returns the figures, and
    faces for ``_network_alone``."""
    stages: dict[str, list[float]] = defaultdict(list)
    faces: list[AlignedFace] = []
    seconds = processor = alone = 0.0
    packets, bare = _repeated(path), _repeated(path)
    with (
        tempfile.TemporaryDirectory() as out,
        SessionWriter(
            out, "bench", engine.aus, {}, engine.model, engine.settings, ClockPair.at(time.perf_counter())
        ) as writer,
    ):
        for packet in islice(packets, WARM_UP):
            writer.append(engine.process(packet))
        _observed(observer, bare, WARM_UP)
        meter = ProcessMeter()
        for first in range(0, frames, TURN):
            count = min(TURN, frames - first)
            began, spent = time.perf_counter(), time.process_time()
            for frame in _analysed(engine, writer, islice(packets, count), stages):
                if frame.faces and len(faces) < NETWORK_FACES:
                    faces.append(frame.faces[0].aligned)
            seconds += time.perf_counter() - began
            processor += time.process_time() - spent
            meter.sample()
            alone += _observed(observer, bare, count)
    numbers = {
        "size": [packet.image.shape[1], packet.image.shape[0]],
        "frames_captured": frames,
        "frames_analysed": frames,
        "frames_dropped": 0,
        "fps": round(frames / seconds, 1),
        "stages": stage_figures(stages),
        **meter.figures(),
        "cpu_percent": round(100 * processor / seconds, 1),
        "duration_s": round(seconds, 2),
        "decode_and_observe_only_fps": round(frames / alone, 1),
        "share_of_that": round(alone / seconds, 3),
    }
    return numbers, faces


def _analysed(
    engine: Engine, writer: SessionWriter, packets: Iterator[FramePacket], stages: dict[str, list[float]]
) -> Iterator[AnalysedFrame]:
    """The frames, analysed and recorded; notes the milliseconds of each stage."""
    for _, future in engine.ahead(_timed(packets, stages["capture"])):
        frame = future.result()
        done = time.perf_counter()
        writer.append(frame)
        stages["record"].append((time.perf_counter() - done) * 1000)
        for name, milliseconds in frame.stage_ms.items():
            stages[name].append(milliseconds)
        yield frame


def _observed(observer: Observer, packets: Iterator[FramePacket], count: int) -> float:
    """Seconds that decoding so many frames and finding their landmarks takes."""
    began = time.perf_counter()
    for packet in islice(packets, count):
        observer(packet)
    return time.perf_counter() - began


def _repeated(path: Path) -> Iterator[FramePacket]:
    """The video's frames over and over, with times and numbers that run on."""
    number, shift, last = 0, 0.0, 0.0
    while True:
        with VideoReader(path) as reader:
            for packet in reader:
                number += 1
                last = packet.timestamp + shift
                yield FramePacket(packet.image, number, last, packet.captured_at)
            shift = last + 1 / (reader.fps or 25)


def _timed(packets: Iterator[FramePacket], milliseconds: list[float]) -> Iterator[FramePacket]:
    """The same packets; notes how long each took to come."""
    began = time.perf_counter()
    for packet in packets:
        milliseconds.append((time.perf_counter() - began) * 1000)
        yield packet
        began = time.perf_counter()


def _network_alone(wanted: Wanted, faces: list[AlignedFace]) -> dict[str, Any]:
    """One face at a time, from arrays to raw output: as it runs live, and in torch as it is trained (float32, eager),
    in turns and with the same number of threads."""
    import torch

    from rtatl_core.models.backbone import to_tensor
    from rtatl_core.weights import load_model

    threads = max(1, cores() // 2)
    card = read_card(wanted.model)
    runtime, plain = open_runtime(card, pick_device(wanted.device), threads), load_model(wanted.model).network
    torch.set_num_threads(threads)
    nobody = unknown_reference()[None]
    given = [
        (face.chip[None], au_regions(face.landmarks[None], card.config.aus), face.geometry[None], nobody)
        for face in faces
    ]

    def live() -> list[tuple[Float32, Float32]]:
        outputs = [runtime(*arrays) for arrays in given]
        return [(output.intensity, output.occurrence) for output in outputs]

    @torch.inference_mode()
    def eager() -> list[tuple[Float32, Float32]]:
        outputs = [
            plain(to_tensor(torch.from_numpy(chips)), *map(torch.from_numpy, others)) for chips, *others in given
        ]
        return [(output.intensity.numpy(), output.occurrence.numpy()) for output in outputs]

    ours, theirs = _fastest(live, eager)
    live_aus, eager_aus = (
        np.concatenate([card.calibration.read(*output)[0] for output in run()]) for run in (live, eager)
    )
    difference = np.abs(live_aus - eager_aus)
    return {
        "faces": len(faces),
        "live_ms": round(1000 * ours / len(faces), 3),
        "torch_eager_ms": round(1000 * theirs / len(faces), 3),
        "times_faster": round(theirs / ours, 2),
        "au_difference": {
            "p99": round(float(np.percentile(difference, 99)), 4),
            "max": round(float(difference.max()), 4),
        },
    }


def _fastest(*runs: Callable[[], object]) -> list[float]:
    """Seconds that each takes in its fastest round; they take turns."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(NETWORK_ROUNDS):
        for run, taken in zip(runs, seconds, strict=True):
            began = time.perf_counter()
            run()
            taken.append(time.perf_counter() - began)
    return list(map(min, seconds))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(result: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    """For a terminal; with ``before`` the ratio to an earlier run beside each number."""
    rows = [
        ("frames per second", "fps"),
        ("decoding and landmarks alone, frames per second", "decode_and_observe_only_fps"),
        *((f"{name}, median ms", f"stages.{name}.median_ms") for name in result["stages"]),
        *((f"{name}, 95 % ms", f"stages.{name}.p95_ms") for name in result["stages"]),
        ("network, ms", "network.live_ms"),
        ("network in plain torch, ms", "network.torch_eager_ms"),
        ("AU difference of the two, 99 %", "network.au_difference.p99"),
        ("processor, % of a core", "cpu_percent"),
        ("memory at most, MB", "rss_mb.max"),
        ("loading, s", "load_s"),
    ]
    lines = [
        f"{result['model']} on {result['device']} ({result['runtime']}), {result['source']} "
        f"{result['size'][0]}x{result['size'][1]}, {result['frames_analysed']} frames"
    ]
    for title, key in rows:
        value = _at(result, key)
        if value is None:
            continue
        line = f"{title:<50} {value:>10.4g}"
        earlier = _at(before or {}, key)
        if earlier:
            line += f"   {value / earlier:5.2f} x before ({earlier:.4g})"
        lines.append(line)
    return "\n".join(lines)


def _at(values: Mapping[str, Any], key: str) -> float | None:
    """The number at ``network.live_ms``; None where there is none."""
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found if isinstance(found, (int, float)) else None


def read_earlier(path: Path) -> dict[str, Any]:
    """Raises InputError when the file holds no earlier run."""
    try:
        earlier: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        earlier["fps"], earlier["stages"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no earlier run ({error}); make one with: rtatl bench --json {path}") from error
    return earlier
