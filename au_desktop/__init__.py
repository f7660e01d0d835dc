"""AU Desktop: the window around rtatl_core. Holds threads, widgets and files, no maths."""

import time

BEGAN = time.perf_counter()
"""When the program was started; Python itself takes some hundredths of a second before."""

import rtatl_core  # noqa: E402, F401 - first of all others, because it sets how many threads numpy takes
