"""What is sent to other programs in tests, and who receives it."""

from __future__ import annotations

import socket
import time
from typing import Any

from rtatl_core.handoffs import AnalysedFrame, FramePacket
from rtatl_core.sessions.rows import FaceRecord
from tests.desktop.fakes import FakeEngine, picture


def analysed(number: int = 1, faces: int = 1) -> AnalysedFrame:
    packet = FramePacket(picture((64, 48), number), number, number / 25, time.perf_counter())
    return FakeEngine(faces=faces).process(packet)


def faces_of(frame: AnalysedFrame) -> list[FaceRecord]:
    return [FaceRecord.of(face) for face in frame.faces]


def received(receiver: socket.socket) -> dict[str, list[Any]]:
    """The messages of one packet."""
    from pythonosc.osc_bundle import OscBundle
    from pythonosc.osc_message import OscMessage

    packet = receiver.recv(65536)
    messages = list(OscBundle(packet)) if OscBundle.dgram_is_bundle(packet) else [OscMessage(packet)]
    return {message.address: message.params for message in messages}
