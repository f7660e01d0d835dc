"""The analysis thread: loads the engine, takes frames from a capture's box, hands results on.

In: FramePackets of the current Capture. Out: AnalysedFrames to a listener. Other threads only set the engine's plain
attributes (``wish``). Another engine may take its place between two frames.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from au_desktop.runtime.at_rest import PictureAtRest
from au_desktop.runtime.capture import Capture
from au_desktop.runtime.slots import Taken
from rtatl_core.errors import AUError, WeightsError
from rtatl_core.handoffs import AnalysedFrame, Float32, ObservedFrame
from rtatl_core.machine.meter import STAGE_SAMPLES, Recent

if TYPE_CHECKING:  # torch takes a second to import: the window is shown first
    from rtatl_core.engine import Engine

log = logging.getLogger(__name__)

RATE_WINDOW_S = 2.0
STOP_S = 8.0
LOADING_STOP_S = 1.0
"""Loading an engine cannot be interrupted, and may take minutes."""
LAYER_WISHES = frozenset({"want_flow", "want_patches"})
"""Wishes that also change a picture at rest."""


class AnalysisState(Enum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AnalysisStats:
    """A snapshot; the counts are of the current capture."""

    state: AnalysisState
    analysed: int
    failed: int
    """Frames on which the engine raised, or that were left over when it failed; they count as dropped."""
    fps: float
    """Analysed per second over the last two seconds."""
    timestamp: float | None
    """Of the last analysed frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What is called in the threads of the analysis, one call at a time."""

    on_frame: Callable[[Capture, AnalysedFrame], None]
    on_failed_frame: Callable[[Capture, Taken | None, str], None]
    """With a sentence for the person; it is empty where ``on_broken`` follows with one."""
    on_end: Callable[[Capture], None]
    """The capture has ended and its last frame is done."""
    on_broken: Callable[[str], None]
    """The engine cannot be used; no frame will be analysed until another one is given."""
    on_engine: Callable[[EngineFacts], None]
    """Another engine, or the same on another device, analyses from the next frame on."""
    on_warning: Callable[[str], None]
    """One sentence about the engine for the person."""
    on_wait: Callable[[Capture], None]
    """No frame has come for a while."""
    on_again: Callable[[Capture, AnalysedFrame], None]
    """The last frame again, with what was wished for since; for the picture only."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the engine says about itself once it is loaded."""

    aus: tuple[int, ...]
    model: dict[str, Any]
    device: str
    settings: dict[str, Any]

    @property
    def columns(self) -> tuple[object, ...]:
        """What decides the columns of a recording."""
        return self.aus, bool(self.model.get("network", {}).get("sides", False))


