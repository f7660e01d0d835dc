"""A network camera on loopback that can be switched off and on again: MJPEG over HTTP."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from rtatl_core.handoffs import UInt8
from tests.desktop.fakes import picture


class MjpegCamera:
    """Serves moving ramps, or what ``picture_of`` gives for 1, 2, ..., while it is on; a context manager."""

    def __init__(self, picture_of: Callable[[int], UInt8] | None = None, fps: float = 50) -> None:
        self._picture_of = picture_of or (lambda number: picture((160, 120), number))
        self._pause_s = 1 / fps
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._on = threading.Event()
        self._port = 0
        self.switch_on()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/feed"

    def switch_on(self) -> None:
        camera_on, picture_of, pause_s = self._on, self._picture_of, self._pause_s

        class Feed(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number = 0
                with contextlib.suppress(OSError):  # the viewer went away
                    while camera_on.is_set():
                        number += 1
                        jpeg = cv2.imencode(".jpg", picture_of(number))[1].tobytes()
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                        time.sleep(pause_s)
                self.close_connection = True

            def log_message(self, *_: object) -> None: ...

        ThreadingHTTPServer.allow_reuse_address = True
        self._on.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Feed)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def switch_off(self) -> None:
        self._on.clear()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()  # waits for the feed to end
            self._thread.join()
        self._server = None

    def __enter__(self) -> MjpegCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.switch_off()
