"""``rtatl doctor``: what works on this machine, and how to fix what does not. Changes nothing, opens no camera."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

import rtatl_core
from rtatl_core import openvino_package
from rtatl_core.assets import asset
from rtatl_core.system import APT_LINE, PIP, cores, has_bfloat16, has_screen, how_to_install, missing_libraries

FRAMES = 60
"""Of the demo clip, analysed to see whether and how fast it works."""
LIVE_FPS = 25.0
"""What a camera needs at least."""
LITTLE_DISK_GB = 2.0
OPENCV_PACKAGES = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
"""All install cv2, so that two of them overwrite each other."""
SPARED = ("openvino",)
"""Is required, but where it is missing the program works without; ``_devices`` says what is lost."""


class State(StrEnum):
    GOOD = "good"
    LACKS = "lacks"
    """Something optional is missing."""
    BAD = "bad"
    """The program, or something it is for, does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    state: State
    words: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Findings as they come; a check that fails unexpectedly is a finding too."""
    for what, check in CHECKS:
        try:
            yield from check()
        except Exception as error:
            yield Finding(what, State.BAD, f"{type(error).__name__}: {error}", "report this with the whole output")


def _versions() -> Iterator[Finding]:
    bits = 64 if sys.maxsize > 2**32 else 32
    words = f"{rtatl_core.__version__} on Python {platform.python_version()} ({bits} bit), {platform.platform()}"
    yield Finding("program", State.GOOD, words)
    for line in _requirements():
        if finding := _unfit(line):
            yield finding
    if len(found := [name for name in OPENCV_PACKAGES if _version(name)]) > 1:
        remedy = f"{PIP} uninstall -y {' '.join(found)}; then {how_to_install()}"
        yield Finding("OpenCV", State.BAD, f"{', '.join(found)} overwrite each other", remedy)


def _requirements() -> Sequence[str]:
    """What this program requires, without its extras."""
    try:
        return [line for line in metadata.requires("au-desktop") or () if "extra ==" not in line]
    except metadata.PackageNotFoundError:  # a frozen program brings everything with it
        return []


def _unfit(line: str) -> Finding | None:
    """None also for what only other systems require."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(line)
    except InvalidRequirement:
        return None
    have = _version(wanted.name)
    is_asked = wanted.marker is None or wanted.marker.evaluate()
    if not is_asked or (have is None and wanted.name in SPARED):
        return None
    if have and wanted.specifier.contains(have, prereleases=True):
        return None
    words = f"{have} is installed, {wanted.specifier} is needed" if have else "is not installed"
    return Finding(wanted.name, State.BAD, words, how_to_install())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding("processor", State.GOOD, f"{cores()} cores, {platform.processor() or platform.machine()}")
    if has_bfloat16() and (fault := _openvino_fault()):
        yield Finding("openvino", State.LACKS, f"{fault}; with it this processor is faster", how_to_install())
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield Finding("CUDA", State.GOOD, names)
    elif shutil.which("nvidia-smi"):
        remedy = "update the NVIDIA driver, or install torch's CUDA build (README, Start)"
        yield Finding("CUDA", State.LACKS, "there is an NVIDIA card, but torch cannot use it", remedy)
    if torch.backends.mps.is_available():
        yield Finding("MPS", State.GOOD, "Apple GPU")


def _openvino_fault() -> str:
    if not openvino_package.is_installed():
        return "is not installed"
    try:
        openvino_package.core()
    except Exception as error:  # libraries may lack symbols, or be missing
        return f"cannot be loaded ({error})"
    return ""


def _screen() -> Iterator[Finding]:
    if importlib.util.find_spec("PySide6") is None:
        yield Finding("window", State.LACKS, "PySide6 is not installed", how_to_install())
    elif missing := missing_libraries():
        yield Finding("window", State.BAD, f"the system lacks {', '.join(missing)}", APT_LINE)
    elif not has_screen():
        yield Finding("window", State.LACKS, "there is no screen here; the program runs offscreen")
    else:
        yield Finding("window", State.GOOD, f"PySide6 {_version('PySide6')}")


