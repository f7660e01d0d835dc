"""Data sets -> prepared chips on disk -> batches."""
