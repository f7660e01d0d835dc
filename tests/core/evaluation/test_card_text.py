"""A card in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtatl_core.assets import asset
from rtatl_core.card import DEFAULT_MODEL
from rtatl_core.evaluation.card_text import add_audit, add_evaluation, card_markdown
from rtatl_core.facs import ACTION_UNITS

AUDITED = {
    "model": "x",
    "clips": 2,
    "frames": 40,
    "photos": 10,
    "aus": [1, 12],
    "agreement": {"AU12": {"pcc": 0.91, "clips": 2}},
    "resting": {"AU01": {"median": 0.1, "from_half": 0.05, "from_one": 0.01, "faces": 20}},
    "clear": {"AU12": {"quartiles": [3.1, 3.9, 4.4], "faces": 12, "rated": 3.5, "rated_faces": 4}},
    "apex": {"AU12": {"quartiles": [4.0, 4.5, 5.0], "events": 6}},
    "pose": {"AU01": {"yaw": 0.1, "abs_yaw": -0.2, "pitch": None, "by_chance": 0.15}},
    "lean": {"AU12": {"over_all": -0.11, "where_shown": -0.21, "shown": 12}},
    "groups": {"skin tone": {"dark": {"faces": 12, "pcc_with_teacher": 0.6, "at_rest": {"AU01": 0.2, "AU12": 0.0}}}},
}
CARD = {
    "name": "x",
    "trained_on": "nothing",
    "trust": {"1": "experimental", "12": "good"},
    "trust_rule": "good: good",
    "data": ["some faces"],
    "known_faults": ["many"],
    "not_for": "anything",
    "sha256": "abc",
    "network": {"aus": [1, 12]},
    "measured": {"held_out_labelled": {"pcc": {"AU01": 0.31, "AU12": None}, "icc31": {"AU01": 0.2}}},
}


def test_an_audit_goes_into_the_card_and_into_words(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(CARD))
    words = add_audit(path, AUDITED)
    assert words == tmp_path / "x.md"
    assert json.loads(path.read_text())["measured"]["real_faces"] == AUDITED
    text = words.read_text()
    smile = "3.1 3.9 4.4 (12); rated 3.5 (4) | 4.0 4.5 5.0 (6)"
    assert "| AU01 | Inner brow raiser | experimental | 0.31 | 0.20 |  |  |" in text
    assert f"| AU12 | 0.91 (2) |  | {smile} |  |  | -0.11 / -0.21 (12) |" in text
    assert "| AU01 |  | 0.10, 5% / 1% |  |  | 0.20 (0.15) |  |  |" in text
    assert "| skin tone | dark | 12 | 0.60 | 0.10 | AU01 0.20 |" in text
    assert "Not for anything." in text


def test_what_eyes_saw_sets_trust(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(CARD))
    seen = {
        "seen": 40,
        "people": 12,
        "absent": 30,
        "auc": 0.97,
        "f1": 0.8,
        "false_alarms": 0.1,
        "reads": 2.0,
        "rated": 2.5,
    }
    card = json.loads(path.read_text())
    grouped = {"sex": {"men": {"rated": 30, "false_alarms": 0.02, "auc": 0.91, "f1": 0.7, "judged": 1}}}
    strangers = {"what": "faces of strangers", "faces": 70, "against_ratings": {"AU12": seen}, "groups": grouped}
    reads = {"frontal": 0.1, "turned": 0.42, "far turned": None}
    turning = {"AU12": {"faces": 30, "yaw": -0.31, "abs_yaw": 0.02, "pitch": None, "by_chance": 0.12, "reads": reads}}
    card["measured"]["strangers"] = {**strangers, "pose": turning}
    path.write_text(json.dumps(card))
    words = add_audit(path, {**AUDITED, "against_ratings": {"AU01": seen}}).read_text()
    card = json.loads(path.read_text())
    assert card["trust"] == {"1": "good", "12": "good"}
    assert "else where raters saw it on as many faces kept aside" in card["trust_rule"]
    blind = json.loads((add_audit(path, AUDITED).with_suffix(".json")).read_text())
    assert blind["trust"] == {"1": "experimental", "12": "good"}, (
        "what raters saw on faces kept aside is gone, and its trust with it; not what they saw on strangers"
    )
    assert "| AU01 | Inner brow raiser | good |" in words
    assert "| AU01 | 40 (12) / 30 | 0.97 | 0.80 | 10% | 2.0 (2.5) |" in words
    assert "## Strangers\n\n70 faces of strangers.\n" in words
    card["measured"]["strangers"]["pose"] = {}  # of too few people
    assert "who turn their heads" not in card_markdown(card)
    assert "| AU12 | 40 (12) / 30 | 0.97 |" in words
    assert "| sex | men | 30 | 0.91 (1) | 0.70 | 2.0% |" in words
    assert "| AU12 | 30 | -0.31 | +0.02 |  | 0.12 | 0.10 | 0.42 |  |" in words
    assert (
        "The largest: 0.31 in the mean over AUs, 0.31 at most; over 0.2 are AU12; by chance 0.12 in the mean." in words
    )


def test_evaluations_stand_side_by_side_in_the_card(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(CARD))
    unit = {"pcc": {"pooled": 0.5}, "icc31": {"pooled": 0.4}, "auc": {"pooled": None}}
    aus = {"AU01": unit, "AU12": {name: {"pooled": 0.8} for name in unit}}
    result = {"frames": 30, "subjects": 5, "coded": False, "aus": aus}
    add_evaluation(path, "people kept aside", result, own=True)
    words = add_evaluation(path, "another rig", {**result, "aus": {"AU12": unit}}, own=False)
    assert set(json.loads(path.read_text())["measured"]["evaluations"]) == {"people kept aside", "another rig"}
    text = words.read_text()
    assert "| AU | (1) ICC(3,1) / PCC | (2) ICC(3,1) / PCC |" in text
    assert "| AU01 | 0.40 / 0.50 |  |" in text
    assert "| AU12 | 0.80 / 0.80 | 0.40 / 0.50 |" in text
    assert "| mean | 0.60 / 0.65 | 0.40 / 0.50 |" in text
    assert "(1) people kept aside: 30 faces of 5. (2) another rig: 30 faces of 5." in text


@pytest.mark.parametrize("intensity", [{}, {"icc31": {"pooled": None}, "pcc": {"pooled": None}}])
def test_an_evaluation_on_occurrence_alone_is_told_by_its_auc(
    tmp_path: Path, intensity: dict[str, dict[str, None]]
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(CARD))
    aus = {"AU01": {"auc": {"pooled": 0.8}}, "AU12": {"auc": {"pooled": None}} | intensity}
    result = {"frames": 30, "subjects": 5, "coded": False, "aus": aus}
    text = add_evaluation(path, "BP4D", result, own=True).read_text()
    assert "| AU | (1) AUC |\n| --- | --- |\n| AU01 | 0.80 |\n| AU12 |  |\n| mean | 0.80 |" in text


def coded(**but: object) -> dict[str, object]:
    """An evaluation on real people whom FACS coders coded."""
    unit = {"frames": 900, "seen": 80, "people": 9, "auc": {"pooled": 0.96}, "f1": {"pooled": 0.7}}
    few = {**unit, "people": 4}
    undefined = {**few, "auc": {"pooled": None}}
    aus = {"AU01": unit, "AU04": few, "AU06": undefined, "AU12": unit}
    return {"frames": 900, "subjects": 12, "coded": True, "subject_exclusive": True, "aus": aus, **but}


def test_what_coders_saw_sets_trust_before_all_but_the_author(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**CARD, "network": {"aus": [1, 4, 6, 12]}, "trust_by_author": {"12": "usable"}}))
    words = add_evaluation(path, "DISFA", coded(), own=True).read_text()
    card = json.loads(path.read_text())
    assert card["trust"] == {"1": "good", "4": "experimental", "6": "experimental", "12": "usable"}
    assert "where FACS coders saw an AU on 10 or more frames of real people" in card["trust_rule"]
    assert "| AU01 | Inner brow raiser | good |" in words
    assert "| (1) AU01 | 80 (9) / 820 | 0.96 | 0.70 |" in words
    add_audit(path, AUDITED)
    assert json.loads(path.read_text())["trust"] == card["trust"]


@pytest.mark.parametrize(("but", "own"), [({"coded": False}, True), ({"subject_exclusive": False}, True), ({}, False)])
def test_rendered_faces_people_of_two_folds_and_other_models_set_no_trust(
    tmp_path: Path, but: dict[str, object], own: bool
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(CARD))
    add_evaluation(path, "DISFA", coded(), own=True)
    words = add_evaluation(path, "DISFA", coded(**but), own=own).read_text()
    card = json.loads(path.read_text())
    assert card["trust"] == {"1": "experimental", "12": "experimental"}
    assert "against_codes" not in card["measured"]["evaluations"]["DISFA"]
    assert "coded (people)" not in words


def test_a_card_survives_a_crash_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(CARD))

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rtatl_core.files.os.fsync", crash)
    with pytest.raises(OSError, match="No space left"):
        add_audit(path, AUDITED)
    assert json.loads(path.read_text()) == CARD
    assert list(tmp_path.iterdir()) == [path]


def test_the_bundled_card_is_told_in_words() -> None:
    path = asset(f"models/{DEFAULT_MODEL}.json")
    card = json.loads(path.read_text(encoding="utf-8"))
    assert path.with_suffix(".md").read_text(encoding="utf-8") == card_markdown(card)
    for au in card["network"]["aus"]:
        assert card["trust"][str(au)] in ("good", "usable", "experimental")
        assert ACTION_UNITS[au].name in card_markdown(card)
    for key in ("data", "known_faults", "not_for", "licence"):
        assert card[key], key
    assert "real_faces" in card["measured"]


def test_a_card_says_how_well_motion_is_told() -> None:
    error = {"end_point_error_px": 0.5, "of_no_motion_px": 0.8}
    motion = {"pairs": 30, **error, "moving_quarter": {**error, "of_no_motion_px": 2.0}}
    aside = {"flow": {**motion, "pcc": {"one.mp4": 0.7, "two.mp4": 0.2, "still.mp4": None}}}
    rendered = {"flow": {**motion, "pcc": {"stills": 0.8}}}
    text = card_markdown({**CARD, "measured": {"held_out_labelled": rendered, "aside_video": aside}})
    assert "| of the training kind | 30 | 0.80 | 0.50 (0.80) | 0.50 (2.00) |" in text
    assert "| real clips kept aside | 30 | 0.45 | 0.50 (0.80) | 0.50 (2.00) |" in text
    assert "Motion" not in card_markdown({**CARD, "measured": {"aside_video": {"flow": {"pairs": 0}}}})
