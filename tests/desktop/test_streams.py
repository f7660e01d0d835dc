"""Numbers that leave the running program: who gets what, on which clock, and what the person is told."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from au_desktop.__main__ import _parser
from au_desktop.launch import Flagged, Launch
from au_desktop.runtime.status import State
from au_desktop.settings import Settings, host_and_port
from au_desktop.sinks import streams
from au_desktop.sinks.outlet import Heading, Sample
from au_desktop.sinks.streams import Places, Streams, openers
from rtatl_core.errors import StreamError
from rtatl_core.sessions.rows import FaceRecord
from tests.desktop.conftest import MakeDesk, until, wait_until
from tests.desktop.fakes import AUS, CAMERA, FakeEngine, camera_opener, intensities
from tests.desktop.hands import LEFT, live
from tests.desktop.streaming import analysed, faces_of, received

MODEL = {"name": "fake-1", "sha256": "abc"}


class Outlet:
    """Keeps what it is given; refuses the frames whose numbers are `bad`."""

    def __init__(self, heading: Heading, bad: tuple[int, ...] = ()) -> None:
        self.heading, self.bad = heading, bad
        self.samples: list[Sample] = []
        self.marks: list[str] = []
        self.closed = False

    def send(self, sample: Sample) -> None:
        if sample.number in self.bad:
            raise StreamError("the network is gone")
        self.samples.append(sample)

    def mark(self, label: str, at: float) -> None:
        self.marks.append(label)

    def close(self) -> None:
        self.closed = True


class Sending:
    """Streams with one outlet after another, and what was told of them."""

    def __init__(self, bad: tuple[int, ...] = ()) -> None:
        self.outlets: list[Outlet] = []
        self.faults: list[str] = []
        self.streams = Streams(self.faults.append, lambda *marker: None)
        self._bad = bad

    def open(self, heading: Heading) -> Outlet:
        self.outlets.append(Outlet(heading, self._bad))
        return self.outlets[-1]

    def finish(self) -> None:
        self.streams.close()
        assert all(outlet.closed for outlet in self.outlets)


def test_nothing_is_sent_before_it_is_chosen_and_everything_after() -> None:
    sending = Sending()
    sending.streams.put("camera", analysed(1), MODEL, 1)
    sending.streams.use({"one": sending.open})
    for number in (2, 3):
        sending.streams.put("camera", analysed(number), MODEL, 1)
    assert sending.streams.mark(4, time.perf_counter()) == 4
    assert [sending.streams.mark(None, time.perf_counter()) for _ in range(2)] == [1, 2], "nothing is recorded"
    sending.streams.use({})
    assert sending.streams.mark(None, time.perf_counter()) is None
    sending.streams.put("camera", analysed(4), MODEL, 1)
    sending.finish()
    (outlet,) = sending.outlets
    assert outlet.heading == Heading("camera", AUS, False, "fake-1 abc", faces=1)
    assert [sample.number for sample in outlet.samples] == [2, 3]
    assert outlet.marks == ["4", "1", "2"]
    np.testing.assert_allclose(outlet.samples[0].faces[0].result.intensity, intensities(2 / 25), rtol=1e-6)


def test_a_marker_before_the_first_frame_waits_for_it() -> None:
    sending = Sending()
    sending.streams.use({"one": sending.open})
    assert sending.streams.mark(None, time.perf_counter()) == 1
    sending.streams.put("camera", analysed(1), MODEL, 1)
    sending.streams.mark(None, time.perf_counter())
    sending.finish()
    assert sending.outlets[0].marks == ["1", "2"]


def test_another_source_or_model_begins_other_streams() -> None:
    sending = Sending()
    sending.streams.use({"one": sending.open})
    for source, model in (("one", MODEL), ("one", MODEL), ("two", MODEL), ("two", MODEL | {"sha256": "def"})):
        sending.streams.put(source, analysed(), model, 1)
    sending.finish()
    heads = [(outlet.heading.source, outlet.heading.model, len(outlet.samples)) for outlet in sending.outlets]
    assert heads == [("one", "fake-1 abc", 2), ("two", "fake-1 abc", 1), ("two", "fake-1 def", 1)]


def test_what_stays_chosen_goes_on() -> None:
    sending = Sending()
    for number, names in enumerate((["lsl"], ["lsl", "osc"], ["osc"]), start=1):
        sending.streams.use(dict.fromkeys(names, sending.open))
        sending.streams.put("camera", analysed(number), MODEL, 1)
    sending.finish()
    assert [[sample.number for sample in outlet.samples] for outlet in sending.outlets] == [[1, 2], [2, 3]]


def test_a_fault_is_told_once_and_taken_back_when_it_is_over() -> None:
    sending = Sending(bad=(2, 3))
    sending.streams.use({"one": sending.open})
    for number in range(1, 6):
        sending.streams.put("camera", analysed(number), MODEL, 1)
    sending.finish()
    assert sending.faults == ["the network is gone", ""]
    assert [sample.number for sample in sending.outlets[0].samples] == [1, 4, 5]


def test_an_outlet_that_cannot_be_opened_is_told_until_it_is_given_up() -> None:
    def refuse(heading: Heading) -> Outlet:
        raise StreamError("no library")

    sending = Sending()
    sending.streams.use({"bad": refuse, "one": sending.open})
    for number in (1, 2):
        sending.streams.put("camera", analysed(number), MODEL, 1)
    sending.streams.use({"one": sending.open})
    sending.finish()
    assert sending.faults == ["no library", ""]
    assert [sample.number for sample in sending.outlets[0].samples] == [1, 2]


def test_one_outlet_that_breaks_takes_nothing_from_the_others() -> None:
    """Whatever its library raises: while it is opened, or with a frame."""

    def break_down(*_: Any) -> Any:
        raise RuntimeError("no port is free")

    def open_broken(heading: Heading) -> Outlet:
        broken = sending.open(heading)
        broken.send = break_down  # type: ignore[method-assign]
        return broken

    sending = Sending()
    for first in (break_down, open_broken):
        sending.streams.use({"first": first, "one": sending.open})
        for number in (1, 2):
            sending.streams.put("camera", analysed(number), MODEL, 1)
        sending.streams.use({})
    sending.finish()
    assert sending.faults == ["first: numbers cannot be sent (no port is free); turn it off and on again.", ""] * 2
    assert [[sample.number for sample in outlet.samples] for outlet in sending.outlets] == [[1, 2], [], [1, 2]]


def test_outlets_open_in_their_order() -> None:
    """The Lab Streaming Layer does not wait until the name of OSC's receiver is known."""
    names = [f"outlet {number}" for number in range(8)]
    opened: list[str] = []

    def opener(name: str) -> Any:
        return lambda heading: opened.append(name) or sending.open(heading)

    sending = Sending()
    sending.streams.use({name: opener(name) for name in names})
    sending.streams.put("camera", analysed(), MODEL, 1)
    sending.finish()
    assert opened == names
    assert list(openers(Settings(lsl=True, osc=True))) == ["LSL", "OSC to 127.0.0.1:9000"]


