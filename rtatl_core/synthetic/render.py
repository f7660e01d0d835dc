"""Heads -> pictures, on a GPU or in software, through moderngl, without a window.

Enters: a Head, its vertices in a frame, where it is and what lights it. Leaves: RGBA pictures, projected points, and
exact optical flow between two frames. One shader lights everything: image-based ambient light (spherical harmonics),
a key light with shadow, fill and rim, skin that lets red light through, AU-driven relief, wet highlights.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import InputError
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.synthetic.rig import Head, Material, Mesh, neutral_action, turned
from rtatl_core.synthetic.surface import Surface
from rtatl_core.synthetic.surroundings import Light
from rtatl_core.system import how_to_install

if TYPE_CHECKING:
    import moderngl

OVERSAMPLE = 1.125
SHADOW_SIDE = 256
MESHES = 32
"""How many are kept ready, at 5 MB each; ICT-FaceKit has one, the whole VALID library 210."""
NECK = np.array([0.0, -8.0, -9.0], np.float32)
"""What the head turns about, in head space."""


@dataclass(frozen=True, slots=True)
class Stance:
    """Where the head is and how it is seen."""

    yaw: float
    """Radians, + the head turns to the subject's left."""
    pitch: float
    """+ looks up."""
    roll: float
    """+ tilts to the subject's right shoulder, counter-clockwise in the picture."""
    shift: tuple[float, float]
    """Centimetres, right and up in the picture."""
    distance: float
    """Centimetres from the camera to the neutral head's origin."""
    field: float
    """Angle of view, radians."""

    def rotation(self) -> Float32:
        """(3, 3) head -> world: pitch first, then yaw, then roll."""
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return (roll @ turned(self.yaw, self.pitch)).astype(np.float32)

    def model(self) -> Float32:
        """(4, 4) head -> world; the world's axes are the camera's."""
        matrix = np.eye(4, dtype=np.float32)
        matrix[:3, :3] = self.rotation()
        matrix[:3, 3] = NECK - matrix[:3, :3] @ NECK + np.array([*self.shift, 0.0], np.float32)
        return matrix

    def projection(self) -> Float32:
        """(4, 4) world -> clip space; the camera stands on +z and looks along -z."""
        near, far, t = 5.0, 500.0, 1 / np.tan(self.field / 2)
        view = np.eye(4, dtype=np.float32)
        view[2, 3] = -self.distance
        lens = np.zeros((4, 4), np.float32)
        lens[0, 0] = lens[1, 1] = t
        lens[2, 2], lens[2, 3], lens[3, 2] = (far + near) / (near - far), 2 * far * near / (near - far), -1
        return lens @ view

    def project(self, points: Float32, side: int) -> Float32:
        """(n, 3) head space -> (n, 2) pixels of a picture of that side."""
        matrix = self.projection() @ self.model()
        clip = points @ matrix[:, :3].T + matrix[:, 3]
        places = clip[:, :2] / clip[:, 3:]
        return np.stack([(places[:, 0] + 1) * side / 2 - 0.5, (1 - places[:, 1]) * side / 2 - 0.5], axis=1)


@dataclass(frozen=True, slots=True)
class Finish:
    """How a person's surfaces answer light."""

    shine: float = 0.25
    gloss: float = 18.0
    """Exponent of the skin's highlight."""
    relief: float = 1.0
    """How deep wrinkles and pores are carved."""
    hollows: float = 1.0
    """How dark hollows are."""


_EGL_REMEDY = (
    "install Mesa's EGL (Debian, Ubuntu: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri libgbm1) or a GPU driver "
    "that has it"
)


def open_context() -> moderngl.Context:
    """An off-screen OpenGL context: on Linux of EGL, which asks for no display, elsewhere of what moderngl takes there
    by itself. Raises InputError with what to install."""
    # The software rasteriser works in the calling thread; processes share the cores between them.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    try:
        import moderngl
    except ImportError as error:
        raise InputError(f"rendering needs the package moderngl; {how_to_install('synth')}") from error
    linux = sys.platform.startswith("linux")
    backend: dict[str, Any] = {"backend": "egl"} if linux else {}
    try:
        return moderngl.create_context(standalone=True, require=330, **backend)
    except Exception as error:  # moderngl raises bare Exception
        remedy = _EGL_REMEDY if linux else "update the driver of the graphics card, or render on Linux"
        raise InputError(f"no OpenGL 3.3 to render with ({error}); {remedy}") from error


