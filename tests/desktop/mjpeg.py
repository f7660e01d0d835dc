"""A network camera on loopback that can be switched off and on again: MJPEG over HTTP."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from tests.desktop.fakes import picture


class MjpegCamera:
    """Serves moving ramps at 50 frames per second while it is on; a context manager."""

    def __init__(self) -> None:
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._on = threading.Event()
        self._port = 0
        self.switch_on()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/feed"

    def switch_on(self) -> None:
        camera_on = self._on

        class Feed(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number = 0
                with contextlib.suppress(OSError):  # the viewer went away
                    while camera_on.is_set():
                        number += 1
                        jpeg = cv2.imencode(".jpg", picture((160, 120), number))[1].tobytes()
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                        time.sleep(0.02)
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