def test_a_mistake_of_ours_does_not_end_the_thread() -> None:
    sending = Sending()
    sending.streams.use({"one": sending.open})
    sending.streams.put("camera", analysed(1), MODEL, 1)
    monkey = sending.streams._each
    sending.streams._each = lambda act: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    sending.streams.put("camera", analysed(2), MODEL, 1)
    time.sleep(0.1)
    sending.streams._each = monkey  # type: ignore[method-assign]
    sending.streams.put("camera", analysed(3), MODEL, 1)
    sending.finish()
    assert sending.faults[0].startswith("Numbers cannot be sent to other programs (")
    assert sending.outlets[0].samples[-1].number == 3


def test_a_receiver_that_hangs_costs_frames_not_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ROOM", 5)
    sending = Sending()
    sending.streams.names = ("one",)  # nobody takes from the queue
    for number in range(1, 16):
        sending.streams.put("camera", analysed(number), MODEL, 1)
    assert sending.streams.left_out == 10
    sending.streams.close()


def test_faces_keep_their_places() -> None:
    result = faces_of(analysed())[0].result
    one, two, three, eight = (FaceRecord(i, 1.0, np.zeros(6), result, (0, 0, 1, 1)) for i in (1, 2, 3, 8))
    places = Places(3)
    assert places.of([]) == (None, None, None), "all places are there from the beginning"
    assert places.of([one]) == (one, None, None)
    assert places.of([one, two]) == (one, two, None)
    assert places.of([two]) == (None, two, None), "who stays does not move up"
    assert places.of([two, three]) == (three, two, None)
    assert places.of([one, two, three]) == (three, two, one)
    assert Places(2).of([one, eight]) == (one, eight), "those who come together, in their order"