class Renderer:
    """Holds one head at a time, and the buffers of the last ``MESHES`` meshes that it has drawn. One thread."""

    def __init__(self, side: int, context: moderngl.Context | None = None) -> None:
        import moderngl

        self.side = side
        self.fine = round(side * OVERSAMPLE)
        self._gl = moderngl
        self._context = context or open_context()
        most = int(self._context.info["GL_MAX_RENDERBUFFER_SIZE"] / OVERSAMPLE)
        if side > most:
            raise InputError(f"OpenGL draws no picture of {side} pixels here; write --size {most} or less")
        shaders = resources.files("rtatl_core.synthetic") / "shaders"
        text = {
            name: (shaders / name).read_text(encoding="utf-8")
            for name in ("face.vert", "face.frag", "depth.vert", "flow.vert", "flow.frag")
        }
        self._programs = {
            kind: self._context.program(text["face.vert"], _variant(text["face.frag"], kind))
            for kind in ("CARVED", "PLAIN", "THIN")
        }
        self._depth = self._context.program(text["depth.vert"], "#version 330\nvoid main() {}")
        self._flows = {
            kind: self._context.program(_variant(text["flow.vert"], kind), _variant(text["flow.frag"], kind))
            for kind in ("SOLID", "THIN")
        }
        size = (self.fine, self.fine)
        self._target = self._context.framebuffer(
            [self._context.renderbuffer(size, 4)], self._context.depth_renderbuffer(size)
        )
        shadow = self._context.depth_texture((SHADOW_SIDE, SHADOW_SIDE))
        shadow.compare_func = ""
        shadow.repeat_x = shadow.repeat_y = False
        self._shadow, self._shadow_target = shadow, self._context.framebuffer(depth_attachment=shadow)
        flow = (side, side)
        self._flow_target = self._context.framebuffer(
            [self._context.texture(flow, 3, dtype="f4")], self._context.depth_renderbuffer(flow)
        )
        self._meshes: dict[int, _Loaded] = {}
        self._textures: list[moderngl.Texture] = []
        self._relief: moderngl.Texture | None = None
        self._now: _Loaded | None = None
        self._rest: Float32 = np.empty((0, 3), np.float32)

    def load(self, head: Head) -> None:
        """Make ``head`` the one that is drawn."""
        rest = head.vertices(neutral_action())
        loaded = self._meshes.get(id(head.mesh))
        if loaded is None:
            loaded = _Loaded(self._context, head.mesh, rest, self._programs, self._depth, self._flows)
            self._meshes[id(head.mesh)] = loaded
            if len(self._meshes) > MESHES:
                self._meshes.pop(next(iter(self._meshes))).release()
        loaded.surface.take(rest)
        self._now, self._rest = loaded, rest
        for texture in self._textures:
            texture.release()
        self._textures = [self._upload(image) for image in head.textures]

    def _upload(self, image: UInt8) -> moderngl.Texture:
        height, width = image.shape[:2]
        texture = self._context.texture((width, height), 4, np.ascontiguousarray(image))
        texture.build_mipmaps()
        texture.filter = (self._gl.LINEAR_MIPMAP_NEAREST, self._gl.LINEAR)
        texture.repeat_x = texture.repeat_y = True
        return texture

    def draw(
        self, vertices: Float32, stance: Stance, light: Light, finish: Finish, relief: Float32 | None = None
    ) -> UInt8:
        """(fine, fine, 4) RGBA, ``OVERSAMPLE`` times the side; alpha 0 where there is no head, 255 where there
        is. relief: (h, w, 3) of ``Wrinkles.relief``."""
        loaded = self._loaded()
        normals = loaded.surface.normals(vertices)
        loaded.write(vertices, normals, loaded.surface.openness(vertices, normals))
        context, model = self._context, stance.model()
        projection = stance.projection() @ model
        from_light = _light_view(light.key_direction) @ model
        context.enable(self._gl.DEPTH_TEST)
        if light.shadow > 0:
            self._shadow_target.use()
            self._shadow_target.clear(depth=1.0)
            _set(self._depth, projection=from_light)
            loaded.casting.render()
        self._target.use()
        self._target.clear(0, 0, 0, 0, 1.0)
        self._use_relief(relief)
        values: dict[str, float | NDArray[Any]] = {
            "model": model,
            "projection": projection,
            "from_light": from_light,
            "eye": np.array([0, 0, stance.distance]),
            "ambient": light.ambient,
            "directions": np.stack([light.key_direction, light.fill_direction, light.rim_direction]),
            "colours": np.stack([light.key_colour, light.fill_colour, light.rim_colour]),
            "shadow": light.shadow,
            "shine": finish.shine,
            "gloss": finish.gloss,
            "relief": finish.relief if relief is not None else 0.0,
            "hollows": finish.hollows,
            "skin": 0,
            "wrinkles": 1,
            "shadow_map": 2,
        }
        for program in self._programs.values():
            _set(program, **values)
        for kind, layer, part in loaded.visible:
            self._textures[layer].use(0)
            if kind == "CARVED":  # half of the skin looks away; the rest is seen from inside, too
                context.enable(self._gl.CULL_FACE)
            part.render()
            context.disable(self._gl.CULL_FACE)
        pixels = np.frombuffer(self._target.read(components=4), np.uint8).reshape(self.fine, self.fine, 4)
        return np.asarray(cv2.flip(pixels, 0), np.uint8)

    def flow(self, before: tuple[Float32, Stance], after: tuple[Float32, Stance]) -> Float32:
        """Exact optical flow: (side, side, 2) pixels, x right, y down, from the first frame's picture to the second's,
        of what ``draw`` shows; NaN where there is no head. Each a pair of vertices and stance."""
        loaded = self._loaded()
        loaded.write_flow(before[0], after[0])
        self._context.enable(self._gl.DEPTH_TEST)
        self._flow_target.use()
        self._flow_target.clear(0, 0, 0, 0, 1.0)
        places = [stance.projection() @ stance.model() for _, stance in (before, after)]
        for program in self._flows.values():
            _set(program, before=places[0], after=places[1], skin=0)
        for layer, part in loaded.flowing:
            self._textures[layer].use(0)
            part.render()
        read = np.frombuffer(self._flow_target.read(components=3, dtype="f4"), np.float32)
        image = read.reshape(self.side, self.side, 3)[::-1]
        motion = np.empty((self.side, self.side, 2), np.float32)
        np.multiply(image[..., 0], self.side / 2, out=motion[..., 0])
        np.multiply(image[..., 1], -self.side / 2, out=motion[..., 1])
        motion[image[..., 2] < 0.5] = np.nan
        return motion

    def flow_to_rest(self, vertices: Float32, stance: Stance) -> Float32:
        """``flow`` from a picture of the head to one in the same pose with its face at rest."""
        return self.flow((vertices, stance), (self._rest, stance))

    def _loaded(self) -> _Loaded:
        if self._now is None:
            raise ValueError("load a head before drawing")
        return self._now

    def _use_relief(self, relief: Float32 | None) -> None:
        if relief is not None:
            height, width = relief.shape[:2]
            if self._relief is None or self._relief.size != (width, height):
                if self._relief is not None:
                    self._relief.release()
                self._relief = self._context.texture((width, height), 3, dtype="f4")
            self._relief.write(np.ascontiguousarray(relief))
            self._relief.use(1)
        self._shadow.use(2)


