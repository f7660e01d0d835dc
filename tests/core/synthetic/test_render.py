"""The renderer on a puppet; needs OpenGL (Mesa's software rasteriser will do)."""

from __future__ import annotations

import dataclasses
import sys

import cv2
import numpy as np
import pytest

from rtatl_core.errors import InputError
from rtatl_core.handoffs import Float32
from rtatl_core.synthetic import render
from rtatl_core.synthetic.render import Finish, Renderer, Stance, open_context
from rtatl_core.synthetic.rig import Action, Layer, Material, full, neutral_action
from rtatl_core.synthetic.surface import Surface
from rtatl_core.synthetic.surroundings import Light
from tests.core.synthetic.puppet import RADIUS, PuppetHead, PuppetRig

SIDE = 128
AHEAD = Stance(0, 0, 0, (0, 0), 60, 0.42)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    try:
        return Renderer(SIDE)
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture
def head() -> PuppetHead:
    return PuppetRig().head(np.random.default_rng(0))


def light(direction: tuple[float, float, float] = (0, 0, 1), *, key: float = 0.8) -> Light:
    ambient = np.zeros((9, 3), np.float32)
    ambient[0] = 0.2 / 0.282095
    nothing = np.zeros(3, np.float32)
    unit = np.array(direction, np.float32) / np.linalg.norm(direction)
    return Light(ambient, unit, np.full(3, key, np.float32), unit, nothing, unit, nothing, 0.0)


def test_a_head_is_drawn_where_it_is_projected(renderer: Renderer, head: PuppetHead) -> None:
    renderer.load(head)
    stance = Stance(0, 0, 0, (3, -2), 60, 0.42)
    vertices = head.vertices(neutral_action())
    drawn = renderer.draw(vertices, stance, light(), Finish())
    assert drawn.shape == (renderer.fine, renderer.fine, 4)
    assert set(np.unique(drawn[..., 3])) == {0, 255}
    rows, columns = np.nonzero(drawn[..., 3])
    scale = SIDE / renderer.fine
    middle = stance.project(vertices.mean(axis=0, keepdims=True), SIDE)[0]
    assert [columns.mean() * scale, rows.mean() * scale] == pytest.approx(middle, abs=1.5)
    assert middle[0] > SIDE / 2  # shifted right
    assert middle[1] > SIDE / 2  # and down
    sides = stance.project(vertices, SIDE)
    assert (columns.max() - columns.min()) * scale == pytest.approx(np.ptp(sides[:, 0]), abs=2)


def test_light_falls_from_where_it_comes(renderer: Renderer, head: PuppetHead) -> None:
    renderer.load(head)
    vertices = head.vertices(neutral_action())
    right = renderer.draw(vertices, AHEAD, light((1, 0, 0.3)), Finish(shine=0.0))
    grey = right[..., :3].mean(axis=2)
    middle = renderer.fine // 2
    assert grey[middle, middle + 25] > 1.3 * grey[middle, middle - 25]
    dark = renderer.draw(vertices, AHEAD, light(key=0.0), Finish())
    assert dark[..., :3].max() < right[..., :3].max()


def test_signs_of_the_pose() -> None:
    nose = np.array([[0.0, -3, 2]], np.float32)
    x0, y0 = AHEAD.project(nose, SIDE)[0]
    assert (
        Stance(0.3, 0, 0, (0, 0), 60, 0.42).project(nose, SIDE)[0, 0] > x0
    )  # to the subject's left: right in the picture
    assert Stance(0, 0.3, 0, (0, 0), 60, 0.42).project(nose, SIDE)[0, 1] < y0  # looks up
    crown = np.array([[0.0, 10, -5]], np.float32)
    assert Stance(0, 0, 0.3, (0, 0), 60, 0.42).project(crown, SIDE)[0, 0] < AHEAD.project(crown, SIDE)[0, 0]


