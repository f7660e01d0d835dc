from __future__ import annotations

import pytest

from rtatl_core import facs


def test_labels_round_trip() -> None:
    for unit in facs.ACTION_UNITS.values():
        assert facs.parse_label(facs.au_label(unit.number)) == unit.number
        assert facs.parse_label(f"{facs.au_label(unit.number)}_r") == unit.number
        assert facs.action_unit(unit.number) is unit


def test_data_set_aus_are_known() -> None:
    assert set(facs.BP4D_AUS) | set(facs.DISFA_AUS) | set(facs.DISFA_INTENSITY_AUS) <= set(facs.ACTION_UNITS)


@pytest.mark.parametrize("text", ["", "pose_Tx", "AU", "AUxx_r"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names no action unit"):
        facs.parse_label(text)


def test_unknown_number_names_the_known() -> None:
    with pytest.raises(KeyError, match="AU3 is unknown; known are 1, 2, 4"):
        facs.action_unit(3)
