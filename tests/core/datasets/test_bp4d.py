"""A small BP4D in exactly its layout, with all its traps, prepared by the command itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.datasets import bp4d, kinds
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.parts import NO_FACE, UNREADABLE
from rtatl_core.datasets.prepare import Report
from rtatl_core.errors import RecipeError
from rtatl_core.facs import BP4D_AUS
from tests.clips import write_picture


@pytest.fixture(scope="module")
def bp4d_tree(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> Path:
    """F001_T1: padded names, a missing picture, code 9, a short row, an empty line. M002_T3: names without zeros, a
    broken picture, a wall without a face. F003_T2: coded, but its pictures are gone."""
    root = tmp_path_factory.mktemp("BP4D")
    codes = root / "AUCoding" / "AU_OCC"
    codes.mkdir(parents=True)
    header = ["0", *(str(au) for au in range(1, 65))]

    def row(number: int, present: dict[int, int]) -> str:
        return ",".join([str(number), *(str(present.get(au, 0)) for au in range(1, 65))])

    first = [row(640, {1: 1, 12: 1}), row(641, {1: 9, 12: 1}), row(642, {}), "643,0,1", "", row(644, {24: 1})]
    (codes / "F001_T1.csv").write_text("\n".join([",".join(header), *first]) + "\n")
    (codes / "M002_T3.csv").write_text("\r\n".join([",".join(header), row(7, {2: 1}), row(8, {}), row(9, {})]) + "\r\n")
    (codes / "F003_T2.csv").write_text("\n".join([",".join(header), row(1, {4: 1})]) + "\n")
    (codes / "notes.txt").write_text("not a label file")
    (codes.parent / "F001_T1.csv").write_text("an older release keeps the file here too")
    for au, rows in ((12, "640,3\n641,9\n642,0\n"), (6, "640,5\n")):
        folder = root / "AU-Intensity-Codes3.0" / f"AU{au:02d}"
        folder.mkdir(parents=True)
        (folder / f"F001_T1_AU{au:02d}.csv").write_text(rows)
    for name, number in (("0640", 0), ("0641", 1), ("0643", 2), ("0644", 3)):
        write_picture(root / "Sequences" / "F001" / "T1" / f"{name}.jpg", pictures[number])
    (root / "Sequences" / "F001" / "T1" / "Thumbs.db").write_bytes(b"x")
    write_picture(root / "Sequences" / "M002" / "T3" / "7.jpg", pictures[4])
    (root / "Sequences" / "M002" / "T3" / "8.jpg").write_bytes(b"broken")
    write_picture(root / "Sequences" / "M002" / "T3" / "9.jpg", np.full((240, 320, 3), 90, np.uint8))
    return root


def test_bp4d_is_read_with_all_its_traps(bp4d_tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "chips"
    assert main(["prepare", "bp4d", "--root", str(bp4d_tree), "--out", str(out), "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert f"4 used, 1 {bp4d.SHORT_ROW}, 1 {NO_FACE}, 3 {UNREADABLE}" in said
    assert "not all subjects are here" in said
    store = ChipStore.open(out)
    assert store.aus == BP4D_AUS
    assert list(store.subjects) == ["F001", "F001", "F001", "M002"]
    assert list(store.clips) == ["F001_T1"] * 3 + ["M002_T3"]
    np.testing.assert_allclose(store.times[:3] * bp4d.FPS, [640, 641, 644])
    assert store.occurrence is not None
    assert store.intensity is not None
    at = {au: j for j, au in enumerate(BP4D_AUS)}
    np.testing.assert_array_equal(store.occurrence[:, at[1]], [1, np.nan, 0, 0])
    np.testing.assert_array_equal(store.occurrence[:, at[12]], [1, 1, 0, 0])
    np.testing.assert_array_equal(store.occurrence[:, at[24]], [0, 0, 1, 0])
    np.testing.assert_array_equal(store.occurrence[:, at[2]], [0, 0, 0, 1])
    np.testing.assert_array_equal(store.intensity[:, at[12]], [3, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(store.intensity[:, at[6]], [5, np.nan, np.nan, np.nan])
    assert np.isnan(store.intensity[:, at[1]]).all()
    report = json.loads((out / "report.json").read_text())
    assert report["units"]["F003_T2"] == {"used": 0, UNREADABLE: 1}
    assert report["positive_rate_percent"]["AU12"] == pytest.approx(100 * 2 / 8, abs=0.01)  # the short row has no AU12
    assert report["positive_rate_percent"]["AU04"] == pytest.approx(100 * 1 / 8, abs=0.01)


def test_bp4d_mistakes_are_named(bp4d_tree: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="holds no BP4D label files"):
        bp4d.find_sequences(tmp_path)
    with pytest.raises(RecipeError, match="is no folder"):
        bp4d.find_sequences(tmp_path / "gone")
    with pytest.raises(RecipeError, match="holds no BP4D pictures"):
        bp4d.find_sequences(bp4d_tree / "AUCoding")
    codes = tmp_path / "AU_OCC"
    codes.mkdir()
    write_picture(tmp_path / "F001" / "T1" / "1.jpg", np.zeros((8, 8, 3), np.uint8))
    header = ",".join(str(n) for n in range(25))
    for rows, sentence in (
        (f"{header}\n1,2{',0' * 23}\n", r"F001_T1.csv, line 2: AU1 is 2, but occurrence codes are 0, 1 and 9"),
        (f"{header}\n1,x{',0' * 23}\n", r"line 2: 'x' is no whole number"),
        (f"{header}\n1{',0' * 24}\n1{',0' * 24}\n", r"line 3: frame 1 has two rows; keep one"),
        (f"{header}\n1,0,5{',0' * 23}\n", r"line 2: 26 cells under 25 headings"),
        (f"{header},1\n1{',0' * 25}\n", r"line 1: AU1 has two columns"),
        (f"{header},²\n-1{',0' * 24}\n", r"line 2: '-1' is no whole number"),
        ("", r"has no column for AU1"),
        ("frame,AU1\n1,0\n", r"has no column for AU1"),
    ):
        (codes / "F001_T1.csv").write_text(rows, encoding="utf-8")
        with pytest.raises(RecipeError, match=sentence):
            bp4d.find_sequences(tmp_path)
    (codes / "F001_T1.csv").write_bytes(f"{header},böe\n1{',0' * 24}\n".encode("cp1252"))
    assert bp4d.find_sequences(tmp_path)[0].numbers == (1,)
    (codes / "._M001_T1.csv").write_bytes(b"\x00\x05\x16\x07 what macOS puts beside every file on some disks")
    assert bp4d.find_sequences(tmp_path)[0].numbers == (1,)
    (tmp_path / "AU06").mkdir()
    (tmp_path / "AU06" / "F001_T1_AU06.csv").write_text("1,7\n")
    with pytest.raises(RecipeError, match=r"F001_T1_AU06.csv, line 1: intensity 7, but codes are 0-5 and 9"):
        bp4d.find_sequences(tmp_path)


def test_rates_are_checked_against_the_published() -> None:
    from rtatl_core.datasets.protocols import POSITIVE_RATES

    published = POSITIVE_RATES["bp4d"]
    counts = {au: (round(rate * 100), 10_000) for au, rate in published.items()}
    good = kinds.check_rates("bp4d", Report(1, {}, {}, counts), whole=True)
    assert good[-1] == "all agree to within 1 points"
    shifted = counts | {4: (round(published[4] * 100 + 150), 10_000)}
    assert "CHECK: AU4 differ" in kinds.check_rates("bp4d", Report(1, {}, {}, shifted), whole=True)[-1]
    del shifted[4]
    assert "CHECK: AU4 differ" in kinds.check_rates("bp4d", Report(1, {}, {}, shifted), whole=True)[-1]