def test_a_head_nods_then_turns_then_tilts() -> None:
    ahead = np.array([0, 0, 1], np.float32)
    nods_and_tilts = Stance(0, 0.3, np.pi / 2, (0, 0), 60, 0.42).rotation() @ ahead
    np.testing.assert_allclose(nods_and_tilts, [-np.sin(0.3), 0, np.cos(0.3)], atol=1e-6)
    nods_and_turns = Stance(0.2, 0.3, 0, (0, 0), 60, 0.42).rotation() @ ahead
    expected = [np.cos(0.3) * np.sin(0.2), np.sin(0.3), np.cos(0.3) * np.cos(0.2)]
    np.testing.assert_allclose(nods_and_turns, expected, atol=1e-6)


def test_flow_is_the_motion_of_projected_points(renderer: Renderer, head: PuppetHead) -> None:
    renderer.load(head)
    before, after = head.vertices(neutral_action()), head.vertices(full(12))
    turned = Stance(0.06, 0.02, 0, (0.3, 0), 60, 0.42)
    flow = renderer.flow((before, AHEAD), (after, turned))
    assert flow.shape == (SIDE, SIDE, 2)
    assert np.isnan(flow[0, 0]).all()
    start, end = AHEAD.project(before, SIDE), turned.project(after, SIDE)
    facing = before[:, 2] > 0.75 * RADIUS
    errors = []
    for at, to in zip(start[facing], end[facing], strict=True):
        x, y = np.round(at).astype(int)
        errors.append(np.abs(flow[y, x] - (to - at)).max())
    assert np.median(errors) < 0.15
    assert np.median(np.linalg.norm((end - start)[facing], axis=1)) > 2


class Haired(PuppetHead):
    """Within a ball of hair that does not move. coverage: alpha of the hair, 0-255."""

    def __init__(self, coverage: int) -> None:
        super().__init__(1.0, 1)
        bare, count = self.mesh, len(self.mesh.uv)
        self.mesh = dataclasses.replace(
            bare,
            triangles=np.concatenate([bare.triangles, bare.triangles + count]),
            uv=np.concatenate([bare.uv, bare.uv]),
            layer=np.concatenate([bare.layer, np.full(count, Layer.HAIR, np.uint8)]),
            material=np.concatenate([bare.material, np.full(count, Material.HAIR, np.uint8)]),
            face_uv=np.concatenate([bare.face_uv, np.full_like(bare.face_uv, np.nan)]),
        )
        self.textures = (*self.textures[:2], np.full((2, 2, 4), coverage, np.uint8))

    def vertices(self, action: Action) -> Float32:
        return np.concatenate([super().vertices(action), 1.1 * self._base])


