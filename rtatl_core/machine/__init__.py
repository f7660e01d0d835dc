"""What this machine can do, and what a run costs it."""
