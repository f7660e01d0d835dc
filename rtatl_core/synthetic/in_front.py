"""What stands before a face: spectacles, hands, hair, mugs, microphones.

Enters: an RGB picture and the 68 landmarks in its pixels. Leaves: a picture with less to be seen. Labels and landmarks
stay as they are, they say what the face does behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.synthetic.lines import SHIFT, fixed

_ToPicture = Callable[[NDArray[Any]], NDArray[Any]]
"""(n, 3) centimetres of head space -> (n, 2) pixels."""
_IPD = 6.3
"""Centimetres between the eyes of the model head."""
_MODEL = np.array(
    [(-3.15, -0.5, 1.5), (3.15, -0.5, 1.5), (-7.45, -0.9, -5), (7.45, -0.9, -5), (0, -0.3, 3.1), (0, -3.7, 5)],
    np.float32,
)
"""(6, 3) right and left eye, right and left ear (landmarks 0, 16), bridge (27) and tip (30) of the nose, in
centimetres of head space: means of VALID's avatars, rounded."""
_WEIGHTS = np.array([3, 3, 1, 1, 2, 1], np.float32)
_BEHIND = np.array([0, 1.3, -1.2], np.float32)
"""From landmark 0 or 16 to where a temple arm goes behind the ear."""


def occlude(image: UInt8, landmarks: Float32, rng: np.random.Generator) -> UInt8:
    """(s, s, 3) with something in front of the face: a hand, hair, a mug, a microphone, a thing. landmarks: (68, 2)
    pixels."""
    kinds = (_hand, _strands, _mug, _microphone, _thing)
    kind = kinds[rng.choice(len(kinds), p=(0.35, 0.28, 0.14, 0.13, 0.1))]
    return kind(np.ascontiguousarray(image).copy(), landmarks, _face_size(landmarks), rng)


def _face_size(landmarks: Float32) -> float:
    """Pixels from ear to ear, were the face seen from the front."""
    height = 0.95 * float(np.linalg.norm(landmarks[8] - landmarks[27]))
    return max(float(np.linalg.norm(landmarks[16] - landmarks[0])), height, 8.0)


def _paste(image: UInt8, mask: UInt8, colour: NDArray[Any], soft: float) -> UInt8:
    """``colour`` (3,) or (s, s, 3) where the mask is 255, with an edge as soft as the picture's, and its shadow."""
    alpha = cv2.GaussianBlur(mask, (0, 0), max(soft, 0.5))[..., None].astype(np.float32) / 255
    shadow = cv2.GaussianBlur(mask, (0, 0), max(6 * soft, 1.0))[..., None].astype(np.float32) / 255
    under = image * (1 - 0.35 * shadow)
    pasted: UInt8 = (under * (1 - alpha) + colour * alpha).clip(0, 255).astype(np.uint8)
    return pasted


def _skin(image: UInt8, landmarks: Float32) -> NDArray[Any]:
    """(3,) this face's own colour, the median of its middle."""
    low, high = landmarks[[31, 35, 39, 42]].min(axis=0), landmarks[[31, 35, 39, 42]].max(axis=0)
    x0, y0 = np.floor(low).astype(int).clip(0, len(image) - 3)
    x1, y1 = np.ceil(high).astype(int).clip(3, len(image))
    return np.median(image[y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)].reshape(-1, 3), axis=0)


