"""The whole path of a frame. The window, ``rtatl analyze`` and batch runs all call this one, so they give the
same numbers."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rtatl_core.errors import InputError, PredictionError
from rtatl_core.face.align import align_face, to_image
from rtatl_core.face.observe import Observer
from rtatl_core.face.regions import WINDOW
from rtatl_core.facs import au_label
from rtatl_core.handoffs import (
    OF_PHOTOS,
    AlignedFace,
    AnalysedFace,
    AnalysedFrame,
    Float32,
    FramePacket,
    ObservedFrame,
)
from rtatl_core.predictor import Predictor, Raw
from rtatl_core.reference import PersonalReference, Rest, StatedRest, expressed, median_of
from rtatl_core.temporal import SMOOTHING_S, Smoother

IN_FLIGHT = 4
"""Frames that ``ahead`` works on at once: one is decoded, one observed, one analysed, and one is done and waits to be
written. Memory stays flat."""


class Engine:
    """FramePacket -> AnalysedFrame. Used by one thread at a time, but each half of ``process`` may have its own;
    loading takes a second or two.

    ``want_flow``, ``want_patches``, ``smoothing_s`` and ``personal`` are plain attributes that other threads may set.
    ``personal``: faces are compared with the person's own (reference.py), if the model can; those of photos never are.
    ``tracking`` False: photos, each looked at by itself, so that nothing is smoothed or compared. Raises WeightsError
    for an unusable model and InputError for an unusable device.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        max_faces: int = 1,
        smoothing_s: float = SMOOTHING_S,
        personal: bool = True,
        tracking: bool = True,
        threads: int | None = None,
    ) -> None:
        self._smoother = Smoother(SMOOTHING_S)
        self.smoothing_s = smoothing_s
        cv2.setNumThreads(1)  # its pool fights the network's for the same cores
        self._predictor = Predictor(model, device, threads)
        self._predictor.warm_up()
        self._observer = Observer(max_faces, tracking=tracking)
        self._reference, self._stated = PersonalReference(), StatedRest()
        self._compares = self._predictor.card.config.reference
        self.aus = self._predictor.aus
        self.model: dict[str, Any] = self._predictor.card.facts
        self.max_faces = max_faces
        self.personal = personal
        self.tracking = tracking
        self.want_flow = False
        self.want_patches = False

    @property
    def smoothing_s(self) -> float:
        """Time constant at rest; setting it raises InputError for what is none."""
        return self._smoother.seconds

    @smoothing_s.setter
    def smoothing_s(self, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise InputError(f"smoothing cannot be {seconds} s; write 0 (off) or more seconds")
        self._smoother.seconds = seconds

    def take_rest(self, face_id: int) -> None:
        """That face rests now, for ``reference.REST_S`` of its frames: afterwards its readings count from there, until
        it has another id, or the source or the model changes. Any thread may call it."""
        self._stated.take(face_id)

    def give_up_rest(self, face_id: int) -> None:
        """It is read like others again. Any thread may call it."""
        self._stated.give_up(face_id)

    @property
    def everyones_rest(self) -> Rest | None:
        """From where readings count of all faces whose own rest was not taken; None, as at first: from where a
        stranger's do. It outlives ``reset``. See sessions/rest.py."""
        return self._stated.of_everyone

    @everyones_rest.setter
    def everyones_rest(self, rest: Rest | None) -> None:
        self._stated.of_everyone = rest

    def rest_in(self, packets: Iterable[FramePacket], since_s: float = -math.inf) -> Float32 | None:
        """(2, n_aus) median raw output (``Rest.raw``) for the largest face of each, who rests from ``since_s`` on; what
        comes before is what it is compared with. None if no face is seen. A frame for which the network gives no
        numbers is left out. Forgets what came before, as ``reset`` does, and itself."""
        self.reset()
        raws: list[Float32] = []
        for packet in packets:
            if (seen := self.observe(packet)).observations:
                with contextlib.suppress(PredictionError):
                    _, raw = self._run(seen, _StageClock())
                    raws += [] if packet.timestamp < since_s else [raw.at_rest[0]]
        self.reset()
        return median_of(raws) if raws else None

    def rest_intensity(self, rest: Float32) -> Float32:
        """rest: ``Rest.raw`` -> (n_aus,) as in ``AnalysedFace.rest``."""
        return self._predictor.card.calibration.rest_intensity(rest[0])

    def rest_difference(self, rest: Float32) -> Float32 | None:
        """The same for ``AnalysedFace.rest_difference``; None if the model does not tell sides."""
        card = self._predictor.card
        return card.calibration.rest_difference(*rest) if card.config.sides else None

    @property
    def device(self) -> str:
        """The device in use; differs from the one asked for if that ran out of memory."""
        return self._predictor.device

    @property
    def runtime(self) -> str:
        """What does the arithmetic: torch, onnxruntime or openvino."""
        return self._predictor.runtime

    def take_warning(self) -> str | None:
        """A sentence for the person when something about the analysis has changed by itself; each is given once."""
        if (warning := self._predictor.warning) is not None:  # else one that comes just now would be lost
            self._predictor.warning = None
        return warning

    @property
    def settings(self) -> dict[str, Any]:
        """What of this engine belongs into session.json beside the model."""
        own = {"smoothing_s": self.smoothing_s, "personal": self.personal} if self.tracking else OF_PHOTOS
        return {
            **{name: value for name, value in own.items() if self._compares or name != "personal"},
            **({} if self.everyones_rest is None else {"rest": self._rest_as_json(self.everyones_rest)}),
            "max_faces": self.max_faces,
            "device": self.device,
            "runtime": self.runtime,
        }

    def _rest_as_json(self, rest: Rest) -> dict[str, Any]:
        labels = [au_label(au) for au in self.aus]
        by_name = {"subtracted": self.rest_intensity(rest.raw), "left_minus_right": self.rest_difference(rest.raw)}
        return {
            **rest.where,
            **{
                name: dict(zip(labels, values.astype(float).round(2).tolist(), strict=True))
                for name, values in by_name.items()
                if values is not None
            },
        }

    def process(self, packet: FramePacket, dropped: tuple[tuple[int, float], ...] = ()) -> AnalysedFrame:
        """``dropped``: (number, timestamp) of captured frames given up since the last call; they and what the packet
        says was lost travel with the result. Raises PredictionError when the network gives no numbers for this
        frame."""
        return self.analyse(self.observe(packet), (*dropped, *packet.lost))

    def observe(self, packet: FramePacket) -> ObservedFrame:
        """The first half of ``process``: finds the faces."""
        clock = _StageClock()
        observations = self._observer(packet)
        clock.stop("observe")
        return ObservedFrame(packet, observations, clock.stages)

    def analyse(self, observed: ObservedFrame, dropped: tuple[tuple[int, float], ...] = ()) -> AnalysedFrame:
        """The second half: chips and AUs of the faces, of one frame while the next is observed; frames keep their
        order."""
        clock = _StageClock(observed.stage_ms)
        faces = self._analyse(observed, clock) if observed.observations else ()
        return AnalysedFrame(observed.packet, faces, self.aus, dropped, clock.stages)

    def ahead(self, packets: Iterable[FramePacket]) -> Generator[tuple[FramePacket, Future[AnalysedFrame]]]:
        """Every packet with its result: while the caller has one, the next is analysed, the one after it observed and
        another decoded, each in a thread of its own. The same numbers as from ``process``, whose errors the results
        raise; a SourceError comes after the results of all packets before it. Whoever stops before the end closes this
        generator before the source."""
        source = iter(packets)
        with (
            ThreadPoolExecutor(1, "decode") as decode,
            ThreadPoolExecutor(1, "observe") as observe,
            ThreadPoolExecutor(1, "analyse") as analyse,
        ):

            def begin() -> tuple[Future[FramePacket], Future[AnalysedFrame]]:
                decoded = decode.submit(next, source)
                observed = observe.submit(lambda: self.observe(decoded.result()))
                return decoded, analyse.submit(lambda: self.analyse(observed.result(), decoded.result().lost))

            under_way = deque(begin() for _ in range(IN_FLIGHT))
            while True:
                decoded, analysed = under_way.popleft()
                try:
                    packet = decoded.result()
                except StopIteration:
                    return
                yield packet, analysed
                under_way.append(begin())

    def _analyse(self, observed: ObservedFrame, clock: _StageClock) -> tuple[AnalysedFace, ...]:
        timestamp = observed.packet.timestamp
        aligned, raw = self._run(observed, clock)
        at_rest = raw.at_rest
        rests = [
            self._stated(seen.face_id, timestamp, own) for seen, own in zip(observed.observations, at_rest, strict=True)
        ]
        predictions = self._predictor.read(raw, _stacked(rests, at_rest))
        clock.stop("predict")
        if not self.tracking:
            self._smoother.forget()
        faces = tuple(
            AnalysedFace(
                observation=seen,
                aligned=face,
                regions=to_image(centre * self._predictor.layout.side, face.matrix),
                region_radius=WINDOW / 2 * self._predictor.layout.side / float(np.hypot(*face.matrix[:, 0])),
                prediction=prediction,
                result=self._smoother(seen.face_id, timestamp, prediction),
                rest=None if rest is None else self.rest_intensity(rest),
                rest_difference=None if rest is None else self.rest_difference(rest),
            )
            for seen, face, prediction, centre, rest in zip(
                observed.observations, aligned, predictions, raw.centres, rests, strict=True
            )
        )
        clock.stop("smooth")
        return faces

    def _run(self, observed: ObservedFrame, clock: _StageClock) -> tuple[list[AlignedFace], Raw]:
        """What the network says about the faces of a frame."""
        image = observed.packet.image
        aligned = [align_face(image, seen.landmarks, self._predictor.layout) for seen in observed.observations]
        clock.stop("align")
        ids = [seen.face_id for seen in observed.observations]
        compared = self._compares and not self._is_alone(observed)
        raw = self._predictor.run(
            aligned,
            [self._reference.of(face_id) for face_id in ids] if compared and self.personal else None,
            want_flow=self.want_flow,
            want_patches=self.want_patches,
        )
        if compared:  # even while nobody asks, so that a switch acts at once
            shows = expressed(raw.outputs.intensity)
            for face_id, face, much in zip(ids, aligned, shows.tolist(), strict=True):
                self._reference.see(face_id, observed.packet.timestamp, face.geometry, much)
        return aligned, raw

    def _is_alone(self, observed: ObservedFrame) -> bool:
        """Whether nothing came before it that it could be compared with."""
        return observed.packet.still or not self.tracking

    def reset(self, *, new_ids: bool = False) -> None:
        """Forget faces and smoothing: what follows is a new source. Ids of faces go on, unless ``new_ids`` begins at 0
        again, for a session of its own."""
        self._observer.reset(new_ids=new_ids)
        self._reference.forget()
        self._stated.forget()
        self._smoother.forget()

    def follow_on(self, before: Engine) -> None:
        """Takes that engine's place within a source: the faces it followed keep their ids, and none is used twice, and
        how they look at rest stays known. From where their readings count stays, too, unless the model is another."""
        self._observer.tracker = before._observer.tracker
        self._reference = before._reference
        self._stated.follow_on(before._stated, alike=self.model["sha256"] == before.model["sha256"])

    def close(self) -> None:
        self._observer.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


def _stacked(rests: list[Float32 | None], at_rest: Float32) -> Float32 | None:
    """(n_faces, 2, n_aus) of the rests that were said, NaN where none was; None where nothing was said at all."""
    if all(rest is None for rest in rests):
        return None
    unsaid = np.full_like(at_rest[0], np.nan)
    stated: Float32 = np.stack([unsaid if rest is None else rest for rest in rests])
    return stated


class _StageClock:
    """Milliseconds between stops, by name."""

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        self.stages: dict[str, float] = dict(before or {})
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage] = (now - self._last) * 1000
        self._last = now
