"""One module for each command of ``rtatl``: its arguments, and a thin function that runs it."""