@pytest.mark.parametrize(
    "text", ["", "here", "here:", ":9000", "[]:9000", "a..b:9000", "here:0", "here:70000", "here:1x", "here:²"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="write HOST:PORT"):
        host_and_port(text)
    with pytest.raises(ValueError, match="osc_address"):
        Settings(osc_address=text)


def test_addresses() -> None:
    assert host_and_port("studio.local:9000") == ("studio.local", 9000)
    assert host_and_port("[::1]:7") == ("::1", 7)


@pytest.mark.usefixtures("no_names")
def test_the_pipeline_sends_what_it_shows(make_pipeline: Any, receiver: socket.socket) -> None:
    pytest.importorskip("pythonosc")
    pipeline = make_pipeline(lambda: FakeEngine(max_faces=2), open_source=camera_opener(frames=10, fps=100))
    address = f"127.0.0.1:{receiver.getsockname()[1]}"
    pipeline.set_streams(Settings(osc=True, osc_address=address))
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, lambda status: status.state is State.LIVE and status.analysed > 0)
    assert received(receiver)["/face/0/success"] == [1]
    assert received(receiver)["/face/1/success"] == [0], "a second one could come"
    pipeline.set_streams(Settings(osc=True, osc_address="nowhere.invalid:1"))
    notice = until(pipeline, lambda status: status.notice is not None).notice
    assert "nowhere.invalid is not known here" in notice.text
    pipeline.set_streams(Settings())
    until(pipeline, lambda status: status.notice is None)


def test_switches_and_address_act_at_once_and_the_status_line_says_so(
    make_desk: MakeDesk, receiver: socket.socket
) -> None:
    pytest.importorskip("pythonosc")
    desk = live(make_desk())
    address = f"127.0.0.1:{receiver.getsockname()[1]}"
    QTest.mouseClick(desk.window.top.options, LEFT)
    field = desk.window.options.osc_address
    QTest.mouseClick(field, LEFT)
    assert field.hasFocus()
    field.selectAll()
    QTest.keyClicks(field, address)
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert desk.window.settings.osc_address == address
    assert not field.hasFocus(), "keys are the window's again"
    QTest.mouseClick(desk.window.options.osc, LEFT)
    assert desk.window.settings.osc
    wait_until(lambda: "OSC" in desk.window.line.text)
    assert received(receiver)["/face/0/success"] == [1]
    desk.window.recording.mark()
    assert "Marker 1 is set" in desk.window.line.text, "though nothing is recorded"
    while received(receiver) != {"/marker": ["1"]}:
        pass
    field.selectAll()
    QTest.keyClicks(field, "nobody")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert (field.text(), desk.window.settings.osc_address) == (address, address), "what is no address is taken back"
    QTest.mouseClick(desk.window.options.osc, LEFT)
    wait_until(lambda: "OSC" not in desk.window.line.text)
    desk.window.options.close()


def test_flags_turn_streams_on_for_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = _parser().parse_args(["--lsl", "--osc", "studio:9000"])
    flagged = Flagged(Settings(), Launch(lsl=arguments.lsl, osc=arguments.osc), None)
    settings = flagged.settings()
    assert (settings.lsl, settings.osc, settings.osc_address) == (True, True, "studio:9000")
    assert flagged.to_keep(settings, (1280, 800)) == Settings()
    assert not Flagged(Settings(), Launch(), None).settings().lsl
    with pytest.raises(SystemExit, match="2"):
        _parser().parse_args(["--osc", "studio"])
    assert "'studio' is no address; write HOST:PORT" in capsys.readouterr().err


def test_markers_are_events_of_the_recording(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(open_source=camera_opener(frames=10_000, fps=50))
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, lambda status: status.analysed > 2)
    folder = pipeline.start_recording(tmp_path)
    began = time.perf_counter()
    until(pipeline, lambda status: status.recording is not None and status.recording.rows > 20)
    pipeline._on_marker("stimuli", "face on", began + 0.1)
    pipeline.stop_recording()
    (event,) = [line for line in (folder / "events.csv").read_text().splitlines() if "stimuli" in line]
    session = json.loads((folder / "session.json").read_text())
    assert "lsl:stimuli,face on" in event
    assert float(event.split(",")[0]) == pytest.approx(began + 0.1 - session["clock"]["perf_counter"], abs=2e-3)
