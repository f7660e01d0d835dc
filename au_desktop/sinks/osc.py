"""Numbers as Open Sound Control messages over UDP, which animation, music and game programs read.

    /face/0/success i   1, or 0 while nobody is there         /face/0/AU12 f   intensity 0-5, smoothed
    /face/0/frame   i   number of the captured frame          /face/0/pose ffffff   Tx Ty Tz mm, Rx Ry Rz radians
    /marker s           the marker's number

The figure after /face/ is the place of the face (``Places``), 0 for a single one. What belongs to one face in one frame
is one bundle, to be used at once.
"""

from __future__ import annotations

import socket
from typing import Any

from au_desktop.sinks.outlet import Heading, Sample
from rtatl_core.errors import StreamError
from rtatl_core.facs import au_label
from rtatl_core.sessions.rows import FaceRecord
from rtatl_core.system import how_to_install


class OscOutlet:
    def __init__(self, host: str, port: int, heading: Heading) -> None:
        """Raises StreamError without python-osc, and where nobody knows the host."""
        try:
            from pythonosc import osc_bundle_builder, osc_message_builder
        except ImportError as error:
            raise StreamError(f"OSC needs python-osc; {how_to_install('streams')}") from error
        self._bundles, self._messages = osc_bundle_builder, osc_message_builder
        self._names = [au_label(au) for au in heading.aus]
        self._host = host
        self._address: tuple[Any, ...]
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            # Where a name has addresses of both kinds, as localhost has, few receivers listen at that of IPv6.
            family, _, _, _, self._address = min(found, key=lambda one: one[0] != socket.AF_INET)
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            text = (
                f"OSC: {host} is not known here ({error.strerror}); correct its address, or turn OSC off and on again"
            )
            raise StreamError(f"{text} once the network is there.") from error
        self._socket.setblocking(False)

    def send(self, sample: Sample) -> None:
        for place, face in enumerate(sample.faces):
            bundle = self._bundles.OscBundleBuilder(self._bundles.IMMEDIATELY)
            for name, values in self._of_face(sample.number, face):
                bundle.add_content(self._message(f"/face/{place}/{name}", values))
            self._send(bundle.build())

    def mark(self, label: str, at: float) -> None:
        self._send(self._message("/marker", (label,)))

    def close(self) -> None:
        self._socket.close()

    def _of_face(self, number: int, face: FaceRecord | None) -> list[tuple[str, tuple[Any, ...]]]:
        head: list[tuple[str, tuple[Any, ...]]] = [("frame", (number,)), ("success", (int(face is not None),))]
        if face is None:
            return head
        levels = zip(self._names, face.result.intensity.tolist(), strict=True)
        return [*head, ("pose", tuple(face.pose.tolist())), *((name, (level,)) for name, level in levels)]

    def _message(self, address: str, values: tuple[Any, ...]) -> Any:
        message = self._messages.OscMessageBuilder(address)
        for value in values:
            message.add_arg(value)
        return message.build()

    def _send(self, content: Any) -> None:
        """content: a message or bundle. A packet that finds no room in the system's queue is lost, as UDP may."""
        try:
            self._socket.sendto(content.dgram, self._address)
        except BlockingIOError:
            pass
        except OSError as error:
            raise StreamError(
                f"OSC: nothing can be sent to {self._host} ({error.strerror}); check network and address."
            ) from error
