"""Prepared real faces -> rtatl_core/synthetic/real_ranges.json: what proportions resting faces have.

    rtatl prepare photos --root PHOTOS --teacher face_landmarker.task --out data/photos
    python scripts/make_real_ranges.py data/photos ...

Only numbers are kept. The ranges in the repository come from 560 photographs: FairFace adults (CC BY 4.0, FairFace
Dataset Authors) and generated portraits (CC0, faker-js), 7 clips of the GRID corpus (CC BY 4.0).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.teacher import at_rest
from rtatl_core.face.mesh import OUTER_EYE_MM, mean_face
from rtatl_core.synthetic.gates import MEASURES


def main(folders: list[str]) -> None:
    measured: dict[str, list[float]] = {name: [] for name in MEASURES}
    for folder in folders:
        store = ChipStore.open(Path(folder))
        if store.teacher is None:
            raise SystemExit(f"{folder} has no teacher values; prepare it with --teacher")
        rest = at_rest(store.teacher) & (np.abs(store.yaw) < 25)
        for row in np.flatnonzero(rest)[:: 1 if not store.clips[0] else 15]:
            points = store.geometry[int(row)].astype(np.float32) * OUTER_EYE_MM + mean_face()
            for name, of in MEASURES.items():
                measured[name].append(of(points))
    count = len(measured["mouth_width"])
    ranges = {
        name: [round(float(v), 1) for v in np.percentile(values, (5, 50, 95))] for name, values in measured.items()
    }
    target = Path(__file__).parents[1] / "rtatl_core" / "synthetic" / "real_ranges.json"
    target.write_text(json.dumps({"faces": count, "ranges_mm": ranges}, indent=1) + "\n", encoding="utf-8")
    print(count, "faces ->", target)


if __name__ == "__main__":
    main(sys.argv[1:])
