"""Painted people: plausible choices, hair where hair grows, colours that are skins."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.canvas import Canvas
from rtatl_core.synthetic.complexion import BeardStyle, Complexion
from rtatl_core.synthetic.skin import paint_face
from rtatl_core.synthetic.standard_face import LANDMARK_UV

SIDE = 256


@pytest.fixture(scope="module")
def looks() -> list[Complexion]:
    return [Complexion.sample(np.random.default_rng(seed)) for seed in range(400)]


@pytest.fixture(scope="module")
def shaven(looks: list[Complexion]) -> Complexion:
    """A light man with dark hair and nothing on his cheeks."""
    man = next(look for look in looks if look.male > 0.5 and look.tone < 0.25 and look.hair.mean() < 60)
    return dataclasses.replace(man, beard=0.0, shave=0.0, freckles=0.0)


def painted(look: Complexion) -> Float32:
    """(SIDE, SIDE) brightness."""
    face = paint_face(look, LANDMARK_UV, SIDE, np.random.default_rng(0))
    return np.asarray(face[..., :3].mean(axis=2), np.float32)


def around(image: Float32, u: float, v: float) -> float:
    row, column = round(v * SIDE), round(u * SIDE)
    return float(image[row - 5 : row + 6, column - 5 : column + 6].mean())


def test_every_skin_is_redder_than_green_and_greener_than_blue(looks: list[Complexion]) -> None:
    skins = np.stack([look.skin for look in looks])
    assert (skins[:, 0] > skins[:, 1]).all()
    assert (skins[:, 1] > skins[:, 2]).all()


def test_lips_are_never_orange(looks: list[Complexion]) -> None:
    """Against the skin they lose more green than blue."""
    share = np.stack([look.lips / look.skin for look in looks])
    assert (share[:, 2] > 0.95 * share[:, 1])[share[:, 0] < 1].mean() > 0.9


def test_beards_and_lipstick_seldom_meet(looks: list[Complexion]) -> None:
    assert all(look.male > 0.5 for look in looks if look.beard > 0)
    assert np.mean([look.shadow is not None for look in looks if look.beard > 0]) < 0.05


def test_the_young_are_not_grey_and_many_of_the_old_are(looks: list[Complexion]) -> None:
    def grey(look: Complexion) -> bool:
        return bool(look.hair.max() - look.hair.min() < 15 and look.hair.mean() > 90)

    assert not any(grey(look) for look in looks if look.age < 0.2)
    assert np.mean([grey(look) for look in looks if look.age > 0.7]) > 0.3


@pytest.mark.parametrize(
    ("style", "cheek", "chin"), [("full", True, True), ("goatee", False, True), ("moustache", False, False)]
)
def test_beards_grow_where_their_style_says(shaven: Complexion, style: BeardStyle, cheek: bool, chin: bool) -> None:
    bare, grown = painted(shaven), painted(dataclasses.replace(shaven, beard=0.9, beard_style=style))
    for u, v, expected in ((0.25, 0.58, cheek), (0.5, 0.7, chin), (0.455, 0.484, True), (0.3, 0.42, False)):
        assert (around(bare, u, v) - around(grown, u, v) > 15) == expected, (u, v)


def test_a_shaved_beard_shines_through(shaven: Complexion) -> None:
    bare, shadow = painted(shaven), painted(dataclasses.replace(shaven, shave=1.0))
    assert around(bare, 0.5, 0.7) - around(shadow, 0.5, 0.7) > 5
    assert abs(around(bare, 0.5, 0.12) - around(shadow, 0.5, 0.12)) < 5


def test_hairs_lie_where_they_are_drawn() -> None:
    canvas = Canvas(128, np.zeros(3, np.float32), np.random.default_rng(0))
    mask = canvas.hairs(np.array([[200.0, 100.0]]), np.array([[40.0, 0.0]]), np.ones(1))
    rows, columns = np.nonzero(mask > 0.1)
    assert np.abs(rows - 25).max() <= 1
    assert abs(int(columns.min()) - 50) <= 1
    assert abs(int(columns.max()) - 60) <= 1
    outside = canvas.hairs(np.array([[700.0, 700.0]]), np.array([[40.0, 0.0]]), np.ones(1))
    assert not outside.any()
