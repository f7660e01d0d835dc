from __future__ import annotations

import numpy as np
import pytest

from rtatl_core.datasets.protocols import POSITIVE_RATES
from rtatl_core.evaluation import published_tables
from rtatl_core.evaluation.published_tables import PUBLISHED, Published, PublishedRow, Status
from rtatl_core.facs import BP4D_AUS, DISFA_AUS

INCONSISTENT = {("bp4d", "EAC-Net")}
"""Rows whose printed average is not that of their cells; the note says so."""
TABLES = list(PUBLISHED.values())
ROWS = [(table, row) for table in TABLES for row in table.rows]


@pytest.mark.parametrize(("table", "row"), ROWS, ids=[f"{table.key} {row.method}" for table, row in ROWS])
def test_cells_average_to_the_printed_average(table: Published, row: PublishedRow) -> None:
    assert len(row.f1) == len(table.aus)
    # cells and average are rounded to .1 each: together they may part by .1
    agrees = abs(float(np.mean(row.f1)) - row.average) <= 0.1 + 1e-9
    assert agrees != ((table.key, row.method) in INCONSISTENT)
    assert agrees or "average" in row.note


def test_rows_ascend_and_name_their_source() -> None:
    for table in TABLES:
        averages = [row.average for row in table.rows]
        assert averages == sorted(averages)
        assert len({row.method for row in table.rows}) == len(table.rows)
        assert all(row.source and 2017 < row.year < 2025 for row in table.rows)


def test_only_own_tables_are_confirmed() -> None:
    for _, row in ROWS:
        own = row.method.split(",")[0].removesuffix("-IAT") in row.source
        assert own == (row.status is Status.CONFIRMED), row.method


def test_what_is_not_known_is_not_there() -> None:
    methods = {(table.key, row.method) for table, row in ROWS}
    assert not {name for name in methods if name[1] == "RTATL"}
    assert "RTATL's own row is not here" in (published_tables.__doc__ or "")
    assert not {("disfa", "HSTR-Net"), ("disfa", "UGN-B"), ("disfa", "SMA-Net")} & methods
    for table in TABLES:
        (row,) = (row for row in table.rows if row.method == "WSRTL")
        assert row.status is Status.SECONDARY
        assert "MDHR" in row.source


def test_positive_rates() -> None:
    assert tuple(POSITIVE_RATES["bp4d"]) == BP4D_AUS
    assert tuple(POSITIVE_RATES["disfa"]) == DISFA_AUS
    assert (POSITIVE_RATES["bp4d"][10], POSITIVE_RATES["disfa"][25]) == (59.4, 27.7)
    assert all(1 < rate < 99 for rates in POSITIVE_RATES.values() for rate in rates.values())
    assert PUBLISHED.keys() == POSITIVE_RATES.keys()
    assert [sum(table.fold_subjects) for table in TABLES] == [41, 27]
