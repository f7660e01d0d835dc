"""The section [data] of a recipe: which folders train, choose and calibrate, and who is kept for the test."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from rtatl_core.facs import ACTION_UNITS


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Folders are those of ``rtatl prepare``."""

    labelled: tuple[str, ...] = ()
    """Folders with AU codes; empty = self-supervised pre-training alone."""
    unlabelled: tuple[str, ...] = ()
    """Folders of faces without codes, for the self-supervised tasks."""
    repeat: tuple[int, ...] = ()
    """How often each folder of ``unlabelled`` counts when faces are drawn; empty = once."""
    ratings: str = ""
    """Table of AUs that raters saw on faces of ``unlabelled``, ``calibration`` and ``selection``
    (rtatl_core/datasets/ratings.py)."""
    groups: str = ""
    """Table of who is who among the faces of crossed folders (rtatl_core/datasets/groups.py), by which the card tells
    numbers of strangers apart."""
    selection: str = ""
    """Folder of real video with teacher values, by which the checkpoint is chosen; empty = held-out codes choose."""
    calibration: tuple[str, ...] = ()
    """Folders like ``selection``, of photos or clips: zero and gain of each AU are fitted to what the network says of
    their resting faces. Their people are left out of training. Folders that are also in ``unlabelled`` (crossed) do
    train, and each is read by a network that was trained the same way without it. Empty = fitted on the unlabelled
    training faces, which a network reads better than strangers."""
    aside: str = ""
    """Folder like ``selection``, of other clips: nothing is chosen by it, it is measured for the card and sets the AUs'
    trust."""
    aus: tuple[int, ...] = ()
    """AUs to learn; empty = all that the labelled data code. Needed where nothing is labelled."""
    protocol: str = ""
    """bp4d, disfa, bp4d-fera or subjects:K: keeps the test subjects of ``fold`` out of everything, uncoded videos and
    pictures that are called after them too."""
    fold: int = 0
    """1, 2, ... with a protocol."""
    held_out: float = 0.1
    """Share of the remaining subjects kept for validation; never the test fold."""
    label_share: float = 1.0
    """Share of the training faces whose codes are used; the others join the unlabelled ones (limited-label studies)."""

    def __post_init__(self) -> None:
        if self.crossed and len(self.unlabelled) == 1:
            raise ValueError(
                f"data.calibration names the only folder of data.unlabelled, {self.unlabelled[0]}; divide its faces "
                "into several folders and name these in both, so that each is read by a network trained on the others"
            )
        if not 0 < self.held_out < 1:
            raise ValueError(f"data.held_out is {self.held_out:g}; write a share between 0 and 1")
        if unknown := [au for au in self.aus if au not in ACTION_UNITS]:
            raise ValueError(f"data.aus names AU{unknown[0]}; known are {', '.join(map(str, ACTION_UNITS))}")
        if twice := [au for au in self.aus if self.aus.count(au) > 1]:
            raise ValueError(f"data.aus names AU{twice[0]} more than once; write each AU once")
        if self.fold and not self.protocol:
            raise ValueError(f"data.fold is {self.fold}, but there is no data.protocol; name one, or leave fold out")

    @property
    def crossed(self) -> tuple[str, ...]:
        """Folders that train and calibrate, as ``unlabelled`` spells them."""
        calibrating = set(map(_place, self.calibration))
        return tuple(folder for folder in self.unlabelled if _place(folder) in calibrating)

    @property
    def strangers(self) -> tuple[str, ...]:
        """Folders that calibrate and do not train."""
        training = set(map(_place, self.unlabelled))
        return tuple(folder for folder in self.calibration if _place(folder) not in training)

    def without(self, folder: str) -> DataConfig:
        """The data of a network to which the people of this crossed folder are strangers too."""
        kept = [place for place, name in enumerate(self.unlabelled) if name != folder]
        return dataclasses.replace(
            self,
            unlabelled=tuple(self.unlabelled[place] for place in kept),
            repeat=tuple(self.repeat[place] for place in kept) if self.repeat else (),
            calibration=(*self.strangers, folder),
        )


def _place(folder: str) -> Path:
    return Path(folder).resolve()
