"""Named exceptions. Every message is one sentence that names the thing and the remedy; the CLI prints it, the
window shows it in its banner.

    AUError
    ├── InputError          wrong usage or unusable input (exit code 2)
    │   ├── SourceError     a camera, video or stream that cannot be opened or read
    │   │   ├── SourceLost  a live source that was working and went away; the caller may reopen it
    │   │   └── SourceAsked a camera that the person is just being asked about; the caller may try again
    │   ├── WeightsError    weights missing, corrupt, of another shape, or with another hash than their card says
    │   ├── RecipeError     a training recipe or data folder that cannot be used
    │   └── SessionError    a session folder that cannot be written or read
    ├── StreamError         numbers cannot be sent to other programs; everything else goes on
    ├── PredictionError     the network gave no numbers for a frame; the next one may do
    └── TrainingError       training stopped by itself (NaN loss); the last good checkpoint is kept
"""

from __future__ import annotations


class AUError(Exception):
    """Base of all errors this project raises on purpose."""


class InputError(AUError):
    """Wrong usage or unusable input; command line tools end with exit code 2."""


class SourceError(InputError):
    """A frame source cannot be opened or read."""


class SourceLost(SourceError):  # noqa: N818 - a state of the source, named as one
    """A live source stopped delivering frames."""


class SourceAsked(SourceError):  # noqa: N818 - a state of the source, named as one
    """The system asks the person whether the source may be used."""


class WeightsError(InputError):
    """Model weights cannot be used."""


class RecipeError(InputError):
    """A training recipe or training data folder cannot be used."""


class SessionError(InputError):
    """A session folder cannot be written or read."""


class StreamError(AUError):
    """Numbers cannot be sent to other programs."""


class PredictionError(AUError):
    """The network gave no numbers for a frame."""


class TrainingError(AUError):
    """Training stopped by itself."""