def _cameras() -> Iterator[Finding]:
    from rtatl_core.cameras import TO_BE_ALLOWED, connected, may_open

    if found := connected():
        yield Finding("cameras", State.GOOD, ", ".join(camera.name for camera in found))
    else:
        yield Finding("cameras", State.LACKS, "none was found", "plug one in; videos and the demo work without")
    for device in sorted(Path("/dev").glob("video*")):
        if not may_open(device):
            yield Finding("cameras", State.BAD, f"no permission to open {device}", TO_BE_ALLOWED)
            break


def _engine() -> Iterator[Finding]:
    from rtatl_core.engine import Engine
    from rtatl_core.errors import AUError
    from rtatl_core.video import VideoReader

    began = time.perf_counter()
    try:
        engine = Engine()
    except AUError as error:
        yield Finding("weights", State.BAD, str(error))
        return
    took = time.perf_counter() - began
    words = f"{engine.model['name']}, sha256 {engine.model['sha256'][:12]}, loaded in {took:.1f} s"
    yield Finding("weights", State.GOOD, words)
    with engine, VideoReader(asset("demo.mp4")) as reader:
        engine.process(reader.read())  # type: ignore[arg-type]
        began, faces = time.perf_counter(), 0
        for _ in range(FRAMES):
            packet = reader.read()
            assert packet is not None
            faces += bool(engine.process(packet).faces)
        rate = FRAMES / (time.perf_counter() - began)
    if faces < FRAMES:
        words = f"a face was found in {faces} of {FRAMES} frames of the demo clip"
        yield Finding("analysis", State.BAD, words, "install the program again; report this if it stays")
    elif rate < LIVE_FPS:
        words = f"{rate:.0f} frames per second on {engine.device}; a camera sends more, the rest will be dropped"
        yield Finding("analysis", State.LACKS, words, "close other programs, plug the laptop in, or use a GPU")
    else:
        yield Finding("analysis", State.GOOD, f"{rate:.0f} frames per second on {engine.device} ({engine.runtime})")


def _disk() -> Iterator[Finding]:
    import platformdirs

    folder = Path(platformdirs.user_documents_dir())
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    words = f"{free:.0f} GB free where recordings go ({folder})"
    if not os.access(folder, os.W_OK):
        yield Finding("disk", State.BAD, f"no permission to write to {folder}", "choose another folder in the settings")
    elif free < LITTLE_DISK_GB:
        yield Finding("disk", State.BAD, words, "make room, or choose another folder in the settings")
    else:
        yield Finding("disk", State.GOOD, words)


def _extras() -> Iterator[Finding]:
    for extra, module, what in (
        ("export", "onnx", "writing ONNX graphs"),
        ("synth", "moderngl", "rendering faces"),
        ("cluster", "distributed", "rtatl analyze on a Dask cluster"),
        ("train", "tensorboard", "curves of training runs"),
        ("streams", "pylsl", "sending numbers to the Lab Streaming Layer"),
        ("streams", "pythonosc", "sending numbers as OSC messages"),
    ):
        if importlib.util.find_spec(module) is None:
            yield Finding(extra, State.LACKS, f"{what} needs {module}", how_to_install(extra))


CHECKS: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
    ("versions", _versions),
    ("devices", _devices),
    ("window", _screen),
    ("cameras", _cameras),
    ("analysis", _engine),
    ("disk", _disk),
    ("extras", _extras),
)

_MARKS = {State.GOOD: "+", State.LACKS: "-", State.BAD: "!"}


def line(finding: Finding) -> str:
    """For a terminal."""
    text = f"{_MARKS[finding.state]} {finding.what:<12} {finding.words}"
    return f"{text}\n{'':<15}-> {finding.remedy}" if finding.remedy else text


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in findings]
