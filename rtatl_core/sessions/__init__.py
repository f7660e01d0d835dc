"""The session folder: frames in; frames.csv, events.csv and session.json out, for one source or many."""
