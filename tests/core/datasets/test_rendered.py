"""Renders: their exact flow, and labels or flow that cannot be used."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.datasets import rendered
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.errors import RecipeError
from rtatl_core.handoffs import CHIP_SIDE
from tests.clips import write_picture

HEADING = "image,identity,clip,time,AU12_L,AU12_R"


def test_rendered_clips_bring_exact_flow(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    """The whole picture slides: alignment takes that out, so no motion is left; a cheek that moves by itself stays."""
    root = tmp_path / "renders"
    image = pictures[0]
    slid = np.roll(image, (3, 5), axis=(0, 1))
    write_picture(root / "images" / "a.png", image)
    write_picture(root / "images" / "b.png", slid)
    (root / "flow").mkdir()
    motion = np.full((*image.shape[:2], 2), (5, 3), np.float16)
    motion[:100] = np.nan
    motion[130:170, 130:160] += (4, 0)
    np.savez(root / "flow" / "a.npz", flow=motion[::2, ::2], to="b.png", step=2)
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "identity", "clip", "time", "AU12_L", "AU12_R"])
        writer.writerow(["a.png", "p", "c", 0.0, 0.2, 0.4])
        writer.writerow(["b.png", "p", "c", 0.2, 0.2, 0.6])
    assert main(["prepare", "rendered", "--root", str(root), "--out", str(tmp_path / "out")]) == 0
    store = ChipStore.open(tmp_path / "out")
    assert store.flow is not None
    assert list(store.flow_to) == [1, -1]
    field = store.flow[0].astype(np.float32) * CHIP_SIDE
    known = np.isfinite(field).all(axis=-1)
    still = np.median(np.linalg.norm(field[known], axis=-1))
    assert still < 1.0  # what FaceMesh's own jitter leaves of a slide by 2.6 pixels of the chip
    assert field[known][:, 0].max() > 1.5
    assert not known.all()
    assert store.intensity is not None
    np.testing.assert_allclose(store.intensity[:, 0], [1.5, 2.0], atol=1e-2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no column 'image'"),
        ("image,identity\na,p\n", "no column 'AU12_L'"),
        ("image,identity,AU12_L\na,p,0\n", "no column 'AU12_R'"),
        (f"{HEADING},AU99_L,AU99_R\na,p,,,0,0,0,0\n", "a column of AU99; known are 1, 2"),
        (f"{HEADING},AU12_L\na,p,,,0,0,0\n", "two columns 'AU12_L'"),
        (f"{HEADING}\na,p,,,0,0\nb,p,,,0,x\n", "line 3: AU12_R is 'x', where 0 to 1 is expected"),
        (f"{HEADING}\na,p,,,nan,0\n", "line 2: AU12_L is 'nan'"),
        (f"{HEADING}\na,p,,,inf,0\n", "line 2: AU12_L is 'inf'"),
        (f"{HEADING}\na,p,,,-0.5,0\n", "line 2: AU12_L is '-0.5'"),
        (f"{HEADING}\na,p,,,2.5,0\n", "line 2: AU12_L is '2.5'"),
        (f"{HEADING}\na,p,,,,0\n", "line 2: AU12_L is ''"),
        (f"{HEADING}\na,p,,,0,5,0\n", "line 2: it has more or fewer cells"),
        (f"{HEADING}\na,p,,,0\n", "line 2: it has more or fewer cells"),
        (f"{HEADING}\na,p,c,,0,0\n", "line 2: time is ''"),
        (f"{HEADING}\na,p,c,nan,0,0\n", "line 2: time is 'nan'"),
        (f"{HEADING}\na,,,,0,0\n", "line 2: identity is ''"),
        (f"{HEADING}\na,p,,,0,0\na,p,,,1,1\n", "line 3: its image has a row already"),
    ],
)
def test_labels_of_renders_that_cannot_be_used_are_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(RecipeError, match=r"labels\.csv") as caught:
        rendered.find_renders(tmp_path)
    assert problem in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_labels_of_renders_may_have_other_columns_and_encodings(tmp_path: Path, encoding: str) -> None:
    text = f"{HEADING},eye_L,lm0_x\na,Zoë,,,0.2,0.4,open,1\n"
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    aus, units = rendered.find_renders(tmp_path)
    (frame,) = units[0].frames()
    assert (aus, frame.name, frame.subject) == ((12,), "a", "Zoë")
    np.testing.assert_allclose(frame.sides, [[1, 2]])


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"PK\x03\x04broken",
        {"to": "b.png"},
        {"flow": np.zeros(3), "to": "b.png"},
        {"flow": np.zeros((16, 16, 2)), "to": "b.png"},  # of a picture that was made smaller since
        {"flow": np.zeros((4, 4, 2)), "step": 4, "to": "b.png"},
    ],
)
def test_a_damaged_flow_of_a_render_is_named(tmp_path: Path, stored: bytes | dict[str, object]) -> None:
    write_picture(tmp_path / "images" / "a.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "labels.csv").write_text(f"{HEADING}\na.png,p,c,0,0,0\n")
    (tmp_path / "flow").mkdir()
    if isinstance(stored, bytes):
        (tmp_path / "flow" / "a.npz").write_bytes(stored)
    else:
        np.savez(tmp_path / "flow" / "a.npz", **stored)
    _, (unit,) = rendered.find_renders(tmp_path)
    with pytest.raises(RecipeError, match=r"a\.npz holds no flow .*; render it again"):
        list(unit.frames())


def test_an_au_is_present_from_facs_a_on() -> None:
    labels = np.array([[0.2, 0.2], [0.1, 0.3], [0.2, 0.19], [np.nan, np.nan]], np.float32)
    frame = rendered.rendered_frame("a.jpg", "ann", None, labels, clip="", time=0.0, flow=None, flow_to="")
    assert frame.occurrence is not None
    np.testing.assert_array_equal(frame.occurrence, [1, 1, 0, np.nan])
