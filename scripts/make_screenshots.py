"""Make the pictures of docs/images: the real program, offscreen, on the demo clip. No real person is shown.

python scripts/make_screenshots.py [NAME ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rtatl_core.assets import asset  # noqa: E402
from tests.desktop.mjpeg import MjpegCamera  # noqa: E402

ALL_LAYERS = ("box", "landmarks", "regions", "flow", "pose")  # the recovered patches would cover what the others show


@dataclass(frozen=True)
class Scene:
    theme: str = "dark"
    source: str | None = "demo"
    seconds: float = 28.3
    """From the window on; the clip begins up to a second later and then shows an expression for nearly a second."""
    layers: tuple[str, ...] = ("box", "regions", "landmarks")
    record: bool = False


SCENES = {
    "live-dark": Scene(layers=ALL_LAYERS, seconds=28.8),
    "live-light": Scene(theme="light", seconds=33.7),
    "recovered": Scene(layers=("box", "recovered")),
    "empty": Scene(source=None, seconds=5.0),
    "error": Scene(source="camera that is unplugged", record=True, seconds=16.0),
}


def take(name: str, scene: Scene) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        home, picture = Path(folder) / "home", Path(folder) / "window.png"
        command = [sys.executable, "-m", "au_desktop", "--settings", str(home), "--theme", scene.theme]
        command += ["--layers", ",".join(scene.layers)]
        command += ["--size", "1280x800", "--duration", str(scene.seconds), "--screenshot", str(picture)]
        if scene.record:
            command += ["--record", str(Path(folder) / "sessions")]
        environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
        if scene.source is not None and scene.source.startswith("camera"):
            with unplugged_after(0.7 * scene.seconds) as camera:
                subprocess.run([*command, "--source", camera.url], env=environment, cwd=ROOT, check=True)
        else:
            source = [] if scene.source is None else ["--source", scene.source]
            subprocess.run([*command, *source], env=environment, cwd=ROOT, check=True)
        out = ROOT / "docs" / "images" / f"{name}.webp"
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.open(picture).convert("RGB").save(out, quality=82, method=6)
    return out


def take_session() -> Path:
    """The demo, analysed, in the window for recorded sessions, where its laugh is; with three events of its script."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6.QtWidgets import QWidget

    from au_desktop.app import qt_application
    from au_desktop.settings import Settings
    from au_desktop.ui.session_window import SessionWindow, load
    from au_desktop.ui.theme import Look, load_fonts

    qt = qt_application(sys.argv[:1])
    qt.setStyle("Fusion")
    load_fonts(qt)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "rtatl_core", "analyze", asset("demo.mp4"), "--out", folder], check=True)
        (session,) = Path(folder).iterdir()
        with (session / "events.csv").open("a", encoding="utf-8") as file:
            file.writelines(f"{at},,marker,{label}\n" for at, label in ((9.7, 1), (19.5, 2), (29.1, 3)))
        look, parent = Look(qt, "dark"), QWidget()
        window = SessionWindow(look, load(session), frozenset(Settings().curve_aus), print, parent)
        window.resize(1280, 800)
        window.show()
        window.plot.go_to(28.1)
        while window.picture is None or window.picture.shown is None or window.picture.shown.timestamp < 28:
            qt.processEvents()
            time.sleep(0.01)
        picture = Path(folder) / "window.png"
        window.grab().save(str(picture))
        out = ROOT / "docs" / "images" / "session.webp"
        Image.open(picture).convert("RGB").save(out, quality=82, method=6)
    return out


def unplugged_after(seconds: float) -> MjpegCamera:
    """A network camera that shows the demo and goes away."""
    clip = cv2.VideoCapture(str(asset("demo.mp4")))
    camera = MjpegCamera(lambda _: clip.read()[1], fps=25)
    timer = threading.Timer(seconds, camera.switch_off)
    timer.daemon = True
    timer.start()
    return camera


if __name__ == "__main__":
    for wanted in sys.argv[1:] or (*SCENES, "session"):
        print(take_session() if wanted == "session" else take(wanted, SCENES[wanted]))
