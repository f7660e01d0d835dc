"""RTATL facial action unit analysis: observation, network, training and session files. Knows no window."""

import os

from rtatl_core.system import read_as_c_does

__version__ = "0.1.0"

# numpy's OpenBLAS keeps a thread per core spinning between the small products of a frame: half a core, for nothing. It
# reads this when numpy is first imported; torch and MediaPipe have their own threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# On Windows OpenCV reads this when it is first imported. With its own choice, which asks the hardware for help, some
# webcams take half a minute to open, and as long again for each wish about size and rate.
os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")

# ONNX Runtime, from 1.31 at the latest, otherwise numbers this computer and sends Microsoft what runs it and when.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Before any native code keeps what it has read otherwise.
read_as_c_does()