class Analysis:
    """A thread around an engine, with a second one for the second half of each frame."""

    def __init__(self, make_engine: Callable[[], Engine], listener: Listener) -> None:
        self.ready = threading.Event()
        """Set once the engine is loaded."""
        self.loading = False
        """True while an engine is being loaded. Frames already taken from the box have been delivered; the rest wait in
        it."""
        self.facts: EngineFacts | None = None
        self.make_engine = make_engine
        """Makes the engine in use or, while there is none, the one that was tried last."""
        self._make_next: Callable[[], Engine] | None = make_engine
        self._listener = listener
        self._engine: Engine | None = None
        self._wishes: dict[str, Any] = {}
        self._capture: Capture | None = None
        self._followed: Capture | None = None
        self._finished: Capture | None = None
        self._behind: Future[None] | None = None
        self._unusable: str | None = None
        self._at_rest = PictureAtRest()
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._state = AnalysisState.LOADING
        self._lock = threading.Lock()  # around the wishes and the figures below
        self._analysed = self._failed = 0
        self._timestamp: float | None = None
        self._done_at: deque[float] = deque(maxlen=1024)
        self._stages: defaultdict[str, Recent] = defaultdict(lambda: Recent(STAGE_SAMPLES))
        self._thread = threading.Thread(target=self._run, name="analysis", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def follow(self, capture: Capture | None) -> None:
        """Analyse the frames of this capture from now on."""
        with self._lock:
            self._capture = capture
            self._analysed = self._failed = 0
            self._timestamp = None
            self._done_at.clear()
        self._changed.set()

    def replace_engine(self, make_engine: Callable[[], Engine]) -> None:
        """Loads another engine before the next frame. If it cannot be loaded, the present one goes on."""
        with self._lock:
            self._make_next = make_engine
        self._changed.set()

    def wish(self, name: str, value: Any) -> None:
        """Sets one of the engine's plain attributes (want_flow, smoothing_s, ...), now or when it is loaded."""
        with self._lock:
            self._wishes[name] = value
            if self._engine is not None:
                setattr(self._engine, name, value)
            if name in LAYER_WISHES:
                self._at_rest.outdate()
        self._changed.set()

    def take_rest(self, face_id: int) -> None:
        """See ``Engine.take_rest``; nothing while none is loaded."""
        with self._lock:
            if self._engine is not None:
                self._engine.take_rest(face_id)

    def give_up_rest(self, face_id: int) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.give_up_rest(face_id)

    def wished(self, name: str) -> Any:
        """The present value of such an attribute; None before the engine is loaded, unless it was wished for."""
        return self._wishes.get(name) if self._engine is None else getattr(self._engine, name)

    def stats(self) -> AnalysisStats:
        with self._lock:
            return AnalysisStats(self._state, self._analysed, self._failed, self._rate(), self._timestamp)

    def stage_ms(self) -> dict[str, Float32]:
        """Milliseconds of every stage, of the last STAGE_SAMPLES frames."""
        with self._lock:
            return {name: times.values() for name, times in self._stages.items()}

    def stop(self, timeout: float = STOP_S) -> bool:
        """Analyses what lies in the box and ends. Returns False if the thread is still busy after `timeout` seconds (at
        most LOADING_STOP_S while an engine loads)."""
        self._stop.set()
        self._changed.set()
        if self.loading:
            timeout = min(timeout, LOADING_STOP_S)
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        engine: Engine | None = None
        try:
            while True:
                engine = self._exchanged(engine)
                if engine is not None:
                    engine = self._serve(engine)
                if self._stop.is_set() and (engine is not None or self._make_next is None):
                    return
                if engine is None and self._make_next is None:
                    self._changed.wait()
                    self._changed.clear()
        finally:
            if engine is not None:
                _close(engine)

    def _exchanged(self, engine: Engine | None) -> Engine | None:
        """The engine that was asked for; the given one if none was, or if it cannot be used."""
        with self._lock:
            make, self._make_next = self._make_next, None
        if make is None:
            return engine
        if engine is None:
            self._state = AnalysisState.LOADING
        loaded, facts = None, self.facts
        self.loading = True
        try:
            loaded = make()
            self._take_over(loaded, engine)
        except Exception as error:  # whatever torch, mediapipe or a driver may raise while loading
            with self._lock:
                self._engine = engine
            self.facts = facts
            if loaded is not None:
                _close(loaded)
            if engine is None:
                self.make_engine = make
            self._refuse(error, keeps_on=engine is not None)
            return engine
        finally:
            self.loading = False
        self.make_engine = make
        if engine is not None:
            _close(engine)
            self._at_rest.forget_faces()
        self._state = AnalysisState.READY
        self.ready.set()
        return loaded

    def _take_over(self, engine: Engine, before: Engine | None) -> None:
        with self._lock:  # a wish made meanwhile must not be passed over, nor an older one come after it
            if before is not None:
                engine.follow_on(before)
            self._engine = engine
            for name, value in self._wishes.items():
                setattr(engine, name, value)
        self._tell_facts(engine)

    def _refuse(self, error: Exception, *, keeps_on: bool) -> None:
        cause = f"{type(error).__name__}: {error}"
        if keeps_on:
            cause = str(error) if isinstance(error, AUError) else cause
            self._listener.on_warning(f"{cause.rstrip('.')}; the analysis goes on as before.")
        elif isinstance(error, AUError):
            self._break(str(error))
        else:
            self._break(f"The analysis cannot start ({cause}); install the program again, or choose another device.")

    def _tell_facts(self, engine: Engine) -> None:
        self.facts = EngineFacts(engine.aus, dict(engine.model), engine.device, engine.settings)
        self._listener.on_engine(self.facts)

    def _break(self, text: str) -> None:
        self._listener.on_broken(text)  # first, so that whoever sees the state finds the reason
        self._state = AnalysisState.FAILED

    def _serve(self, engine: Engine) -> Engine | None:
        """Analyses until the end, or until another engine is wanted. None when this one turned out unusable."""
        with ThreadPoolExecutor(1, "second half of the analysis") as second:
            while self._make_next is None and self._unusable is None:
                stopping, capture = self._stop.is_set(), self._capture
                if capture is not None and capture is not self._finished:
                    if not self._step(engine, capture, second, stopping):
                        break
                elif stopping:
                    break
                else:
                    self._show_again(engine, capture)
                    self._changed.wait()
                    self._changed.clear()
            self._catch_up()
        if self._unusable is None:
            return engine
        with self._lock:
            self._engine = None
        _close(engine)
        self._break(self._unusable)
        self._unusable = None
        return None

    def _step(self, engine: Engine, capture: Capture, second: ThreadPoolExecutor, stopping: bool) -> bool:
        """Takes on the next frame, or does what is due while none comes; False when stopping and none is left.

        This thread finds the faces of a frame while `second`, another one, still analyses the frame before.
        """
        taken = None
        try:
            if capture is not self._followed:
                self._catch_up()
                self._followed = capture
                engine.reset(new_ids=True)
            taken = capture.box.take(0.0 if stopping else 0.2)
            if taken is not None:
                self._begin_analysis(engine, capture, taken, second)
            else:
                self._catch_up()
                if self._unusable is None:
                    return self._idle(engine, capture, stopping)
        except Exception as error:  # the top of the loop: this frame is lost, the next may do
            self._catch_up()
            self._lose(capture, taken, _sentence(error))
        return True

    def _begin_analysis(self, engine: Engine, capture: Capture, taken: Taken, second: ThreadPoolExecutor) -> None:
        observed = engine.observe(taken.packet)
        self._catch_up()
        if self._unusable is None:
            self._at_rest.is_now(capture, observed)
            self._behind = second.submit(self._analyse, engine, capture, taken, observed)
        else:  # the frame before has shown it
            self._lose(capture, taken, "")

    def _idle(self, engine: Engine, capture: Capture, stopping: bool) -> bool:
        """Does what is due while no frame comes; False when stopping and none is left."""
        if capture.box.exhausted:
            self._finished = capture
            self._listener.on_end(capture)
        elif stopping:
            return False
        else:
            self._show_again(engine, capture)
            self._listener.on_wait(capture)
        return True

    def _show_again(self, engine: Engine, capture: Capture | None) -> None:
        self._catch_up()
        try:
            frame = self._at_rest.again(engine, capture)
        except Exception as error:  # the next frame may do
            self._listener.on_warning(f"The picture could not be analysed again ({type(error).__name__}: {error}).")
        else:
            if frame is not None and capture is not None:
                self._listener.on_again(capture, frame)

    def _catch_up(self) -> None:
        """Waits until the frame before is delivered."""
        behind, self._behind = self._behind, None
        if behind is not None:
            behind.result()

    def _analyse(self, engine: Engine, capture: Capture, taken: Taken, observed: ObservedFrame) -> None:
        try:
            frame = engine.analyse(observed, taken.dropped)
            if warning := engine.take_warning():  # about this frame already
                self._listener.on_warning(warning)
                self._tell_facts(engine)
            self._deliver(capture, frame)
        except WeightsError as error:  # some weights turn out not to fit at the first frame only
            self._unusable = str(error)
            self._lose(capture, taken, "")
        except Exception as error:  # the top of this thread: this frame is lost, the next may do
            self._lose(capture, taken, _sentence(error))

    def _lose(self, capture: Capture, taken: Taken | None, text: str) -> None:
        with self._lock:
            self._failed += taken is not None and capture is self._capture
        self._listener.on_failed_frame(capture, taken, text)

    def _deliver(self, capture: Capture, frame: AnalysedFrame) -> None:
        with self._lock:
            for name, milliseconds in frame.stage_ms.items():
                self._stages[name].append(milliseconds)
            if capture is self._capture:
                self._analysed += 1
                self._timestamp = frame.packet.timestamp
                self._done_at.append(time.perf_counter())
        self._listener.on_frame(capture, frame)

    def _rate(self) -> float:
        since = time.perf_counter() - RATE_WINDOW_S
        recent = [at for at in self._done_at if at > since]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0


def _sentence(error: Exception) -> str:
    return f"A frame could not be analysed ({type(error).__name__}: {error}); the next ones are tried."


def _close(engine: Engine) -> None:
    """Closes an engine that is no longer needed; a failure is only logged."""
    try:
        engine.close()
    except Exception:
        log.exception("an engine could not be closed")
