"""Between two threads: a live frame waits for a moment, a file's for ever, and nothing given up is forgotten."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from au_desktop.runtime.slots import PATIENCE_S, FrameBox, Slot
from rtatl_core.handoffs import FramePacket
from tests.desktop.fakes import picture


def packet(number: int) -> FramePacket:
    return FramePacket(picture((8, 6)), number, number / 10, 0.0)


def test_slot_keeps_the_newest() -> None:
    slot: Slot[int] = Slot()
    assert slot.take_nowait() is None
    for item in (1, 2, 3):
        slot.put(item)
    assert slot.take_nowait() == 3
    assert slot.take_nowait() is None


def live(number: int, fps: float = 40) -> FramePacket:
    return FramePacket(picture((8, 6)), number, number / 10, 100 + number / fps)


def test_a_live_box_loses_nothing_while_its_reader_pauses_briefly() -> None:
    box = FrameBox(live=True)
    for number in range(1, 6):  # 0.1 s
        box.put(live(number))
    taken = [box.take(0) for _ in range(5)]
    assert [(each.packet.number, each.dropped) for each in taken if each] == [(n, ()) for n in range(1, 6)]
    assert box.dropped == 0


def test_a_live_box_gives_up_what_has_waited_too_long_and_remembers_it() -> None:
    box = FrameBox(live=True)
    for number in range(1, 31):
        box.put(live(number))
    assert box.dropped == 25
    taken = box.take(0)
    assert taken is not None
    assert taken.packet.number == 26
    assert taken.dropped == tuple((number, number / 10) for number in range(1, 26))
    again = box.take(0)
    assert again is not None
    assert again.dropped == ()


def test_what_a_file_lost_travels_like_what_was_given_up() -> None:
    box = FrameBox(live=False)
    box.put(replace(packet(3), lost=((1, 0.1), (2, 0.2))))
    assert box.dropped == 2
    taken = box.take(0)
    assert taken is not None
    assert taken.dropped == ((1, 0.1), (2, 0.2))


def test_a_reader_who_stays_too_slow_gets_the_newest_until_he_keeps_up() -> None:
    """40 frames a second, of which a reader takes 20 for a while, and then every one."""
    box = FrameBox(live=True)
    waited: list[float] = []
    lost: list[int] = []
    for number in range(1, 301):
        before = box.dropped
        box.put(live(number))
        lost.append(box.dropped - before)
        if (number >= 150 or number % 2 == 0) and (taken := box.take(0)):
            waited.append((number - taken.packet.number) / 40)
    assert max(lost) == 1, "frames that are given up lie apart, never a row of them"
    assert sum(lost) == pytest.approx(75, abs=1)
    assert max(waited) <= PATIENCE_S
    assert max(waited[20:]) <= 1 / 40, "a picture that is late all the time helps nobody"
    assert sum(lost[150:]) == 0
    for number in range(301, 306):  # a second and more without a loss: it is patient again
        box.put(live(number))
    assert box.dropped == sum(lost)


def test_waiting_box_loses_nothing_and_holds_the_writer_back() -> None:
    box = FrameBox(live=False, room=2)
    put: list[int] = []

    def write() -> None:
        for number in range(1, 21):
            box.put(packet(number))
            put.append(number)
        box.end()

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.05)
    assert put == [1, 2]
    numbers = []
    while not box.exhausted:
        if taken := box.take(1):
            numbers.append(taken.packet.number)
            assert taken.dropped == ()
    writer.join()
    assert numbers == list(range(1, 21))
    assert box.dropped == 0


@pytest.mark.parametrize("is_live", [True, False])
def test_an_ended_box_gives_out_what_it_holds_and_takes_no_more(is_live: bool) -> None:
    box = FrameBox(live=is_live)
    box.put(packet(1))
    box.end()
    assert not box.put(packet(2))
    assert not box.exhausted
    assert box.take(0) is not None
    assert box.exhausted
    began = time.monotonic()
    assert box.take(10) is None
    assert time.monotonic() - began < 1


def test_discarding_drops_what_the_box_holds() -> None:
    box = FrameBox(live=False)
    box.put(packet(1))
    box.end(discard=True)
    assert box.exhausted
    assert box.dropped == 1


def test_a_box_knows_the_newest_frame_it_took() -> None:
    box = FrameBox(live=False)
    assert box.newest == 0
    box.put(packet(1))
    box.take(0)
    box.end()
    box.put(packet(2))
    assert box.newest == 1


def test_ending_wakes_a_writer_that_waits_for_room() -> None:
    box = FrameBox(live=False, room=1)
    box.put(packet(1))
    answers: list[bool] = []
    writer = threading.Thread(target=lambda: answers.append(box.put(packet(2))))
    writer.start()
    box.end()
    writer.join(2)
    assert answers == [False]


def test_take_waits_no_longer_than_it_may() -> None:
    began = time.monotonic()
    assert FrameBox(live=True).take(0.05) is None
    assert 0.04 < time.monotonic() - began < 1


def test_looking_at_the_waiting_frames_takes_and_forgets_none() -> None:
    box = FrameBox(live=False, room=3)
    assert box.waiting() is None
    box.put(packet(1))
    box.put(replace(packet(3), lost=((2, 0.2),)))
    waiting = box.waiting()
    assert waiting is not None
    assert (waiting.packet.number, waiting.dropped) == (3, ((1, 0.1), (2, 0.2)))
    assert box.dropped == 1
    box.put(packet(4))
    assert (later := box.waiting()) is not None
    assert [number for number, _ in later.dropped] == [1, 2, 3], "oldest first"
    first, second = box.take(0), box.take(0)
    assert first is not None
    assert second is not None
    assert (first.packet.number, first.dropped) == (1, ())
    assert (second.packet.number, second.dropped) == (3, ((2, 0.2),))


def test_waiting_frames_come_with_those_given_up_before_them() -> None:
    box = FrameBox(live=True)
    for number in range(1, 31):
        box.put(live(number))
    waiting = box.waiting()
    assert waiting is not None
    assert waiting.packet.number == 30
    assert [number for number, _ in waiting.dropped] == list(range(1, 30))