def test_flow_is_of_what_can_be_seen(renderer: Renderer) -> None:
    """Skin moves behind hair that is nowhere; hair that covers it stays."""
    flows = []
    for coverage in (0, 255):
        head = Haired(coverage)
        renderer.load(head)
        vertices = head.vertices(full(12))
        drawn = renderer.draw(vertices, AHEAD, light(), Finish())
        flows.append(renderer.flow_to_rest(vertices, AHEAD))
        seen = cv2.resize(drawn[..., 3], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        assert np.isfinite(flows[-1][seen == 255]).all()
        assert np.isnan(flows[-1][seen == 0]).all()
    bare, hidden = (flow[SIDE // 2, SIDE // 2] for flow in flows)
    assert bare[1] > 5  # back down
    assert hidden == pytest.approx([0, 0], abs=1e-4)


def test_relief_shows_where_it_is_carved(renderer: Renderer, head: PuppetHead) -> None:
    renderer.load(head)
    vertices = head.vertices(neutral_action())
    flat = np.zeros((64, 64, 3), np.float32)
    carved = flat.copy()
    carved[30:34, :, 1] = 0.8
    first, second = (renderer.draw(vertices, AHEAD, light((0, 1, 1)), Finish(), relief) for relief in (flat, carved))
    changed = np.abs(first[..., :3].astype(int) - second[..., :3]).max(axis=2) > 8
    rows = np.nonzero(changed)[0]
    assert len(rows) > 50
    assert abs(rows.mean() - renderer.fine / 2) < 12


def test_normals_point_outwards_and_hollows_are_dark(head: PuppetHead) -> None:
    vertices = head.vertices(neutral_action())
    surface = Surface(head.mesh, vertices)
    normals = surface.normals(vertices)
    outwards = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    inner = np.abs(outwards[:, 1]) < 0.95  # at the poles of the ball triangles are slivers
    assert ((normals * outwards).sum(axis=1)[inner] > 0.9).all()
    dented = vertices.copy()
    front = int(np.argmax(vertices[:, 2] - np.abs(vertices[:, 1])))
    dented[front, 2] -= 1.5
    openness = surface.openness(dented, surface.normals(dented))
    assert openness[front] < surface.openness(vertices, normals)[front] - 0.2


@pytest.mark.parametrize(("material", "apart_cm"), [(Material.LASH, 0.0), (Material.TEETH, 2e-5)])
def test_light_on_a_head_does_not_depend_on_whose_mesh_was_met_first(
    head: PuppetHead, material: Material, apart_cm: float
) -> None:
    """Else pictures would depend on how work is spread over processes. On the first head alone two lashes meet, or an
    upper and a lower tooth nearly do."""
    vertices = head.vertices(neutral_action())
    mesh = dataclasses.replace(head.mesh, material=np.full(len(vertices), material, np.uint8))
    meeting = vertices.copy()
    meeting[200] = meeting[200].round(3)
    meeting[100] = meeting[200] + np.float32(apart_cm)
    normals = []
    for first in (vertices, meeting):
        surface = Surface(mesh, first)
        surface.take(vertices)
        normals.append(surface.normals(vertices))
    assert (normals[0] == normals[1]).all()


@pytest.mark.parametrize(
    ("system", "backend", "remedy"),
    [
        ("linux", {"backend": "egl"}, "install Mesa"),
        ("win32", {}, "update the driver"),
        ("darwin", {}, "update the driver"),
    ],
)
def test_every_system_is_asked_for_its_own_opengl_and_told_its_own_remedy(
    monkeypatch: pytest.MonkeyPatch, system: str, backend: dict[str, str], remedy: str
) -> None:
    moderngl = pytest.importorskip("moderngl")

    def refuse(**asked: object) -> None:
        assert asked == {"standalone": True, "require": 330, **backend}
        raise OSError("nothing there")

    monkeypatch.setattr(moderngl, "create_context", refuse)
    monkeypatch.setattr(render.sys, "platform", system)
    with pytest.raises(InputError, match=f"nothing there.*{remedy}") as refused:
        open_context()
    assert ("apt-get" in str(refused.value)) == (system == "linux")


def test_without_moderngl_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(InputError, match=r"pip install .*\[synth\]"):
        open_context()


def test_a_picture_larger_than_opengl_draws_is_refused(renderer: Renderer) -> None:
    with pytest.raises(InputError, match=r"no picture of 100000 pixels here; write --size \d+ or less"):
        Renderer(100_000, renderer._context)


def test_only_the_last_meshes_are_kept(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays flat with a library of many avatars, and one that was let go is drawn again as before."""
    monkeypatch.setattr(render, "MESHES", 2)
    fresh, heads = Renderer(SIDE, renderer._context), []
    for seed in range(4):
        heads.append(PuppetRig().head(np.random.default_rng(seed)))
        heads[-1].mesh = dataclasses.replace(heads[-1].mesh)
    pictures = []
    for head in (*heads, heads[0]):
        fresh.load(head)
        pictures.append(fresh.draw(head.vertices(neutral_action()), AHEAD, light(), Finish()))
        assert len(fresh._meshes) <= 2
    assert (pictures[0] == pictures[-1]).all()
    assert pictures[0][..., 3].any()


def test_nothing_is_drawn_before_a_head_is_loaded(renderer: Renderer) -> None:
    fresh = Renderer(SIDE)
    with pytest.raises(ValueError, match="load a head"):
        fresh.draw(np.zeros((3, 3), np.float32), AHEAD, light(), Finish())
