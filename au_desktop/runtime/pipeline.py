"""The one object the window talks to: capture -> analysis -> view, history, recorder. Knows no Qt.

In: a source, and what the person asks for. Out: the newest AnalysedFrame in `view`, curves in `history`, a
Status, and recordings. Every method may be called from the window's thread and returns at once, except where
it says otherwise.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from au_desktop.runtime.analysis import Analysis, EngineFacts, Listener
from au_desktop.runtime.capture import Capture, CaptureState, Report
from au_desktop.runtime.recordings import Recordings
from au_desktop.runtime.slots import Slot, Taken
from au_desktop.runtime.status import Notice, Notices, Severity, State, Status, state_of
from au_desktop.settings import Settings
from au_desktop.sinks.history import History
from au_desktop.sinks.recorder import CUT_OFF
from au_desktop.sinks.streams import Streams
from au_desktop.sources import FrameSource, SourceSpec, open_source
from rtatl_core.errors import SessionError
from rtatl_core.handoffs import AnalysedFrame
from rtatl_core.machine.meter import stage_figures

if TYPE_CHECKING:
    from rtatl_core.engine import Engine

log = logging.getLogger(__name__)

NO_FACE_S = 3.0
"""After this time without any face the person gets a hint."""
SILENT_S = 3.0
"""The same after this time without a picture from a live source."""
_SMALL_FACES = "faces narrower than a twentieth of the picture are rarely found."


class Pipeline:
    """Owns the threads: one capture per source, one analysis for good, one recorder per recording."""

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        *,
        history_s: float = 60.0,
        open_source: Callable[[SourceSpec], FrameSource] = open_source,
        retry_s: float = 1.0,
        pace: float = 1.0,
    ) -> None:
        """`make_engine` is called in the analysis thread; `retry_s`: first wait before a lost source is tried again;
        `pace`: how many times as fast a file is played."""
        self.view: Slot[AnalysedFrame] = Slot()
        self.history = History(history_s)
        self._open_source = open_source
        self._retry_s = retry_s
        self._pace = pace
        self._lock = threading.RLock()
        self._notices = Notices()
        self._capture: Capture | None = None
        self._before: Capture | None = None
        self._ended: Capture | None = None
        self._faces_seen = False
        self._silent = False
        self._broken = False
        self._closed = False
        self._facts: EngineFacts | None = None
        """Of the engine whose frames came last."""
        self._analysis = Analysis(
            make_engine,
            Listener(
                on_frame=self._on_frame,
                on_failed_frame=self._on_failed_frame,
                on_end=self._on_end,
                on_broken=self._on_broken,
                on_engine=self._on_engine,
                on_warning=self.warn,
                on_wait=self._on_wait,
                on_again=self._on_again,
            ),
        )
        self._recordings = Recordings(self._analysis, self._notices, self._lock)
        self._streams = Streams(self._on_stream_fault, self._on_marker)

    def start(self) -> None:
        """Starts the analysis thread, which loads the engine."""
        self._analysis.start()

    def set_source(self, spec: SourceSpec | None) -> None:
        """Plays another source, or none. It is opened in its own thread; faults appear as status().notice. Where the
        one before is recorded, this waits until the frames captured so far have their rows."""
        with self._lock:
            if self._closed:
                return
            if self._capture is not None:
                self._recordings.catch_up()
                self._capture.stop(discard=True)
                if self._capture.spec.live:
                    self._before = self._capture  # the next live one lets it close its device first
            for key in ("source", "faces", "frames", "silent", "recording"):
                self._notices.withdraw(key)
            self._faces_seen = self._silent = False
            self._ended = None
            self.history.clear()
            self.view.take_nowait()
            self._capture = None
            if spec is not None:
                self._capture = Capture(
                    spec,
                    self._open_source,
                    self._on_report,
                    self._analysis.ready,
                    self._before,
                    self._retry_s,
                    self._pace,
                )
            self._recordings.follow(self._capture)
            self._analysis.follow(self._capture)
            if self._capture is not None and not self._broken:
                self._capture.start()

    def pause(self) -> None:
        """A file stands still; a live source runs on unseen and uncounted."""
        with self._lock:
            if self._capture is not None and not self._capture.paused:
                self._capture.pause()
                self._recordings.pause()

    def resume(self) -> None:
        """Goes on after a pause; plays a finished file again, and tries a failed source or engine again."""
        with self._lock:
            capture = self._capture
            if self._broken:
                self.set_engine(self._analysis.make_engine)
            if capture is None or self._broken:
                return
            if self._ended is capture or capture.stats().state is CaptureState.FAILED:
                self.set_source(capture.spec)
            elif capture.paused:
                capture.resume()
                self._recordings.resume()

    def set_engine(self, make_engine: Callable[[], Engine]) -> None:
        """Another model, device or number of faces: it is loaded in the analysis thread while live frames are dropped
        and counted, and files wait. A recording goes on, and says from which frame."""
        for key in ("engine", "warning"):  # about the engine before
            self._notices.withdraw(key)
        self._analysis.replace_engine(make_engine)

    def set_layers(self, layers: Collection[str]) -> None:
        """Has the engine compute what these layers show and nothing else needs."""
        self._analysis.wish("want_flow", "flow" in layers)
        self._analysis.wish("want_patches", "recovered" in layers)

    def set_smoothing(self, seconds: float) -> None:
        self._analysis.wish("smoothing_s", seconds)
        self._recordings.note("setting", f"smoothing_s = {seconds:g}")

    def set_personal(self, on: bool) -> None:
        self._analysis.wish("personal", on)
        self._recordings.note("setting", f"personal = {on}")

    def take_rest(self, face_id: int) -> None:
        """That face rests now, for two seconds; then its readings count from there, as its frames tell
        (``AnalysedFace.rest``) and the recording notes."""
        self._analysis.take_rest(face_id)

    def give_up_rest(self, face_id: int) -> None:
        self._analysis.give_up_rest(face_id)

    def set_streams(self, settings: Settings) -> None:
        """To which other programs the numbers of every frame go, and whether their markers are noted."""
        self._streams.choose(settings)

    def start_recording(self, root: Path, *, anew: bool = False, film: bool = False, name: str = "") -> Path:
        """Makes the session folder in `root`, called `name` or after the source, and records from the next frame on,
        `film`: a live source's pictures, too; the folder of a recording that runs already is returned as it is. A file
        that has ended plays again, and is recorded from its first frame; `anew`: any source does, and a recording that
        runs ends. Raises SessionError."""
        with self._lock:
            if not anew and (recorder := self._recordings.running):
                return recorder.folder
            if (capture := self._capture) is not None:
                if self.status().state is State.FAILED:
                    raise SessionError(f"{capture.spec.name} is not playing; start it again, then record.")
                if anew or self._ended is capture or self._recordings.has_all:
                    self.set_source(capture.spec)
            return self._recordings.begin(Path(root), film=film, name=name)

    def stop_recording(self) -> Path | None:
        """Ends the recording: waits until the frames captured so far have their rows, and until its files are closed.
        Its folder, or None when nothing was recording."""
        with self._lock:
            recorder = self._recordings.finish()
        if recorder is None:
            return None
        if not recorder.join():
            text = f"The disk with {recorder.folder} does not answer; check it before you unplug it."
            self._recordings.stopped_because(text)
        return recorder.folder

    def mark(self) -> int | None:
        """Notes a marker now, in the recording and for other programs; its number, None when nothing is recorded or
        sent. Raises SessionError before the first frame of a recording."""
        recorder = self._recordings.running
        return self._streams.mark(recorder.mark() if recorder else None, time.perf_counter())

    @property
    def recorded(self) -> bool:
        """Whether any frame came to the recording that runs or ran last."""
        return self._recordings.last is not None and self._recordings.last.got_frames

    @property
    def recording_fault(self) -> str:
        """Why the recording that runs or ran last had to stop, or is not whole on the disk though it has ended."""
        last = self._recordings.last
        if last is None:
            return ""
        if last.failure or last.active or last.join(0):
            return last.failure
        return f"the disk with {last.folder} does not answer."

    @property
    def film_fault(self) -> str:
        """Why the video of that recording is not whole."""
        last = self._recordings.last
        return last.film.fault if last is not None and last.film is not None else ""

    def status(self) -> Status:
        with self._lock:
            capture, ended, recording = self._capture, self._ended, self._recordings.status()
        analysis, facts = self._analysis.stats(), self._analysis.facts
        source = capture.stats() if capture else None
        is_file = capture is not None and capture.spec.kind == "file"
        return Status(
            state=state_of(analysis, capture, ended is capture),
            paused=capture is not None and capture.paused,
            source=capture.spec if capture else None,
            source_size=source.size if source else None,
            model=facts.model if facts else None,
            device=facts.device if facts else None,
            aus=facts.aus if facts else (),
            captured=source.captured if source else 0,
            analysed=analysis.analysed,
            dropped=analysis.failed + (capture.box.dropped if capture else 0),
            fps=analysis.fps,
            notice=self._notices.current(),
            recording=recording,
            position_s=analysis.timestamp if is_file else None,
            duration_s=source.duration_s if source and is_file else None,
            streams=self._streams.names,
        )

    def announce(self, text: str) -> None:
        """A sentence for the person about something outside the source."""
        self._notices.announce(text)

    def dismiss(self, notice: Notice) -> None:
        """The person has seen it."""
        self._notices.dismiss(notice)

    def warn(self, text: str) -> None:
        """A sentence for the person about the engine, kept in the recording too."""
        with self._lock:
            self._tell("warning", "warning", text)

    def stage_stats(self) -> dict[str, dict[str, float]]:
        """{"capture": {"median_ms": .., "p95_ms": ..}, "observe": .., .., "record": ..}; see meter.STAGE_SAMPLES."""
        with self._lock:
            capture, recorder = self._capture, self._recordings.last
        return stage_figures(
            {
                **({"capture": capture.took_ms.values()} if capture else {}),
                **self._analysis.stage_ms(),
                **({"record": recorder.took_ms.values()} if recorder else {}),
            }
        )

    def close(self) -> Path | None:
        """Ends capture, recording and analysis in this order, each with a deadline, so that every captured frame still
        gets its row. What does not end in time is left behind and logged. Returns the folder of the recording that ran,
        None if none did."""
        with self._lock:
            self._closed = True  # an engine that is loaded just now starts no capture any more
            capture, before = self._capture, self._before
        for late in (capture, before):
            if late is not None:
                late.stop()
                if not late.join():
                    log.warning("%s did not stop in time", late.spec.name)
        with self._lock:
            recorder = self._recordings.finish()
        if not self._analysis.stop():
            log.warning("the analysis did not stop in time")
        self._recordings.close()
        self._streams.close()
        return recorder.folder if recorder is not None else None

    def _on_frame(self, capture: Capture, frame: AnalysedFrame) -> None:
        with self._lock:
            if capture is not self._capture:
                return
            if self._silent:
                self._silent = False
                self._notices.withdraw("silent")
            self.history.append(frame)
            self.view.put(frame)
            if (facts := self._facts) is not None:
                self._streams.put(capture.spec.name, frame, facts.model, facts.settings["max_faces"])
            if frame.faces and not self._faces_seen:
                self._faces_seen = True
                self._notices.withdraw("faces")
            elif not self._faces_seen and frame.packet.timestamp >= NO_FACE_S:
                remedy = "turn towards the camera or make more light." if capture.spec.live else _SMALL_FACES
                self._notices.post("faces", "info", f"No face found in {capture.spec.name} so far; {remedy}")
        self._recordings.deliver(capture, frame)

    def _on_stream_fault(self, text: str) -> None:
        if text:
            self._notices.post("streams", "warning", text)
        else:
            self._notices.withdraw("streams")

    def _on_marker(self, stream: str, text: str, at: float) -> None:
        with self._lock:
            self._recordings.note(f"lsl:{stream}", text, at)

    def _on_again(self, capture: Capture, frame: AnalysedFrame) -> None:
        with self._lock:
            if capture is self._capture:
                self.view.put(frame)

    def _on_failed_frame(self, capture: Capture, taken: Taken | None, text: str) -> None:
        if text:
            log.exception("analysis")
        with self._lock:
            if text and capture is self._capture:
                self._tell("frames", "warning", text)
        if taken is not None:
            self._recordings.give_up(capture, taken)

    def _on_end(self, capture: Capture) -> None:
        stats = capture.stats()
        with self._lock:
            if capture is not self._capture or stats.state not in (CaptureState.ENDED, CaptureState.FAILED):
                return
            self._ended = capture
            if stats.state is CaptureState.ENDED and not self._faces_seen and self._analysis.stats().analysed:
                self._tell("faces", "warning", f"No face was found in {capture.spec.name}; {_SMALL_FACES}")
            why = CUT_OFF if stats.state is CaptureState.ENDED else f"stopped: {stats.fault}"
            self._recordings.end(why if stats.fault else "", at_end=stats.at_end)

    def _on_broken(self, text: str) -> None:
        with self._lock:
            self._broken = True
            self._notices.post("engine", "error", text)
            if self._capture is not None:
                self._capture.stop()
                self._recordings.give_up_waiting()
                self._capture.stop(discard=True)
            self._recordings.end(f"stopped: {text}")

    def _on_engine(self, facts: EngineFacts) -> None:
        with self._lock:
            before, self._facts = self._facts, facts
            self._notices.withdraw("engine")
            if self._broken:
                self._broken = False
                if self._capture is not None:
                    self.set_source(self._capture.spec)
                return
            if before is not None:
                self._recordings.change_engine(before, facts)

    def _on_wait(self, capture: Capture) -> None:
        silent_s = capture.silent_s()
        if silent_s is None or silent_s < SILENT_S:
            return
        with self._lock:
            if capture is self._capture and not self._silent:
                text = f"{capture.spec.name} delivers no pictures; check its plug, or choose another source."
                self._silent = True
                self._tell("silent", "warning", text)

    def _on_report(self, capture: Capture, kind: Report, text: str) -> None:
        with self._lock:
            if capture is not self._capture:
                return
            match kind:
                case "lost":
                    self._silent = False
                    self._notices.withdraw("silent")
                    self._notices.post("source", "warning", f"{text} It continues by itself once it is back.")
                    self._recordings.note("source_lost", text)
                case "allowed":
                    self._notices.withdraw("source")
                case "back":
                    self._notices.withdraw("source")
                    self._recordings.note("source_back", text)
                case "failed":
                    self._tell("source", "error", text)
                case "warning":
                    self._tell("source", "warning", text)

    def _tell(self, key: str, severity: Severity, text: str) -> None:
        """A notice for the person, kept in the recording too."""
        self._notices.post(key, severity, text)
        self._recordings.note("notice", text)
