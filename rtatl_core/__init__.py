"""RTATL facial action unit analysis: observation, network, training and session files. Knows no window."""

__version__ = "0.1.0"
