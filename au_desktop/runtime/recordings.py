"""Which session is written now, and which frames belong to it: begins one, hands it the frames captured from then on,
notes what happens in it, goes on in another when its columns no longer fit, and ends it.

Enters: the capture that is recorded, its frames, what the engine says of itself, and notes. Leaves: session folders,
and notices for the person.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from au_desktop.runtime.analysis import Analysis, EngineFacts
from au_desktop.runtime.capture import Capture, CaptureState, CaptureStats
from au_desktop.runtime.slots import Taken
from au_desktop.runtime.status import Notices
from au_desktop.sinks.film import Film
from au_desktop.sinks.recorder import Recorder, RecordingStatus
from au_desktop.sources import SourceSpec
from rtatl_core.errors import SessionError
from rtatl_core.handoffs import OF_PHOTOS, AnalysedFrame, Float32, FramePacket
from rtatl_core.sessions.inputs import Input
from rtatl_core.sessions.rest import describe_rest
from rtatl_core.sessions.rows import FrameRecord, records
from rtatl_core.sessions.session import ClockPair, SessionWriter, make_folder

log = logging.getLogger(__name__)

CATCH_UP_S = 5.0
"""Longest time that a recording, before it ends, waits for frames captured already."""
_LOOK_EVERY_S = 0.02


class Recordings:
    """One recording after another. Whoever calls holds `lock`, the pipeline's, where it does not say otherwise."""

    def __init__(self, analysis: Analysis, notices: Notices, lock: threading.RLock) -> None:
        self._analysis = analysis
        self._notices = notices
        self._lock = lock
        self._delivered = threading.Condition(lock)
        self._capture: Capture | None = None
        self._first = 1
        """Number of the first frame that belongs to the recording."""
        self._last_number = 0
        """Of the last frame of this capture that came here, or has its row already."""
        self.last: Recorder | None = None
        """The one that runs, or ran last."""
        self._name = ""
        """What its folder is called, before the time."""
        self._rests: dict[int, Float32] = {}
        """The rest of each face that the recording has noted."""
        self._made: list[Recorder] = []
        """Those whose files may not be closed yet: on a slow disk, rows of an earlier recording still wait."""

    @property
    def running(self) -> Recorder | None:
        return self.last if self.last is not None and self.last.active else None

    def status(self) -> RecordingStatus | None:
        recorder = self.running
        return recorder.status() if recorder else None

    def follow(self, capture: Capture | None) -> None:
        """Another source, or none; the recording of the one before ends."""
        self.end()
        self._capture, self._last_number = capture, 0

    @property
    def has_all(self) -> bool:
        """The source has ended, and no frame of it is still to come: nothing more can be recorded of it."""
        capture = self._capture
        if capture is None or capture.stats().state is not CaptureState.ENDED:
            return False
        return self._last_number >= capture.box.newest

    def begin(self, root: Path, *, film: bool = False, name: str = "") -> Path:
        """Makes the session folder in ``root``, called ``name`` or after the source, and records from the next frame
        on, ``film``: of a live source its pictures, too. Raises SessionError.

        Frames may wait to be analysed. Those of a live source came before, so they do not belong to the recording;
        those of a file are still to be played. A frame that has its row in the recording before is not recorded again.
        """
        capture = self._capture
        if capture is None:
            raise SessionError("There is nothing to record yet; choose a camera or a video first.")
        self._notices.withdraw("recording")
        self._first = max(capture.box.newest if capture.spec.live else 0, self._last_number) + 1
        self._name = name or _stem(capture.spec)
        return self._begin(capture, root, film and capture.spec.live)

    def _begin(self, capture: Capture, root: Path, film: bool) -> Path:
        folder = make_folder(root, self._name)
        self.last = Recorder(
            folder,
            lambda started: self._open(capture, folder, started),
            self.stopped_because,
            live=capture.spec.live,
            timed=not capture.spec.still,
            length_s=(lambda: capture.stats().duration_s) if _is_video(capture.spec) else None,
            film=Film(folder, lambda: capture.stats().fps) if film else None,
            warn=lambda text: self._notices.post("recording", "warning", text),
        )
        if capture.paused:
            self.last.pause()
        self._rests = {}
        self._made = [made for made in self._made if not made.join(0)]
        self._made.append(self.last)
        self.last.start()
        return folder

    def _accepts(self, number: int) -> bool:
        """Whether the frame was captured while it recorded."""
        return number >= self._first

    def deliver(self, capture: Capture, frame: AnalysedFrame) -> None:
        """An analysed frame, and those dropped before it. Called without the lock: for a file it may wait."""
        self._hand_over(capture, frame.packet, lambda: records(frame))
        with self._lock:
            if capture is self._capture and self._accepts(frame.packet.number):
                self._note_rests(frame)

    def _note_rests(self, frame: AnalysedFrame) -> None:
        """Notes the faces whose rest is another than in the frame before."""
        for face in frame.faces:
            face_id, rest = face.observation.face_id, face.rest
            if rest is None and self._rests.pop(face_id, None) is not None:
                self.note("rest", f"face {face_id}: read like others again", frame.packet.captured_at)
            elif rest is not None and not np.array_equal(rest, self._rests.get(face_id, ())):
                self._rests[face_id] = rest
                told = describe_rest(frame.aus, rest, face.rest_difference)
                self.note("rest", f"face {face_id}: {told}", frame.packet.captured_at)

    def give_up(self, capture: Capture, taken: Taken) -> None:
        """A frame that could not be analysed, and those dropped before it. Called like ``deliver``."""
        self._hand_over(capture, taken.packet, lambda: _without_results(taken))

    def _hand_over(self, capture: Capture, packet: FramePacket, rows: Callable[[], tuple[FrameRecord, ...]]) -> None:
        with self._lock:
            recorder = self.running if capture is self._capture else None
            accepted = tuple(row for row in rows() if self._accepts(row.number)) if recorder is not None else ()
        if recorder is not None and accepted:
            recorder.put(accepted, packet.captured_at, packet.image)
        with self._lock:
            if capture is self._capture:
                self._last_number = max(self._last_number, packet.number)
                self._delivered.notify_all()

    def give_up_waiting(self) -> None:
        """Gives the frames that wait to be analysed rows without results."""
        taken = self._capture.box.waiting() if self._capture is not None else None
        if taken is not None:
            self._put_waiting(taken)

    def _put_waiting(self, taken: Taken) -> None:
        accepted = tuple(row for row in _without_results(taken) if self._accepts(row.number))
        if (recorder := self.running) is not None and accepted:
            recorder.put(accepted, taken.packet.captured_at, wait=False)
        self._last_number = taken.packet.number

    def catch_up(self) -> None:
        """Waits (at most CATCH_UP_S) until all frames captured so far are in the recording. While a model loads it does
        not wait, so the window stays responsive; the remaining frames get rows without results. Releases the lock while
        waiting."""
        capture, until = self._capture, time.monotonic() + CATCH_UP_S
        if capture is None:
            return
        newest = capture.box.newest
        while self.running is not None and self._last_number < newest and time.monotonic() < until:
            waiting = capture.box.waiting()
            if waiting is not None and self._analysis.loading:  # asked afterwards: so none was taken meanwhile
                self._put_waiting(waiting)
            else:
                self._delivered.wait(_LOOK_EVERY_S)

    def finish(self) -> Recorder | None:
        """Ends the recording that runs after the frames captured so far; returns it, None if none did. Its files are
        closed in the recorder's thread. Like ``catch_up`` it releases the lock meanwhile."""
        recorder, capture = self.running, self._capture
        if recorder is None or capture is None:
            return None
        self.catch_up()
        recorder = self.running or recorder  # another model may have gone on in another folder
        recorder.finish(at_end=capture.stats().at_end)
        return recorder

    def note(self, kind: str, label: str, at: float | None = None) -> None:
        """at: see ``Recorder.event``."""
        if recorder := self.running:
            recorder.event(kind, label, at)

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
                self._notices.inform("recording", f"The recording is saved in {folder}.", folder)
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

    def change_engine(self, before: EngineFacts, now: EngineFacts) -> None:
        """The next frames come from another engine. One with other AUs has other columns, so a recording that has rows
        goes on in another folder."""
        recorder, capture = self.running, self._capture
        if recorder is None or capture is None:
            return
        if now.columns == before.columns or not recorder.got_frames:
            recorder.engine(now.model, self._settings(capture.spec))
            return
        self.note("engine", f"{now.model['name']} has other AUs; the recording goes on in another folder")
        recorder.finish()
        try:
            folder = self._begin(capture, recorder.folder.parent, recorder.film is not None)
        except SessionError as error:
            self.stopped_because(str(error))
        else:
            text = f"The model has other AUs; the recording goes on in {folder}."
            self._notices.inform("recording", text, folder)
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
        now = OF_PHOTOS if spec.still else {name: self._analysis.wished(name) for name in ("smoothing_s", "personal")}
        return settings | {name: value for name, value in now.items() if name != "personal" or name in settings}


def _without_results(taken: Taken) -> tuple[FrameRecord, ...]:
    """Empty rows for frames that were captured but not analysed."""
    frames = (*taken.dropped, (taken.packet.number, taken.packet.timestamp))
    return tuple(FrameRecord(number, timestamp) for number, timestamp in frames)


def _about(spec: SourceSpec, stats: CaptureStats) -> dict[str, Any]:
    """What session.json says of the source; of a photo, the same as from ``rtatl analyze``."""
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
