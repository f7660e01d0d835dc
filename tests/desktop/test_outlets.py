"""What other programs receive, as OSC messages and through the Lab Streaming Layer, and on which clock."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from au_desktop.sinks import lsl, osc
from au_desktop.sinks.lsl_markers import EVERY_S, LslMarkers
from au_desktop.sinks.outlet import Heading, Sample
from rtatl_core.errors import StreamError
from tests.desktop.conftest import wait_until
from tests.desktop.fakes import AUS
from tests.desktop.streaming import analysed, faces_of, received


def test_osc_messages(receiver: socket.socket) -> None:
    pytest.importorskip("pythonosc")
    outlet = osc.OscOutlet("127.0.0.1", receiver.getsockname()[1], Heading("camera", AUS, False, ""))
    frame = analysed(7)
    outlet.send(Sample(7, 0.0, (faces_of(frame)[0], None)))
    first, second = received(receiver), received(receiver)
    assert first["/face/0/frame"] == [7]
    assert first["/face/0/success"] == [1]
    face = frame.faces[0]
    assert first["/face/0/AU12"] == pytest.approx([face.result.intensity[AUS.index(12)]])
    pose = [*face.observation.pose.translation_mm, *face.observation.pose.rotation_rad]
    assert first["/face/0/pose"] == pytest.approx(pose, rel=1e-6)
    assert len(first) == len(AUS) + 3
    assert second == {"/face/1/frame": [7], "/face/1/success": [0]}
    outlet.mark("4", 0.0)
    assert received(receiver) == {"/marker": ["4"]}
    outlet.close()


@pytest.mark.usefixtures("no_names")
def test_osc_to_nobody_knows_whom() -> None:
    pytest.importorskip("pythonosc")
    with pytest.raises(StreamError, match=r"OSC: nowhere\.invalid is not known here .*; correct its address"):
        osc.OscOutlet("nowhere.invalid", 9000, Heading("camera", AUS, False, ""))


def test_osc_goes_to_the_address_where_receivers_listen(
    monkeypatch: pytest.MonkeyPatch, receiver: socket.socket
) -> None:
    pytest.importorskip("pythonosc")
    port = receiver.getsockname()[1]
    both = [(socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", port, 0, 0))]
    both += [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    outlet = osc.OscOutlet("localhost", port, Heading("camera", AUS, False, ""))
    outlet.mark("1", 0.0)
    assert received(receiver) == {"/marker": ["1"]}
    outlet.close()


def test_osc_that_cannot_be_sent_says_where_to() -> None:
    pytest.importorskip("pythonosc")
    outlet = osc.OscOutlet("255.255.255.255", 9000, Heading("camera", AUS, False, ""))  # to all is not allowed
    with pytest.raises(StreamError, match=r"OSC: nothing can be sent to 255.255.255.255 \(.+\); check network"):
        outlet.mark("1", 0.0)
    outlet.close()


@pytest.mark.parametrize(
    ("module", "open_outlet"),
    [("pythonosc", lambda heading: osc.OscOutlet("127.0.0.1", 9, heading)), ("pylsl", lsl.LslOutlet)],
)
def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, open_outlet: Callable[[Heading], object]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(StreamError, match=r"needs (python-osc|pylsl).*install -c constraints.txt -e .*\[streams\]"):
        open_outlet(Heading("camera", AUS, False, ""))


@pytest.fixture(scope="module")
def pylsl(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Looks for streams on this machine only."""
    config = tmp_path_factory.mktemp("lsl") / "lsl.cfg"
    config.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n")
    os.environ["LSLAPICFG"] = str(config)  # read when the library is first loaded
    library = pytest.importorskip("pylsl")
    probe = library.StreamOutlet(library.StreamInfo("lsl probe", "test", 1, 0, library.cf_string, "probe"))
    if not library.resolve_byprop("name", "lsl probe", timeout=5):
        pytest.skip("streams are not found on this machine; its firewall or network forbids multicast")
    del probe
    return library


def inlet(pylsl: Any, name: str) -> Any:
    (info,) = pylsl.resolve_byprop("name", name, minimum=1, timeout=5)
    made = pylsl.StreamInlet(info)
    made.open_stream(5)
    return made


def test_lsl_samples_have_the_time_of_the_capture(pylsl: Any) -> None:
    outlet = lsl.LslOutlet(Heading("lsl test", AUS, False, "fake-1 abc"))
    faces, markers = inlet(pylsl, "lsl test_AU"), inlet(pylsl, "lsl test_Markers")
    frame = analysed(3)
    now = time.perf_counter()
    outlet.send(Sample(3, now - 0.5, (faces_of(frame)[0],)))
    outlet.send(Sample(4, now, (None,)))
    outlet.mark("1", now)
    (first, first_at), (second, second_at) = faces.pull_sample(5), faces.pull_sample(5)
    info = faces.info(5)
    labels = info.get_channel_labels()
    assert (info.type(), info.nominal_srate(), info.source_id()[:10]) == ("FACS", 0, "au-desktop")
    assert labels[:4] == ["frame", "face_id", "confidence", "success"]
    assert labels[-1] == "AU43_r"
    told = dict(zip(labels, first, strict=True))
    assert told["frame"] == 3
    assert told["AU12_r"] == pytest.approx(frame.faces[0].result.intensity[AUS.index(12)])
    assert told["pose_Tz"] == pytest.approx(frame.faces[0].observation.pose.translation_mm[2])
    assert second_at - first_at == pytest.approx(0.5, abs=0.05)
    assert pylsl.local_clock() - second_at < 5
    assert second[:4] == pytest.approx([4, np.nan, np.nan, 0], nan_ok=True)
    assert np.isnan(second[4:]).all()
    assert markers.pull_sample(5)[0] == ["1"]
    outlet.close()