class _Loaded:
    """Buffers of one mesh."""

    def __init__(
        self,
        context: moderngl.Context,
        mesh: Mesh,
        rest: Float32,
        programs: dict[str, Any],
        depth: Any,
        flows: dict[str, Any],
    ) -> None:
        self.surface = Surface(mesh, rest)
        self._owned: list[Any] = []
        fixed = np.column_stack([mesh.uv, np.nan_to_num(mesh.face_uv, nan=-1.0), mesh.material])
        count = len(mesh.uv)
        self._fixed = context.buffer(fixed.astype(np.float32).tobytes())
        self._moving = context.buffer(reserve=count * 7 * 4, dynamic=True)
        self._pairs = context.buffer(reserve=count * 6 * 4, dynamic=True)
        self._owned += [self._fixed, self._moving, self._pairs]
        moving = (self._moving, "3f 3f 1f", "position", "normal", "openness")
        fixed_layout = (self._fixed, "2f 2f 1f", "uv", "face_uv", "material")
        pairs = (self._pairs, "3f 3f", "position", "later")
        self.visible, self.flowing = [], []
        for kind, layer, triangles in _groups(mesh):
            self.visible.append((kind, layer, self._array(context, programs[kind], [moving, fixed_layout], triangles)))
            flow = flows["THIN" if kind == "THIN" else "SOLID"]
            self.flowing.append((layer, self._array(context, flow, [pairs, fixed_layout], triangles)))
        self.casting = self._array(context, depth, [(self._moving, "3f 16x", "position")], _casting(mesh))

    def _array(self, context: moderngl.Context, program: Any, content: list[Any], triangles: NDArray[np.int32]) -> Any:
        index = context.buffer(np.ascontiguousarray(triangles, np.int32))
        # attributes that a variant of the shader does not use are dropped by its compiler
        kept = [
            (buffer, _skip_unused(layout, names, program), *[name for name in names if name in program])
            for buffer, layout, *names in content
            if any(name in program for name in names)
        ]
        array = context.vertex_array(program, kept, index)
        self._owned += [index, array]
        return array

    def release(self) -> None:
        """moderngl frees nothing by itself."""
        for piece in reversed(self._owned):
            piece.release()

    def write(self, vertices: Float32, normals: Float32, openness: Float32) -> None:
        self._moving.write(np.column_stack([vertices, normals, openness]).astype(np.float32))

    def write_flow(self, before: Float32, after: Float32) -> None:
        self._pairs.write(np.column_stack([before, after]).astype(np.float32))


