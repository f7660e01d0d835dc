"""Settings survive a restart; a bad file neither stops the program nor gets lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from au_desktop import settings
from au_desktop.settings import LAYERS, Loaded, Settings
from rtatl_core.temporal import SMOOTHING_S

CHANGED = Settings(
    camera="Logitech C920",
    theme="light",
    mirror=False,
    layers=("flow",),
    curve_aus=(12, 43),
    curve_seconds=30,
    smoothing_s=0.2,
    max_faces=3,
    record_root="/data/recordings",
    window_geometry="AdnQywAD",
)


def test_what_is_saved_is_loaded() -> None:
    assert settings.save(CHANGED) is None
    assert settings.load() == Loaded(CHANGED)
    assert not list(settings.folder().glob("*.tmp"))


def test_without_a_file_the_defaults_are_used_in_silence() -> None:
    assert settings.load() == Loaded(Settings())


def test_settings_from_before_there_were_recovered_patches_still_load() -> None:
    path = settings.folder() / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"version": 1, "layers": ["box", "landmarks", "regions", "flow", "pose"]}))
    loaded = settings.load()
    assert loaded.complaint is None
    assert loaded.settings.layers == LAYERS[:5]


def test_settings_from_when_the_camera_was_called_source_still_load() -> None:
    path = settings.folder() / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"version": 1, "source": "Logitech C920"}))
    assert settings.load() == Loaded(Settings(camera="Logitech C920"))


def test_every_field_has_a_default_that_is_allowed() -> None:
    assert Settings().curve_aus == (1, 4, 12, 25, 26, 43)
    assert Settings().curve_seconds == 10
    assert Settings().smoothing_s == SMOOTHING_S
    assert Settings().record_root.endswith("AU Desktop")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be used"),
        ("[1, 2]", "holds no settings"),
        ("\0\0\0", "cannot be used"),
        (json.dumps({"version": 99}), "version is 99"),
        (json.dumps({"version": 1, "colour": "pink"}), "'colour'"),
        (json.dumps({"version": 1, "theme": "pink"}), "theme cannot be 'pink'"),
        (json.dumps({"version": 1, "curve_aus": [12, 999]}), "curve_aus"),
        (json.dumps({"version": 1, "layers": 5}), "cannot be used"),
        (json.dumps({"version": 1, "layers": [["box"]]}), "cannot be used"),
        (json.dumps({"version": 1, "smoothing_s": "fast"}), "smoothing_s"),
        (json.dumps({"version": 1, "max_faces": 0}), "max_faces"),
    ],
)
def test_a_bad_file_is_kept_aside_and_explained(text: str, says: str) -> None:
    path = settings.folder() / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    loaded, reason, may_save = settings.load()
    assert loaded == Settings()
    assert may_save
    assert reason is not None
    assert says in reason
    assert "\n" not in reason
    assert str(path) in reason
    assert path.with_suffix(".json.bad").read_text() == text
    assert settings.load() == Loaded(Settings())


def test_a_file_that_cannot_be_read_or_kept_aside_must_not_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    path = settings.folder() / "settings.json"
    path.mkdir(parents=True)
    loaded = settings.load()
    assert (loaded.settings, loaded.may_save) == (Settings(), False)
    assert loaded.complaint is not None
    assert loaded.complaint.startswith(f"{path} cannot be read (")
    assert loaded.complaint.endswith("; the defaults are used, and no changes are saved.")
    path.rmdir()
    path.write_text("{")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    assert not settings.load().may_save


def test_a_crash_while_they_are_saved_leaves_the_old_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.save(CHANGED)

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rtatl_core.files.os.fsync", crash)
    assert settings.save(Settings()) is not None
    assert settings.load() == Loaded(CHANGED)


def test_a_folder_that_cannot_be_written_is_a_reason_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AU_DESKTOP_HOME", str(tmp_path / "file"))
    reason = settings.save(Settings())
    assert reason is not None
    assert str(tmp_path / "file") in reason
    assert "AU_DESKTOP_HOME" in reason


def test_without_the_override_the_platforms_folder_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AU_DESKTOP_HOME")
    assert settings.folder().name == "au-desktop"
