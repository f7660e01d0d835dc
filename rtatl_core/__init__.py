"""RTATL facial action unit analysis: observation, network, training and session files. Knows no window."""

import os

__version__ = "0.1.0"

# numpy's OpenBLAS keeps a thread per core spinning between the small products of a frame: half a core, for nothing. It
# reads this when numpy is first imported; torch and MediaPipe have their own threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
