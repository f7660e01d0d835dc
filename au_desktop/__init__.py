"""AU Desktop: the window around rtatl_core. Holds threads, widgets and files, no maths."""
