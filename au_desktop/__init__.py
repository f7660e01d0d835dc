"""AU Desktop: the window around rtatl_core. Holds threads, widgets and files, no maths."""

import rtatl_core  # noqa: F401 - first of all, because it sets how many threads numpy takes