def _hand(image: UInt8, landmarks: Float32, size: float, rng: np.random.Generator) -> UInt8:
    """Fingers that touch the face, from below or from a side, rounded by shading; palm and wrist."""
    skin = _skin(image, landmarks) * rng.uniform(0.85, 1.1)
    touched = landmarks[rng.choice([*range(1, 16), 33, 48, 54, 57, 36, 45])]
    turn = rng.normal(np.pi / 2, 0.6)  # from the tips to the wrist: downwards, more or less
    along, aside = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    width, count = rng.uniform(0.1, 0.125) * size, int(rng.integers(1, 5))
    spread, side = rng.uniform(-0.03, 0.14), rng.choice([-1, 1])
    lengths = (0.86, 1.0, 0.95, 0.72)
    for finger in range(count):
        offset = finger - (count - 1) / 2
        lean = along - aside * spread * offset * side
        tip = touched + aside * side * offset * width * 1.04 - along * lengths[finger] * 0.5 * size
        tip += along * 0.45 * size
        mask = np.zeros(image.shape[:2], np.uint8)
        for step in np.linspace(0, 0.55, 12):  # fingers taper, knuckles are thick
            thick = width * (0.4 + 0.1 * min(step / 0.4, 1)) * (1.06 if 0.2 < step < 0.28 else 1)
            cv2.circle(mask, *_disc(tip + lean * step * size, thick), 255, -1, cv2.LINE_AA, SHIFT)
        if finger == count - 1:
            _palm(mask, touched + along * 0.72 * size, along, max(count, 3) * width * 0.62, size)
        image = _paste(image, mask, skin * _rounded(mask, width / 2), size / 150)
    return image


def _palm(mask: UInt8, centre: NDArray[Any], along: NDArray[Any], half: float, size: float) -> None:
    """And the wrist, which leaves the picture."""
    turn = float(np.degrees(np.arctan2(along[1], along[0])))
    cv2.ellipse(mask, (centre.tolist(), (0.8 * size, 2 * half), turn), 255, -1, cv2.LINE_AA)
    ends = [fixed(centre + along * length * size).tolist() for length in (0.1, 2.5)]
    cv2.line(mask, *ends, 255, max(1, round(1.5 * half)), cv2.LINE_AA, SHIFT)


def _rounded(mask: UInt8, radius: float) -> Float32:
    """(s, s, 1) shade of something round: dark where its surface turns away."""
    depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3) / radius
    shade = 0.55 + 0.45 * np.sqrt((1 - (1 - depth.clip(0, 1)) ** 2).clip(0, 1))
    return shade.astype(np.float32)[..., None]


def _disc(centre: NDArray[Any], radius: float) -> tuple[tuple[int, int], int]:
    """``fixed``, at least half a pixel in radius."""
    x, y = fixed(centre)
    return (int(x), int(y)), max(round(radius * (1 << SHIFT)), 8)


def _strands(image: UInt8, landmarks: Float32, size: float, rng: np.random.Generator) -> UInt8:
    """A lock or single hairs that fall from the forehead."""
    shade = rng.uniform(8, 95)
    colour = np.array([shade, shade * rng.uniform(0.6, 0.9), shade * rng.uniform(0.4, 0.85)])
    root = landmarks[rng.integers(17, 27)] + [rng.normal(0, 0.08 * size), -rng.uniform(0.25, 0.45) * size]
    end = root + [rng.normal(0, 0.22) * size, rng.uniform(0.4, 0.95) * size]
    bow = rng.normal(0, 0.14, 2) * size
    mask = np.zeros(image.shape[:2], np.uint8)
    way = np.linspace(0, 1, 24)[:, None]
    loose = rng.uniform(0.01, 0.07) * size
    for _ in range(int(rng.integers(3, 26))):
        start, stop = root + rng.normal(0, loose, 2), end + rng.normal(0, 1.6 * loose, 2)
        bend = (start + stop) / 2 + bow + rng.normal(0, loose, 2)
        curve = start * (1 - way) ** 2 + 2 * bend * way * (1 - way) + stop * way**2
        cv2.polylines(mask, [fixed(curve)], False, int(rng.integers(110, 256)), 1, cv2.LINE_AA, SHIFT)
    return _paste(image, mask, colour, 0.5)


