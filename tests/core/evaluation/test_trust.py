"""How far an AU can be trusted."""

from __future__ import annotations

import json

from rtatl_core.assets import asset
from rtatl_core.card import DEFAULT_MODEL
from rtatl_core.evaluation.trust import trust, trust_by_codes, trust_by_ratings, trust_by_shapes


def test_blendshapes_need_agreement_in_two_clips() -> None:
    measured = {
        "pcc": {"AU12": 0.9, "AU25": 0.9, "AU26": 0.6, "AU43": 0.3},
        "clips_where_it_moves": {"AU12": 3, "AU25": 1, "AU26": 2, "AU43": 5},
    }
    expected = {"AU12": "good", "AU25": "experimental", "AU26": "usable", "AU43": "experimental"}
    assert trust_by_shapes(measured) == expected


def test_eyes_decide_where_they_saw_enough() -> None:
    found = {
        "AU06": {"seen": 77, "people": 40, "absent": 127, "auc": 0.97, "f1": 0.7},
        "AU04": {"seen": 27, "people": 20, "absent": 168, "auc": 0.86, "f1": 0.4},
        "AU26": {"seen": 39, "people": 12, "absent": 119, "auc": 0.84, "f1": 0.9},
        "AU18": {"seen": 5, "people": 5, "absent": 246, "auc": 1.0, "f1": 1.0},
        "AU16": {"seen": 21, "people": 3, "absent": 187, "auc": 1.0, "f1": 1.0},
        "AU25": {"seen": 178, "people": 90, "absent": 9, "auc": 1.0, "f1": 1.0},
        "AU09": {"seen": 0, "people": 0, "absent": 244},
    }
    moves = {"pcc": {"AU06": 0.1, "AU16": 0.6}, "clips_where_it_moves": {"AU06": 3, "AU16": 2}}
    strangers = {
        "AU06": {"seen": 150, "people": 150, "absent": 170, "auc": 0.5, "f1": 0.1},
        "AU14": {"seen": 22, "people": 22, "absent": 280, "auc": 0.87, "f1": 0.3},
    }
    measured = {
        "aside_video": moves,
        "strangers": {"against_ratings": strangers},
        "real_faces": {"against_ratings": found},
    }
    expected = {"4": "good", "6": "good", "9": "experimental", "14": "usable", "16": "usable", "26": "experimental"}
    assert trust((4, 6, 9, 14, 16, 26), measured, {"4": "good"}) == expected, (
        "the author's word, then raters of faces kept aside, of strangers, then blendshapes"
    )
    assert trust_by_ratings(found) == {"AU06": "good", "AU04": "usable", "AU26": "experimental"}


def test_an_order_that_is_right_is_not_enough() -> None:
    """1 must part the faces, too: where most of those that show the AU read less, a count of it would be wrong."""
    entry = {"seen": 13, "people": 13, "absent": 300, "auc": 0.97}
    levels = [trust_by_ratings({"AU24": entry | {"f1": f1}})["AU24"] for f1 in (0.61, 0.5, 0.29)]
    assert levels == ["good", "usable", "experimental"]


def test_the_least_of_all_coded_data_counts_and_comes_before_ratings() -> None:
    entry = {"seen": 50, "people": 9, "absent": 500}
    good, usable = ({**entry, "auc": auc, "f1": 0.7} for auc in (0.97, 0.9))
    few = {**entry, "people": 4, "auc": 0.5, "f1": 0.1}
    evaluations = {
        "BP4D": {"against_codes": {"AU04": usable, "AU12": good}},
        "DISFA": {"against_codes": {"AU04": good, "AU12": few}},
        "renders": {"auc": {"AU12": 0.4}},
    }
    assert trust_by_codes(evaluations) == {"AU04": "usable", "AU12": "good"}
    measured = {"evaluations": evaluations, "real_faces": {"against_ratings": {"AU12": usable, "AU06": usable}}}
    assert trust((4, 6, 12), measured, {}) == {"4": "usable", "6": "usable", "12": "good"}
    assert trust((4, 6, 12), measured, {"4": "experimental"})["4"] == "experimental", "the author's word"


def test_the_bundled_model_met_no_codes_and_keeps_its_trust() -> None:
    card = json.loads(asset(f"models/{DEFAULT_MODEL}.json").read_text(encoding="utf-8"))
    assert trust(card["network"]["aus"], card["measured"], card["trust_by_author"]) == card["trust"]