def _variant(shader: str, kind: str) -> str:
    """The shader with that name defined."""
    return shader.replace("330\n", f"330\n#define {kind}\n", 1)


def _skip_unused(layout: str, names: list[str], program: Any) -> str:
    """ "3f 1f" with the first name unused -> "12x 1f"."""
    sizes = [part for part in layout.split() if not part.endswith("x")]
    skipped = {i: f"{int(size[:-1]) * 4}x" for i, size in enumerate(sizes) if names[i] not in program}
    padding = [part for part in layout.split() if part.endswith("x")]
    return " ".join([skipped.get(i, size) for i, size in enumerate(sizes)] + padding)


def _groups(mesh: Mesh) -> list[tuple[str, int, NDArray[np.int32]]]:
    """(shader, texture layer, triangles) in the order of drawing: what may be seen through last."""
    material, layer = mesh.material[mesh.triangles[:, 0]], mesh.layer[mesh.triangles[:, 0]]
    kinds = np.select([material == Material.SKIN, material >= Material.LASH], [0, 2], 1)
    groups = []
    for kind, name in enumerate(("CARVED", "PLAIN", "THIN")):
        for texture in np.unique(layer[kinds == kind]):
            groups.append((name, int(texture), mesh.triangles[(kinds == kind) & (layer == texture)]))
    return groups


def _casting(mesh: Mesh) -> NDArray[np.int32]:
    """Triangles that throw shadows; hair does not, its strands are only in its texture."""
    casts = np.isin(mesh.material[mesh.triangles[:, 0]], (Material.SKIN, Material.BODY))
    return mesh.triangles[casts]


def _light_view(direction: Float32) -> Float32:
    """(4, 4) world -> the key light's view: orthographic, 36 cm across."""
    forwards = -direction / np.linalg.norm(direction)
    right = np.cross(forwards, [0.01, 1.0, 0.02])
    right /= np.linalg.norm(right)
    view = np.eye(4, dtype=np.float32)
    view[:3, :3] = np.stack([right, np.cross(right, forwards), -forwards])
    view[:3] /= np.array([[18.0], [18.0], [-40.0]], np.float32)
    return view


def _set(program: Any, **values: float | NDArray[Any]) -> None:
    """Write uniforms; the shader compiler drops those that do not matter."""
    for name in program:
        if (value := values.get(name)) is None:
            continue
        if isinstance(value, np.ndarray):
            flat = value.T if value.shape == (4, 4) else value
            program[name].write(np.ascontiguousarray(flat, np.float32))
        else:
            program[name].value = value
