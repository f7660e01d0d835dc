"""Labelled faces from 3D rigs: exact AUs left and right, exact optical flow, landmarks, pose and gaze.

    rig (ict, valid) -> Head --+                        script -> Action per frame --+
    skin, wrinkles ------------+--> render (GPU or software) -> degrade -> image + truth -> generate -> folder or chips
    surroundings -> light, background, camera

Read ``rig.py`` first: what a rig must give, and the conventions of space, sides and scales.
"""
