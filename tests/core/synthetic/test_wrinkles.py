"""Where creases run and which side of the face folds them."""

from __future__ import annotations

import numpy as np
import pytest

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.rig import AUS, LEFT, RIGHT, ROW, Action, full, neutral_action
from rtatl_core.synthetic.wrinkles import SIDE, Wrinkles


@pytest.fixture
def wrinkles() -> Wrinkles:
    return Wrinkles.sample(0.4, np.random.default_rng(1))


def one_sided(au: int, side: int) -> Action:
    values = np.zeros((len(AUS), 2), np.float32)
    values[ROW[au], side] = 1
    return Action(values)


def folded(wrinkles: Wrinkles, action: Action) -> Float32:
    """(SIDE, SIDE) how much steeper an action makes the skin."""
    change: Float32 = np.abs(wrinkles.relief(action) - wrinkles.relief(neutral_action()))[..., :2].sum(axis=2)
    return change


def middle(change: Float32) -> tuple[float, float]:
    """(u, v) around which a change lies."""
    v, u = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    return float((change * u).sum() / change.sum()), float((change * v).sum() / change.sum())


@pytest.mark.parametrize(
    ("au", "top", "bottom"),
    [
        (4, 0.13, 0.28),  # between brows and nose root
        (6, 0.22, 0.42),  # round the eye
        (9, 0.2, 0.62),
        (15, 0.55, 0.71),
        (17, 0.61, 0.73),  # the front of the chin, not what lies under it
    ],
)
def test_creases_lie_where_the_muscle_pulls(wrinkles: Wrinkles, au: int, top: float, bottom: float) -> None:
    rows = folded(wrinkles, full(au)).sum(axis=1)
    inside = rows[int(top * SIDE) : int(bottom * SIDE)].sum()
    assert inside > 0.8 * rows.sum()  # AU6 also deepens the nasolabial fold


@pytest.mark.parametrize("au", [2, 6, 7, 9, 10, 12, 14, 15, 20])
def test_one_side_folds_its_own_skin(wrinkles: Wrinkles, au: int) -> None:
    right, left = (middle(folded(wrinkles, one_sided(au, side)))[0] for side in (RIGHT, LEFT))
    assert right < 0.47
    assert left > 0.53


def test_the_inner_brow_folds_the_middle_of_the_forehead_and_the_outer_one_its_side(wrinkles: Wrinkles) -> None:
    centre = slice(int(0.4 * SIDE), int(0.6 * SIDE))
    inner, outer = (folded(wrinkles, full(au)) for au in (1, 2))
    assert inner[:, centre].sum() / inner.sum() > outer[:, centre].sum() / outer.sum() + 0.2


def test_a_roll_of_skin_stands_beside_a_crease(wrinkles: Wrinkles) -> None:
    row = wrinkles.names.index(("nasolabial", RIGHT))
    depth = wrinkles.grooves[row].reshape(SIDE, SIDE)
    across = depth[int(0.5 * SIDE)]
    fold = int(across.argmax())
    assert across[fold] > 0.3
    assert across[:fold].min() < -0.1  # towards the ear, where the cheek bulges


def test_the_young_fold_too() -> None:
    young = Wrinkles.sample(0.0, np.random.default_rng(3))
    assert folded(young, full(12)).max() > 0.1