def _mug(image: UInt8, landmarks: Float32, size: float, rng: np.random.Generator) -> UInt8:
    """A cup at the lips: an upright cylinder, lit from one side, with a handle."""
    half, tall = rng.uniform(0.2, 0.28) * size, rng.uniform(0.45, 0.65) * size
    x, y = landmarks[48:68].mean(axis=0) + [rng.normal(0, 0.12) * size, rng.uniform(-0.08, 0.15) * size]
    mask = np.zeros(image.shape[:2], np.uint8)
    side = rng.choice([-1, 1])
    handle = ((x + side * half, y + 0.45 * tall), (half, 0.55 * tall), 0)
    cv2.ellipse(mask, handle, 255, max(2, round(0.05 * size)), cv2.LINE_AA)
    body = np.array([[x - half, y], [x + half, y], [x + half * 0.92, y + tall], [x - half * 0.92, y + tall]])
    cv2.fillConvexPoly(mask, fixed(body), 255, cv2.LINE_AA, SHIFT)
    for level, width in ((y, half), (y + tall, 0.92 * half)):
        cv2.ellipse(mask, ((x, level), (2 * width, 0.35 * width), 0), 255, -1, cv2.LINE_AA)
    across = ((np.arange(image.shape[1]) - x) / half).clip(-1.3, 1.3)
    shade = 0.6 + 0.4 * np.cos(across - rng.uniform(-0.9, 0.9))
    return _paste(image, mask, _material(rng) * shade[None, :, None], size / 150)


def _microphone(image: UInt8, landmarks: Float32, size: float, rng: np.random.Generator) -> UInt8:
    """A ball of mesh or foam below the mouth on its stem."""
    chin = landmarks[57] * 0.5 + landmarks[8] * 0.5
    at = chin + [rng.normal(0, 0.16) * size, rng.uniform(-0.08, 0.12) * size]
    radius = rng.uniform(0.07, 0.14) * size
    lean = np.array([rng.normal(0, 0.5), 1.0])
    stem = np.zeros(image.shape[:2], np.uint8)
    ends = [tuple(fixed(at + lean * length).tolist()) for length in (0, 2 * size)]
    cv2.line(stem, *ends, 255, max(1, round(radius * rng.uniform(0.5, 1.1))), cv2.LINE_AA, SHIFT)
    shade = rng.uniform(10, 70)
    image = _paste(image, stem, shade * _rounded(stem, radius / 2), size / 150)
    ball = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(ball, *_disc(at, radius), 255, -1, cv2.LINE_AA, SHIFT)
    rows, columns = np.indices(ball.shape) / max(0.16 * radius, 1.5)
    mesh = 1 + 0.25 * np.sin(2 * np.pi * rows) * np.sin(2 * np.pi * columns)
    return _paste(image, ball, rng.uniform(15, 110) * _rounded(ball, radius) * mesh[..., None], size / 150)


