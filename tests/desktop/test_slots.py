"""Between two threads: newest wins or everyone waits, and nothing given up is forgotten."""

from __future__ import annotations

import threading
import time

import pytest

from au_desktop.runtime.slots import FrameBox, Slot
from rtatl_core.handoffs import FramePacket
from tests.desktop.fakes import picture


def packet(number: int) -> FramePacket:
    return FramePacket(picture((8, 6)), number, number / 10, 0.0)


def test_slot_keeps_the_newest_and_counts_the_rest() -> None:
    slot: Slot[int] = Slot()
    assert slot.take_nowait() is None
    for item in (1, 2, 3):
        slot.put(item)
    assert slot.take_nowait() == 3
    assert slot.take_nowait() is None
    assert slot.overwritten == 2


def test_newest_wins_box_remembers_the_frames_it_gave_up() -> None:
    box = FrameBox(newest_wins=True)
    for number in (1, 2, 3):
        assert box.put(packet(number))
    taken = box.take(0)
    assert taken is not None
    assert taken.packet.number == 3
    assert taken.dropped == ((1, 0.1), (2, 0.2))
    assert box.dropped == 2
    box.put(packet(4))
    again = box.take(0)
    assert again is not None
    assert again.dropped == ()


def test_waiting_box_loses_nothing_and_holds_the_writer_back() -> None:
    box = FrameBox(newest_wins=False, room=2)
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


@pytest.mark.parametrize("newest_wins", [True, False])
def test_an_ended_box_gives_out_what_it_holds_and_takes_no_more(newest_wins: bool) -> None:
    box = FrameBox(newest_wins=newest_wins)
    box.put(packet(1))
    box.end()
    assert not box.put(packet(2))
    assert not box.exhausted
    assert box.take(0) is not None
    assert box.exhausted
    began = time.monotonic()
    assert box.take(10) is None
    assert time.monotonic() - began < 1


def test_discarding_forgets_what_the_box_holds() -> None:
    box = FrameBox(newest_wins=False)
    box.put(packet(1))
    box.end(discard=True)
    assert box.exhausted


def test_ending_wakes_a_writer_that_waits_for_room() -> None:
    box = FrameBox(newest_wins=False, room=1)
    box.put(packet(1))
    answers: list[bool] = []
    writer = threading.Thread(target=lambda: answers.append(box.put(packet(2))))
    writer.start()
    box.end()
    writer.join(2)
    assert answers == [False]


def test_take_waits_no_longer_than_it_may() -> None:
    began = time.monotonic()
    assert FrameBox(newest_wins=True).take(0.05) is None
    assert 0.04 < time.monotonic() - began < 1
