"""The face generator -> assets/atlas: each AU at rest, at intensity 3 and at 5, on one head.

    python scripts/make_atlas.py --rig FaceXModel

The pictures in the repository were rendered from ICT-FaceKit (MIT, (c) USC Institute for Creative Technologies). They
show what the generator's labels mean and what the window explains; no real person is in them.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import cv2
import numpy as np

from rtatl_core.assets import asset
from rtatl_core.facs import MAX_INTENSITY, au_label
from rtatl_core.synthetic.rig import AUS, Action, full, neutral_action
from rtatl_core.synthetic.sheet import portrait_scene, strip
from rtatl_core.synthetic.studio import Sources, Studio

SIDE = 224
SHOWN = (0, 3, 5)
TURN = {14: 0.45, 18: 0.35, 22: 0.35, 27: 0.2}
"""Radians the head is turned where a front view hides what there is to see."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rig", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, default=asset("atlas"))
    options = parser.parse_args()
    studio = Studio(Sources((options.rig,), side=2 * SIDE))
    person = dataclasses.replace(studio.person(np.random.default_rng(options.seed)), glasses=None)
    scene = portrait_scene(studio, distance=50.0, up=0.5)
    options.out.mkdir(parents=True, exist_ok=True)
    for au in AUS:
        actions = [neutral_action()] + [Action(full(au).aus * (level / MAX_INTENSITY)) for level in SHOWN[1:]]
        faces = strip(studio, person, scene, actions, (TURN.get(au, 0.12), 0.0, 0.0))
        small = cv2.resize(faces, (len(SHOWN) * SIDE, SIDE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(options.out / f"{au_label(au)}.jpg"), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
