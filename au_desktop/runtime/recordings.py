"""Which session is written now: begins one, notes what happens in it, goes on in another when its columns no longer
fit, and ends it. Knows no threads but the recorder's; the pipeline calls it under its own lock.

Enters: the capture that is recorded, what the engine says of itself, and notes. Leaves: a Recorder to hand frames to,
and notices for the person.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from au_desktop.runtime.analysis import Analysis, EngineFacts
from au_desktop.runtime.capture import Capture, CaptureStats
from au_desktop.runtime.slots import Taken
from au_desktop.runtime.status import Notices
from au_desktop.sinks.recorder import Recorder, RecordingStatus
from au_desktop.sources import SourceSpec
from rtatl_core.errors import SessionError
from rtatl_core.sessions.inputs import Input
from rtatl_core.sessions.rows import FrameRecord
from rtatl_core.sessions.session import ClockPair, SessionWriter, make_folder

log = logging.getLogger(__name__)


class Recordings:
    """One recording after another."""

    def __init__(self, analysis: Analysis, notices: Notices) -> None:
        self._analysis = analysis
        self._notices = notices
        self.last: Recorder | None = None
        """The one that runs, or ran last."""
        self._made: list[Recorder] = []
        """Those whose files may not be closed yet: on a slow disk, rows of an earlier recording still wait."""

    @property
    def running(self) -> Recorder | None:
        return self.last if self.last is not None and self.last.active else None

    def status(self) -> RecordingStatus | None:
        recorder = self.running
        return recorder.status() if recorder else None

    def begin(self, capture: Capture, root: Path) -> Path:
        """Makes the session folder in ``root`` and records from the next frame on. Raises SessionError."""
        folder = make_folder(root, _stem(capture.spec))
        self.last = Recorder(
            folder,
            lambda started: self._open(capture, folder, started),
            self.stopped_because,
            live=capture.spec.live,
            timed=not capture.spec.still,
            length_s=(lambda: capture.stats().duration_s) if _is_video(capture.spec) else None,
        )
        if capture.paused:
            self.last.pause()
        self._made = [made for made in self._made if not made.join(0)]
        self._made.append(self.last)
        self.last.start()
        return folder

    def note(self, kind: str, label: str) -> None:
        if recorder := self.running:
            recorder.event(kind, label)

    def pause(self) -> None:
        if recorder := self.running:
            recorder.pause()
            recorder.event("pause", "paused")

    def resume(self) -> None:
        if recorder := self.running:
            recorder.resume()
            recorder.event("resume", "resumed")

    def end(self, fault: str = "", *, at_end: bool = False) -> None:
        """The source is gone, so its recording ends; the files are closed in the recorder's thread. See
        ``Recorder.finish``."""
        if recorder := self.running:
            recorder.finish(fault, at_end=at_end)
            folder = recorder.folder
            if recorder.got_frames:
                saved, standing = f"The recording is saved in {folder}.", self._notices.current()
                if standing is not None and standing.severity == "warning":  # which would hide it
                    self._notices.post("recording", "warning", f"{standing.text} {saved}", folder)
                else:
                    self._notices.post("recording", "info", saved, folder)
            else:
                self._notices.post("recording", "warning", f"No frame came while it recorded; {folder} holds no rows.")
            if recorder.failure:  # meanwhile, in its thread
                self.stopped_because(recorder.failure)

    def close(self) -> None:
        """Waits until the files of all that ended are closed, of each with a deadline."""
        for made in self._made:
            if not made.join():
                log.warning("the disk with %s does not answer", made.folder)

    def stopped_because(self, text: str) -> None:
        """Called in any thread."""
        self._notices.post("recording", "error", f"Recording stopped: {text}")

    def change_engine(self, capture: Capture, before: EngineFacts, now: EngineFacts) -> None:
        """The next frames come from another engine. One with other AUs has other columns, so the recording goes on in
        another folder."""
        recorder = self.running
        if recorder is None:
            return
        if now.columns == before.columns:
            recorder.engine(now.model, self._settings(capture.spec))
            return
        self.note("engine", f"{now.model['name']} has other AUs; the recording goes on in another folder")
        recorder.finish()
        try:
            folder = self.begin(capture, recorder.folder.parent)
        except SessionError as error:
            self.stopped_because(str(error))
        else:
            text = f"The model has other AUs; the recording goes on in {folder}."
            self._notices.post("recording", "info", text, folder)
            self.note("notice", text)

    def _open(self, capture: Capture, folder: Path, started: ClockPair) -> SessionWriter:
        """Called by the recorder when the first frame is there, so the engine is loaded and the source is open."""
        spec, facts = capture.spec, self._analysis.facts
        model = facts.model if facts else {}
        files = [spec.name] if spec.still else []
        about = _about(spec, capture.stats())
        return SessionWriter(
            folder, None, facts.aus if facts else (), about, model, self._settings(spec), started, files
        )

    def _settings(self, spec: SourceSpec) -> dict[str, Any]:
        facts = self._analysis.facts
        settings = dict(facts.settings) if facts else {}
        compares = bool(facts and facts.model.get("network", {}).get("reference"))
        if spec.still:  # nothing came before it that it could be smoothed or compared with
            settings |= {"smoothing_s": 0.0, "tracking": False}
        else:
            settings["smoothing_s"] = self._analysis.wished("smoothing_s")
        if compares:
            settings["personal"] = not spec.still and self._analysis.wished("personal")
        return settings


def without_results(taken: Taken) -> tuple[tuple[FrameRecord, ...], float]:
    """For ``Recorder.put``: the records of frames that were captured but not analysed, and when the last was."""
    frames = (*taken.dropped, (taken.packet.number, taken.packet.timestamp))
    return tuple(FrameRecord(number, timestamp) for number, timestamp in frames), taken.packet.captured_at


def _about(spec: SourceSpec, stats: CaptureStats) -> dict[str, Any]:
    """What session.json tells of the source; of a photo what ``rtatl analyze`` tells."""
    if spec.still:
        photo = Path(spec.target)
        content = Input(photo, (photo,)).content_hash()
        return {"kind": "photos", "name": spec.name, "target": spec.target, "sha256": content}
    # Of a stream the name only: its address may hold a password.
    target = spec.target if spec.kind == "file" else spec.name
    about = {"kind": spec.kind, "name": spec.name, "target": target, "size": stats.size, "fps": stats.fps}
    return about | ({"duration_s": stats.duration_s, "start_s": stats.start_s} if _is_video(spec) else {})


def _is_video(spec: SourceSpec) -> bool:
    """A file with a beginning and an end."""
    return spec.kind == "file" and not spec.still


def _stem(spec: SourceSpec) -> str:
    return {"file": Path(spec.target).stem, "demo": "demo"}.get(spec.kind, spec.name)
