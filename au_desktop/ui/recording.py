"""What the record button, its key and the folder button do, and what the banner says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from au_desktop.runtime.pipeline import Pipeline
from au_desktop.ui.banner import Banner
from rtatl_core.errors import SessionError


class RecordControl:
    def __init__(
        self, pipeline: Pipeline, banner: Banner, root: Callable[[], Path], open_folder: Callable[[Path], object]
    ) -> None:
        """``root``: where session folders are made now."""
        self._pipeline = pipeline
        self._banner = banner
        self._root = root
        self._open_folder = open_folder

    def toggle(self) -> None:
        folder = self._pipeline.stop_recording()
        if folder is not None:
            self._banner.show_message(
                "info",
                f"Recorded to {folder.name}",
                action="Open folder",
                on_action=lambda: self._open_folder(folder),
            )
            return
        try:
            self._pipeline.start_recording(self._root())
        except SessionError as error:
            self._banner.show_message("error", str(error))

    def open_root(self) -> None:
        root = self._root()
        if root.is_dir():
            self._open_folder(root)
        else:
            self._banner.show_message("info", f"Nothing is recorded yet; sessions will be in {root}.")
