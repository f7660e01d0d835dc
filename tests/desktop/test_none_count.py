"""PySide6 6.12 takes a reference from None at each call that returns None and kills CPython 3.11 within a minute of a
live view; 6.10 and 6.11 leak such references. Painting must leave the count alone."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication, QWidget

from au_desktop.settings import LAYERS
from au_desktop.ui.au_panel import AUPanel
from au_desktop.ui.theme import Look
from au_desktop.ui.trace_plot import TracePlot
from au_desktop.ui.video_view import VideoView
from rtatl_core.handoffs import AnalysedFrame, FramePacket
from tests.desktop.fakes import AUS, intensities, make_face, picture

FRAMES = 300


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal since CPython 3.12")
def test_painting_leaves_the_references_of_none_alone(qapp: QApplication, look: Look) -> None:
    video = VideoView(look, lambda *_: None)
    panel, traces = AUPanel(look, lambda _: None, QWidget()), TracePlot(look, lambda _: None)
    panel.set_aus(AUS)
    traces.set_aus(AUS)
    traces.set_chosen(frozenset((1, 12, 26)))
    video.set_layers(frozenset(LAYERS))
    for widget in (video, panel, traces):
        widget.resize(200, 160)
        widget.show()
    times = np.linspace(-10, 0, 60)
    values = np.stack([intensities(float(t)) for t in times])
    packets = [FramePacket(picture(number=i), i, i / 30, 0.0) for i in range(1, 4)]
    frames = [AnalysedFrame(p, (make_face(p, want_flow=True, want_patches=True),), AUS) for p in packets]

    def paint(count: int) -> None:
        for i in range(count):
            frame = frames[i % len(frames)]
            video.show_frame(frame)
            panel.settle(frame.faces[0])
            traces.show_curves(times, np.roll(values, i, axis=0))
            qapp.processEvents()

    paint(20)
    gc.collect()  # what earlier tests left behind holds references too
    before = sys.getrefcount(None)
    paint(FRAMES)
    change = sys.getrefcount(None) - before
    for widget in (video, panel, traces):
        widget.close()
        widget.deleteLater()
    assert abs(change) < FRAMES, f"{change} references of None in {FRAMES} frames"
