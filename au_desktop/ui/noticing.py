"""Which of the pipeline's notices the banner shows, and that none comes back that a person has clicked away.

Enters: the notice that a person should know now; leaves: messages in the banner, and to the pipeline what was seen.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QTimer

from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.status import Notice
from au_desktop.ui.banner import Banner

_SETTLES_MS = 300
"""What a person has just chosen, such as another source, may take a notice back; the window hears of it by then."""


class Noticing:
    def __init__(self, pipeline: Pipeline, banner: Banner, tell: Callable[..., object]) -> None:
        """``tell``: ``RecordControl.tell``."""
        self._pipeline = pipeline
        self._banner = banner
        self._tell = tell
        self._notice: Notice | None = None
        """The one that holds now, unless it was clicked away."""
        banner.dismissed.connect(self._dismiss)
        banner.passed.connect(lambda: QTimer.singleShot(_SETTLES_MS, banner, self._bring_back))

    def show(self, notice: Notice | None) -> None:
        """An information that a graver notice hides is not shown a second time."""
        before, self._notice = self._notice, notice
        if before is not None and before.severity == "info":
            self._pipeline.dismiss(before)
        if notice is not None:
            self._tell(notice.severity, notice.text, notice.folder)
        elif before is not None and self._banner.text == before.text:
            self._banner.hide()

    def _dismiss(self) -> None:
        """It makes room for what it hid: another notice, or one that still holds."""
        if self._notice is not None and self._banner.text == self._notice.text:
            self._pipeline.dismiss(self._notice)
            self._notice = None
        else:
            self._bring_back()

    def _bring_back(self) -> None:
        notice = self._notice
        if notice is not None and notice.severity != "info" and self._banner.isHidden():
            self._tell(notice.severity, notice.text, notice.folder)