def _thing(image: UInt8, landmarks: Float32, size: float, rng: np.random.Generator) -> UInt8:
    """A telephone, a sheet, a sleeve: a plain slab with a faint texture over one edge of the face."""
    at = landmarks[rng.integers(17)] + rng.normal(0, 0.06, 2) * size
    box = (tuple(at), tuple(rng.uniform(0.22, 0.65, 2) * size), rng.uniform(-40, 40))
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, fixed(cv2.boxPoints(box)), 255, cv2.LINE_AA, SHIFT)
    cells = rng.normal(size=(8, 8)).astype(np.float32)
    texture = cv2.resize(cells, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    return _paste(image, mask, _material(rng) + 9 * texture, size / 150)


def _material(rng: np.random.Generator) -> NDArray[Any]:
    """(3,) a colour of things: white, black, mostly muted."""
    return rng.uniform(15, 235) * (1 + rng.normal(0, 0.05 if rng.random() < 0.6 else 0.3, 3)).clip(0.2, 1.6)


@dataclass(frozen=True, slots=True)
class GlassesStyle:
    """Fixed for a person. Lengths in units of the distance between the eyes."""

    colour: tuple[float, float, float]
    """RGB 0-255."""
    width: float
    """Half a lens; so is height."""
    height: float
    drop: float
    """How far the lenses hang below the eyes."""
    squareness: float
    """0 an ellipse, 1 a rectangle."""
    thickness: float
    lower_rim: bool
    tint: float
    """0 clear, 1 dark."""
    glare: float
    """Strength of a window's reflection, 0-1."""
    upper_rim: bool = True
    """Without either rim the lenses show only by their edges."""
    sag: float = 0.0
    """1 = aviators: lenses hang low on the outside."""
    shadow: float = 0.0
    """What the frame takes of the light on the skin below it, 0-1."""

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Self:
        shade = rng.uniform(5, 70) if rng.random() < 0.7 else rng.uniform(60, 200)
        colour = (shade * rng.uniform(0.8, 1.2, 3)).clip(0, 255)
        # rectangles, rounded ones, circles, aviators
        shape = rng.choice(4, p=(0.35, 0.35, 0.15, 0.15))
        squareness, flat, tall = ((0.85, 0.5, 0.8), (0.5, 0.6, 0.9), (0.0, 0.85, 1.0), (0.3, 0.75, 0.9))[shape]
        width, kind = rng.uniform(0.34, 0.43), rng.random()
        return cls(
            colour=(float(colour[0]), float(colour[1]), float(colour[2])),
            width=float(width),
            height=float(width * rng.uniform(flat, tall)),
            drop=float(rng.uniform(0.02, 0.1)),
            squareness=squareness,
            thickness=float(rng.uniform(0.015, 0.06)),
            lower_rim=bool(kind < 0.75),
            tint=float(rng.uniform(0, 0.25)) if rng.random() < 0.85 else float(rng.uniform(0.3, 0.8)),
            glare=float(rng.uniform(0.05, 0.6)) if rng.random() < 0.45 else 0.0,
            upper_rim=bool(kind < 0.9),
            sag=float(rng.uniform(0.6, 1)) if shape == 3 else 0.0,
            shadow=float(rng.uniform(0, 0.4)),
        )


def glasses(image: UInt8, landmarks: Float32, style: GlassesStyle) -> UInt8:
    """(s, s, 3) with spectacles: a frame in space, seen as the landmarks (68, 2) say that the head is."""
    out = np.ascontiguousarray(image).copy()
    to_picture, scale = _view(landmarks)
    if scale * _IPD < 4:
        return out
    lenses = [to_picture(_lens(style, side)) for side in (-1, 1)]
    ink, thick = np.zeros(out.shape[:2], np.uint8), max(1, round(style.thickness * _IPD * scale))
    for arm in _arms(style, landmarks, to_picture):
        cv2.polylines(ink, [fixed(arm)], False, 255, thick, cv2.LINE_AA, SHIFT)
    reach = max(style.width * _IPD * 0.25, 0.3)
    bridge = np.array([(-reach, 0.25, 3.4), (0, 0.45, 3.6), (reach, 0.25, 3.4)], np.float32)
    bridge[:, 1] -= style.drop * _IPD
    cv2.polylines(ink, [fixed(to_picture(bridge))], False, 255, thick, cv2.LINE_AA, SHIFT)
    glass = np.zeros_like(ink)
    for lens in lenses:
        cv2.fillPoly(glass, [fixed(lens)], 255, cv2.LINE_AA, SHIFT)
        if style.upper_rim:
            upper = lens if style.lower_rim else lens[: len(lens) // 2 + 1]
            cv2.polylines(ink, [fixed(upper)], style.lower_rim, 255, thick, cv2.LINE_AA, SHIFT)
        if not style.lower_rim:
            cv2.polylines(ink, [fixed(lens)], True, 90, 1, cv2.LINE_AA, SHIFT)
    x, y, width, height = cv2.boundingRect(cv2.max(ink, glass))
    pad = round(scale) + 2
    part = (slice(max(y - pad, 0), y + height + pad), slice(max(x - pad, 0), x + width + pad))
    out[part] = _worn(out[part], ink[part], glass[part], _reflection(style, glass, to_picture)[part], style, scale)
    return out


def _view(landmarks: Float32) -> tuple[_ToPicture, float]:
    """How head space comes to lie in the picture, an affine camera fitted to six places; and pixels a centimetre, of
    lengths that a turn of the head leaves alone."""
    eyes = np.stack([landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)])
    places = np.concatenate([eyes, landmarks[[0, 16, 27, 30]]])
    model = np.column_stack([_MODEL, np.ones(len(_MODEL), np.float32)])
    camera = np.linalg.lstsq(model * _WEIGHTS[:, None], places * _WEIGHTS[:, None], rcond=None)[0]
    camera[3] += (eyes - model[:2] @ camera).mean(axis=0)  # faces differ from the model, glasses sit on the eyes
    scale = float(np.sqrt((camera[:3] ** 2).sum() / 2))  # rows of a rotation have length 1
    return lambda points: points @ camera[:3] + camera[3], scale


def _lens(style: GlassesStyle, side: int) -> Float32:
    """(48, 3) outline of the lens of the subject's right (-1) or left (1) eye, upper half first; between ellipse and
    rectangle, bent round the face and tilted towards the cheeks."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    power = 1 - 0.75 * style.squareness
    x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    lower = np.maximum(-y, 0)
    x, y = x * (1 - 0.12 * style.sag * lower) + 0.14 * style.sag * lower, y * (1 + 0.25 * style.sag * lower)
    return _on_frame(side * (_centre(style) + x * style.width * _IPD), (y * style.height - style.drop) * _IPD - 0.5)


def _centre(style: GlassesStyle) -> float:
    """Centimetres from the middle of the face to that of a lens: its own half width and half a bridge, or the eye."""
    return max(_IPD / 2, style.width * _IPD + 0.8)


def _on_frame(x: NDArray[Any], y: NDArray[Any]) -> Float32:
    """(n, 3) at x and y of the bent and tilted plane that the lenses lie in."""
    return np.column_stack([x, y, 3.3 - 0.05 * x**2 + 0.12 * y]).astype(np.float32)


def _arms(style: GlassesStyle, landmarks: Float32, to_picture: _ToPicture) -> list[NDArray[Any]]:
    """Temple arms, (3, 2) pixels each, of those sides of the head that can be seen: where the ear lies outside."""
    seen = []
    for side in (-1, 1):
        outside = side * (_centre(style) + style.width * _IPD)
        hinge = _on_frame(np.array([outside]), np.array([0.4 * style.height * _IPD - 0.5]))[0]
        corner = np.array([side * 7.1, hinge[1] + 0.1, hinge[2] - 1.2], np.float32)
        ear = _MODEL[2 if side < 0 else 3]
        arm = to_picture(np.stack([hinge, corner, ear + _BEHIND]))
        astray = landmarks[0 if side < 0 else 16] - to_picture(ear[None])[0]
        arm += np.outer([0, 0.3, 1], astray)  # this face's ears are not quite the model's
        inwards = to_picture(np.array([[0, hinge[1], hinge[2]]]))[0] - arm[0]
        if (arm[2] - arm[0]) @ inwards < 0:
            seen.append(arm)
    return seen


def _reflection(style: GlassesStyle, glass: UInt8, to_picture: _ToPicture) -> UInt8:
    """(s, s) how much of a window each lens mirrors, 255 = glare as strong as the style's."""
    panes = np.zeros_like(glass)
    if style.glare:
        w, h = style.width * _IPD, style.height * _IPD
        for side in (-1, 1):
            x = side * _centre(style) + np.array([-0.75, 0.1, 0.3, -0.55]) * w
            y = np.array([0.75, 0.75, -0.3, -0.3]) * h - 0.5
            cv2.fillConvexPoly(panes, fixed(to_picture(_on_frame(x, y))), 255, cv2.LINE_AA, SHIFT)
        panes = cv2.max(cv2.GaussianBlur(panes, (0, 0), 1.5), glass // 6)
    return cv2.min(panes, glass)


def _worn(image: UInt8, ink: UInt8, glass: UInt8, mirror: UInt8, style: GlassesStyle, scale: float) -> UInt8:
    """The frame's shadow, then what the lenses do to what is behind them, then the frame."""
    frame, lens, glare = (mask[..., None].astype(np.float32) / 255 for mask in (ink, glass, mirror))
    fallen = np.array([[1, 0, 0], [0, 1, 0.35 * scale]], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(ink, fallen, ink.shape[::-1]), (0, 0), max(0.15 * scale, 0.6))
    x = image * (1 - style.shadow * shadow[..., None].astype(np.float32) / 255) * (1 - 0.75 * style.tint * lens)
    x += (235 - x) * glare * np.float32(style.glare)
    x += (np.array(style.colour, np.float32) - x) * frame
    worn: UInt8 = x.clip(0, 255).astype(np.uint8)
    return worn
