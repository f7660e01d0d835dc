"""Groups that a table tells and those that a chip itself does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.groups import TONES, divisions, read_groups, skin_tone, typology_angle
from rtatl_core.datasets.loader import Source
from rtatl_core.errors import InputError
from tests.core.stores import write_clips


@pytest.mark.parametrize(
    ("rgb", "tone"), [((235, 200, 180), "light"), ((175, 130, 100), "medium"), ((80, 52, 40), "dark")]
)
def test_skin_tones(rgb: tuple[int, int, int], tone: str) -> None:
    angle = typology_angle(np.tile(np.array(rgb, np.uint8), (20, 1)))
    assert next(name for least, name in TONES if angle >= least) == tone


@pytest.mark.parametrize(("cheeks", "around", "tone"), [(235, 60, "light"), (60, 235, "dark")])
def test_the_tone_of_a_face_is_that_of_its_cheeks(tmp_path: Path, cheeks: int, around: int, tone: str) -> None:
    store = ChipStore.open(write_clips(tmp_path / "chips", clips=1))
    chips = np.full((len(store), store.layout.canvas, store.layout.canvas, 3), around, np.uint8)
    for x, y in store.landmarks[0][[50, 280]].astype(np.float32) * store.layout.side + store.layout.margin:
        chips[0, int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7] = cheeks
    assert skin_tone(dataclasses.replace(store, chips=chips), 0) == tone  # type: ignore[arg-type]


def test_each_face_has_its_group_in_every_division(tmp_path: Path) -> None:
    store = ChipStore.open(write_clips(tmp_path / "chips", clips=2))
    store = dataclasses.replace(store, yaw=np.linspace(-30, 30, len(store)).astype(np.float32))
    (tmp_path / "who.csv").write_text("file,age,sex\nc0,old,\nnobody,young,men\n")
    rows = np.array([0, 5, 23])
    found = divisions([Source(store, rows, labels=False), Source.whole(store)], read_groups(tmp_path / "who.csv"))
    assert set(found) == {"skin tone", "head turn", "age", "sex"}
    assert all(len(groups) == 3 + len(store) for groups in found.values())
    assert found["head turn"][:3].tolist() == ["far turned", "turned", "far turned"]
    known = [*store.subjects[rows].tolist(), *store.subjects.tolist()]
    assert found["age"].tolist() == ["old" if name == "c0" else "" for name in known]
    assert set(found["sex"]) == {""}


def test_a_heading_alone_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text("file,age\n")
    with pytest.raises(InputError, match="no table of photos"):
        read_groups(tmp_path / "who.csv")
    (tmp_path / "who.csv").write_text("file,age\na.jpg,old\na.jpg,young\n")
    with pytest.raises(InputError, match=r"line 3: a\.jpg has two rows"):
        read_groups(tmp_path / "who.csv")
    with pytest.raises(InputError, match=r"gone\.csv cannot be read .*; name a table of photos"):
        read_groups(tmp_path / "gone.csv")
