"""rtatl bench, soak and doctor: what this machine can do, and what a run costs it."""
