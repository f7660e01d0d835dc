"""The user's choices: one frozen dataclass, one JSON file in the platform's folder for settings.

In: settings.json (or nothing). Out: Settings, and one line for the person when the file could not be used.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from rtatl_core.facs import ACTION_UNITS
from rtatl_core.files import replace_file
from rtatl_core.temporal import SMOOTHING_S

VERSION = 1
THEMES = ("dark", "light", "system")
LAYERS = ("box", "landmarks", "regions", "flow", "pose", "recovered")
CURVE_SECONDS = (5, 10, 30, 60)
MOST_FACES = 8
ENGINE_SETTINGS = ("model", "device", "max_faces")
"""Those that take another engine."""
_RENAMED = {"source": "camera"}
"""Entries of files that an earlier program wrote."""


def _record_root() -> str:
    return str(Path(platformdirs.user_documents_dir()) / "AU Desktop")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every choice that survives a restart. Raises ValueError for a value the program could not live with."""

    version: int = VERSION
    camera: str | None = None
    """Name of the one used last; None: none yet."""
    model: str | None = None
    """Path of weights; None: the ones that come with the program."""
    device: str = "auto"
    theme: str = "dark"
    mirror: bool = True
    """Show live cameras like a mirror; recorded numbers are never mirrored."""
    layers: tuple[str, ...] = ("box", "regions")
    curve_aus: tuple[int, ...] = (1, 4, 12, 25, 26, 43)
    curve_seconds: int = 10
    smoothing_s: float = SMOOTHING_S
    """Time constant of the smoothing; 0 turns it off."""
    personal: bool = True
    """Faces are compared with how the same person looked so far, by models that can."""
    max_faces: int = 1
    lsl: bool = False
    """Numbers go to the Lab Streaming Layer."""
    osc: bool = False
    """They go as OSC messages to `osc_address`."""
    osc_address: str = "127.0.0.1:9000"
    film: bool = False
    """Recordings of a camera keep its picture, too."""
    record_root: str = field(default_factory=_record_root)
    window_geometry: str | None = None
    """Base64 of what Qt saves; the same for window_state."""
    window_state: str | None = None

    def __post_init__(self) -> None:
        checks = {
            "version": self.version == VERSION,
            "camera": _is_text_or_none(self.camera),
            "model": _is_text_or_none(self.model),
            "device": isinstance(self.device, str) and bool(self.device),
            "theme": self.theme in THEMES,
            "mirror": isinstance(self.mirror, bool),
            "layers": set(self.layers) <= set(LAYERS),
            "curve_aus": set(self.curve_aus) <= set(ACTION_UNITS),
            "curve_seconds": self.curve_seconds in CURVE_SECONDS,
            "smoothing_s": isinstance(self.smoothing_s, (int, float)) and 0 <= self.smoothing_s <= 5,
            "personal": isinstance(self.personal, bool),
            "max_faces": isinstance(self.max_faces, int) and 1 <= self.max_faces <= MOST_FACES,
            "lsl": isinstance(self.lsl, bool),
            "osc": isinstance(self.osc, bool),
            "osc_address": isinstance(self.osc_address, str) and is_address(self.osc_address),
            "film": isinstance(self.film, bool),
            "record_root": isinstance(self.record_root, str) and bool(self.record_root),
            "window_geometry": _is_text_or_none(self.window_geometry),
            "window_state": _is_text_or_none(self.window_state),
        }
        for name, good in checks.items():
            if not good:
                raise ValueError(f"{name} cannot be {getattr(self, name)!r}")


def host_and_port(address: str) -> tuple[str, int]:
    """HOST:PORT, the host by its name or number. Raises ValueError."""
    host, _, port = address.strip().rpartition(":")
    host = host.strip("[]")
    try:
        named = bool(host.encode("idna"))  # as who looks it up does
    except UnicodeError:
        named = False
    if not (named and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{address!r} is no address; write HOST:PORT, for example 127.0.0.1:9000")
    return host, int(port)


def is_address(text: str) -> bool:
    try:
        host_and_port(text)
    except ValueError:
        return False
    return True


def folder() -> Path:
    """Where settings live; AU_DESKTOP_HOME overrides the platform's place."""
    override = os.environ.get("AU_DESKTOP_HOME")
    return Path(override) if override else Path(platformdirs.user_config_dir("au-desktop", appauthor=False))


class Loaded(NamedTuple):
    settings: Settings
    complaint: str | None = None
    """Why these are the defaults, in a sentence for the person."""
    may_save: bool = True
    """False where a file lies that would be lost by it."""


def load() -> Loaded:
    """The saved settings, or the defaults together with the reason why.

    Nothing a person set by hand is lost: a file that cannot be used is kept aside as settings.json.bad, and one that
    cannot be read or kept aside stays as it is.
    """
    path = folder() / "settings.json"
    try:
        return Loaded(_from_json(json.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return Loaded(Settings())
    except OSError as error:
        reason = f"{path} cannot be read ({error.strerror})"
    except (ValueError, TypeError) as error:  # JSON and Unicode errors are ValueErrors
        reason = f"{path} cannot be used ({error})"
        if kept := _keep_aside(path):
            return Loaded(Settings(), f"{reason}; the defaults are used, the old file is kept as {kept}.")
    return Loaded(Settings(), f"{reason}; the defaults are used, and no changes are saved.", may_save=False)


def save(settings: Settings) -> str | None:
    """Writes the settings. Returns the reason if that was not possible: a full disk must not keep the window from
    closing."""
    path = folder() / "settings.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(asdict(settings), indent=2) + "\n")
    except OSError as error:
        reason = f"The settings cannot be saved in {path.parent} ({error.strerror})"
        return f"{reason}; set AU_DESKTOP_HOME to a folder that can be written."
    return None


def _from_json(data: Any) -> Settings:
    if not isinstance(data, dict):
        raise ValueError("it holds no settings")
    known = {f.name for f in fields(Settings)}
    if data.get("version") != VERSION:
        raise ValueError(f"its version is {data.get('version')!r}, this program knows {VERSION}")
    data = {_RENAMED.get(name, name): value for name, value in data.items()}
    if unknown := sorted(data.keys() - known):
        raise ValueError(f"unknown entry {unknown[0]!r}")
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
    return Settings(**values)


def _keep_aside(path: Path) -> str:
    """The file's new name; "" where it has to stay."""
    bad = path.with_suffix(".json.bad")
    try:
        path.replace(bad)
    except OSError:
        return ""
    return bad.name


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)