def test_a_busy_moment_between_two_clocks_moves_no_stamp() -> None:
    delays = iter([0.02, 0.0, 0.02, 0.0, 0.02])

    def theirs() -> float:
        now = time.perf_counter() + 100
        time.sleep(next(delays))
        return now

    assert lsl.clocks_apart(theirs) == pytest.approx(100, abs=0.002)


def test_a_second_face_has_a_stream_before_anybody_comes(pylsl: Any) -> None:
    outlet = lsl.LslOutlet(Heading("lsl pair", AUS, False, "", faces=2))
    second = inlet(pylsl, "lsl pair_AU2")
    one, other = faces_of(analysed(1, faces=2))
    outlet.send(Sample(1, time.perf_counter(), (one, None)))
    outlet.send(Sample(2, time.perf_counter(), (one, other)))
    assert second.pull_sample(5)[0][:4] == pytest.approx([1, np.nan, np.nan, 0], nan_ok=True)
    assert second.pull_sample(5)[0][:2] == [2, 1]
    outlet.close()


def test_sides_are_the_subjects_own(pylsl: Any) -> None:
    outlet = lsl.LslOutlet(Heading("lsl sides", AUS, True, ""))
    (face,) = faces_of(analysed())
    sides = np.stack([np.arange(len(AUS)), np.arange(len(AUS)) + 0.5], axis=1).astype(np.float32)
    received = inlet(pylsl, "lsl sides_AU")
    outlet.send(Sample(1, time.perf_counter(), (replace(face, result=replace(face.result, sides=sides)),)))
    told = dict(zip(received.info(5).get_channel_labels(), received.pull_sample(5)[0], strict=True))
    place = AUS.index(12)
    assert (told["AU12_left"], told["AU12_right"]) == (place, place + 0.5)
    assert not [name for name in told if name.endswith(("_c", "_raw"))]
    outlet.close()


def test_markers_of_other_programs_come_with_their_time_and_our_own_do_not(pylsl: Any) -> None:
    ours = lsl.LslOutlet(Heading("lsl own", AUS, False, ""))
    info = pylsl.StreamInfo("stimuli", "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, "another program")
    theirs = pylsl.StreamOutlet(info)
    heard: list[tuple[str, str, float]] = []
    listening = LslMarkers(lambda *marker: heard.append(marker))
    try:
        assert theirs.wait_for_consumers(5)
        shown = time.perf_counter()
        theirs.push_sample(["face on"], pylsl.local_clock() - 0.3)
        ours.mark("1", shown)
        theirs.push_sample(["face off"])
        wait_until(lambda: len(heard) == 2)
        time.sleep(3 * EVERY_S)
    finally:
        listening.close()
    assert [marker[:2] for marker in heard] == [("stimuli", "face on"), ("stimuli", "face off")]
    assert heard[0][2] == pytest.approx(shown - 0.3, abs=0.02)
    assert heard[1][2] == pytest.approx(shown, abs=0.02)
    ours.close()


@pytest.mark.parametrize("source_id", ["the same each time", ""])
def test_a_program_that_quits_and_comes_again_is_heard_once_with_all_it_says(pylsl: Any, source_id: str) -> None:
    said: list[tuple[str, float]] = []
    heard: list[tuple[str, str, float]] = []
    listening = LslMarkers(lambda *marker: heard.append(marker))
    name = f"stimuli {source_id}"
    info = pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source_id)
    try:
        for text in ("first run", "second run", "Gefühl".encode("latin-1")):
            theirs = pylsl.StreamOutlet(info)
            assert theirs.wait_for_consumers(10)
            time.sleep(1)
            said.append((text if isinstance(text, str) else text.decode("latin-1"), time.perf_counter()))
            theirs.push_sample([text])
            time.sleep(0.1)
            del theirs  # it quits at once
        wait_until(lambda: len(heard) >= len(said))
        time.sleep(3 * EVERY_S)
    finally:
        listening.close()
    assert [marker[:2] for marker in heard] == [(name, text) for text, _ in said]
    assert [at for *_, at in heard[:2]] == pytest.approx([at for _, at in said[:2]], abs=0.02)
    assert heard[2][2] == pytest.approx(said[2][1], abs=0.5), "when it arrived"


def test_markers_wait_for_no_clock_that_does_not_answer(pylsl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a firewall lets through the markers only: the moment counts in which they arrive."""

    def silent(inlet: Any, timeout: float) -> float:
        time.sleep(min(timeout, 0.2))
        raise pylsl.util.TimeoutError

    monkeypatch.setattr(pylsl.StreamInlet, "time_correction", silent)
    heard: list[tuple[str, str, float]] = []
    listening = LslMarkers(lambda *marker: heard.append(marker))
    info = pylsl.StreamInfo("far", "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, "far")
    theirs = pylsl.StreamOutlet(info)
    try:
        assert theirs.wait_for_consumers(10)
        time.sleep(0.5)
        said = time.perf_counter()
        for number in range(20):
            theirs.push_sample([str(number)], 1e9)
        wait_until(lambda: len(heard) == 20)
    finally:
        listening.close()
    assert [text for _, text, _ in heard] == [str(number) for number in range(20)]
    assert [at for *_, at in heard] == pytest.approx([said] * 20, abs=0.1)
