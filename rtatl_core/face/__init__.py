"""A picture -> landmarks, pose, regions, and the aligned chip."""
