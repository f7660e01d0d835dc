"""What cameras, codecs and things in the way do to a picture of a face. Labels and places stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32, UInt8

_EYES = (slice(36, 42), slice(42, 48))


def degrade(image: UInt8, rng: np.random.Generator) -> UInt8:
    """(s, s, 3) RGB -> the same picture as a webcam, a phone or a codec would hand it over."""
    x = _exposure(image, rng)
    x = _sharpness(x, rng)
    if rng.random() < 0.6:
        x = _noise(x, rng)
    out = x.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        out = _compress(out, rng)
    return out


def _exposure(image: UInt8, rng: np.random.Generator) -> Float32:
    """Gain, white balance, gamma and contrast as one table for each channel; grey and vignette now and then."""
    level = np.arange(256, dtype=np.float32) / 255
    quarter = len(image) // 4
    face = float(image[quarter:-quarter, quarter:-quarter].mean())
    metered = (100 / max(face, 8)) ** rng.uniform(0.4, 0.95)  # cameras expose for what is in the middle
    gains = np.clip(metered, 0.5, 4) * rng.uniform(0.8, 1.25) * (1 + rng.normal(0, 0.045, 3))
    gamma = np.exp(rng.uniform(np.log(0.7), np.log(1.42)))
    contrast = rng.uniform(0.65, 1.3) if rng.random() < 0.3 else 1.0
    middle = image.mean() / 255
    tables = [255 * (((level * gain).clip(0, 1) ** gamma - middle) * contrast + middle) for gain in gains]
    lut = np.stack(tables, axis=-1).reshape(1, 256, 3).astype(np.float32)
    x: Float32 = cv2.LUT(image, lut)
    if rng.random() < 0.2:
        share = rng.uniform(0.3, 1)
        grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None]
        x = x * np.float32(1 - share) + grey * np.float32(share)
    if rng.random() < 0.2:
        axis = np.linspace(-1, 1, len(x), dtype=np.float32) ** 2
        x *= (1 - np.float32(rng.uniform(0.05, 0.35)) * (axis[:, None] + axis[None, :]) / 2)[..., None]
    return x


def _sharpness(x: Float32, rng: np.random.Generator) -> Float32:
    """At most one of: out of focus, moved, too few pixels, sharpened."""
    kind, side = rng.random(), len(x)
    if kind < 0.33:
        return cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.6))
    if kind < 0.43:
        return cv2.filter2D(x, -1, _streak(rng.uniform(1, 4.5), rng.uniform(0, np.pi)))
    if kind < 0.65:
        small = cv2.resize(x, None, fx=(share := rng.uniform(0.3, 0.9)), fy=share, interpolation=cv2.INTER_AREA)
        how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)[rng.choice(3, p=(0.5, 0.42, 0.08))]
        return cv2.resize(small, (side, side), interpolation=how)
    if kind < 0.77:
        return x + (x - cv2.GaussianBlur(x, (0, 0), 1.5)) * np.float32(rng.uniform(0.2, 1.1))
    return x


def _streak(length: float, angle: float) -> Float32:
    kernel = np.zeros((11, 11), np.float32)
    for step in np.linspace(-length / 2, length / 2, 15):
        row, column = 5 + step * np.sin(angle), 5 + step * np.cos(angle)
        kernel[round(row), round(column)] += 1
    return kernel / kernel.sum()


def _noise(x: Float32, rng: np.random.Generator) -> Float32:
    """Stronger in the dark after gamma, half of the time smeared as by a denoiser."""
    draw = np.empty(x.shape, np.float32)
    cv2.setRNGSeed(int(rng.integers(1 << 31)))
    cv2.randn(draw, 0, float(rng.uniform(0.5, 9)))
    if rng.random() < 0.5:
        draw = cv2.GaussianBlur(draw, (0, 0), 0.7)
    return x + draw * (1.25 - x / 510)


def _compress(image: UInt8, rng: np.random.Generator) -> UInt8:
    quality = int(rng.integers(25, 96))
    if rng.random() < 0.15:  # a video codec's blocks on top of the camera's: another grid
        shift = int(rng.integers(1, 8))
        padded = cv2.copyMakeBorder(image, shift, 0, shift, 0, cv2.BORDER_REPLICATE)
        image = _jpeg(padded, quality)[shift:, shift:]
    return _jpeg(np.ascontiguousarray(image), quality)


def _jpeg(image: UInt8, quality: int) -> UInt8:
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded: UInt8 = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return decoded


def occlude(image: UInt8, landmarks: Float32, rng: np.random.Generator) -> UInt8:
    """Something in front of the face: fingers, hair strands, a mug, a microphone. landmarks: (68, 2) pixels."""
    image = np.ascontiguousarray(image).copy()
    size = float(np.linalg.norm(landmarks[16] - landmarks[0]))
    kind = rng.random()
    at = landmarks[rng.integers(68)] + rng.normal(0, 0.08 * size, 2)
    if kind < 0.35:
        _fingers(image, at, size, landmarks, rng)
    elif kind < 0.65:
        for _ in range(int(rng.integers(2, 9))):
            start = landmarks[rng.integers(17, 27)] + [rng.normal(0, 0.15 * size), -0.4 * size]
            bend = start + [rng.normal(0, 0.15 * size), 0.4 * size]
            end = bend + [rng.normal(0, 0.1 * size), rng.uniform(0.1, 0.5) * size]
            curve = np.stack([start, (start + bend) / 2 + rng.normal(0, 0.03 * size, 2), bend, end])
            shade = rng.uniform(10, 90)
            colour = [shade, shade * 0.8, shade * 0.65]
            cv2.polylines(image, [curve.round().astype(np.int32)], False, colour, int(rng.integers(1, 3)), cv2.LINE_AA)
    else:
        axes = rng.uniform(0.08, 0.3, 2) * size
        blob = np.zeros(image.shape[:2], np.float32)
        cv2.ellipse(
            blob, at.round().astype(int).tolist(), axes.astype(int).tolist(), rng.uniform(0, 180), 0, 360, 1, -1
        )
        blob = cv2.GaussianBlur(blob, (0, 0), 1.2)[..., None]
        texture = cv2.resize(
            rng.normal(size=(8, 8)).astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_CUBIC
        )
        colour = rng.uniform(10, 240, 3) + texture[..., None] * 12
        image = (image * (1 - blob) + colour * blob).clip(0, 255).astype(np.uint8)
    return image


def _fingers(image: UInt8, at: NDArray[Any], size: float, landmarks: Float32, rng: np.random.Generator) -> None:
    """Skin-coloured strokes side by side, of this picture's own skin."""
    cheek = landmarks[2] * 0.55 + landmarks[30] * 0.45
    x, y = cheek.round().astype(int).clip(2, len(image) - 3)
    skin = image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0)
    angle = rng.uniform(0.2, np.pi - 0.2)
    along, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    width = rng.uniform(0.07, 0.1) * size
    for finger in range(int(rng.integers(1, 5))):
        tip = at + aside * finger * width * 1.05 - along * rng.uniform(0, 0.08) * size
        root = tip + along * 1.5 * size
        for scale, shade in ((1.0, 0.75), (0.82, 1.0)):
            colour = (skin * shade * rng.uniform(0.92, 1.05)).clip(0, 255).tolist()
            ends = [point.round().astype(int).tolist() for point in (tip, root)]
            cv2.line(image, *ends, colour, max(1, round(width * scale)), cv2.LINE_AA)


@dataclass(frozen=True, slots=True)
class GlassesStyle:
    """Fixed for a person. Lengths in units of the distance between the eyes."""

    colour: tuple[float, float, float]
    width: float
    height: float
    drop: float
    squareness: float
    """0 an ellipse, 1 a rectangle."""
    thickness: float
    lower_rim: bool
    tint: float
    glare: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Self:
        shade = rng.uniform(5, 70) if rng.random() < 0.7 else rng.uniform(60, 200)
        colour = (shade * rng.uniform(0.8, 1.2, 3)).clip(0, 255)
        width = rng.uniform(0.34, 0.44)
        return cls(
            colour=(float(colour[0]), float(colour[1]), float(colour[2])),
            width=float(width),
            height=float(width * rng.uniform(0.6, 1.0)),
            drop=float(rng.uniform(0.02, 0.1)),
            squareness=float(rng.choice([0.0, 0.5, 0.85])),
            thickness=float(rng.uniform(0.015, 0.06)),
            lower_rim=bool(rng.random() < 0.8),
            tint=float(rng.uniform(0, 0.3)) if rng.random() < 0.8 else float(rng.uniform(0.3, 0.7)),
            glare=float(rng.uniform(0, 0.5)) if rng.random() < 0.5 else 0.0,
        )


def glasses(image: UInt8, landmarks: Float32, style: GlassesStyle) -> UInt8:
    """Spectacles on the eyes' own axis, each lens as wide as its side of the face is seen. landmarks: (68, 2)."""
    out = np.ascontiguousarray(image).copy()
    right, left = (landmarks[eye].mean(axis=0) for eye in _EYES)
    bridge, tip = landmarks[27], landmarks[33]
    distance = float(np.linalg.norm(left - right))
    if distance < 4:
        return out
    down = (tip - bridge) / max(float(np.linalg.norm(tip - bridge)), 1e-3)
    lens = np.zeros(out.shape[:2], np.uint8)
    rims, inner = [], []
    for eye, ear in ((right, landmarks[0]), (left, landmarks[16])):
        inwards = (bridge - eye) / 0.5  # foreshortened as this side of the face is
        share = float(np.linalg.norm(inwards))
        across = inwards / max(share, 1e-3)
        centre = eye + down * style.drop * distance
        rim = _rim(centre, across * style.width * share, down * style.height * distance, style.squareness)
        cv2.fillPoly(lens, [rim], 255, cv2.LINE_AA)
        rims.append(rim)
        inner.append(centre + across * style.width * share)
        outer = centre - across * style.width * share
        temple = [point.round().astype(int).tolist() for point in (outer, ear * 0.8 + outer * 0.2)]
        cv2.line(out, *temple, style.colour, _thick(style, distance), cv2.LINE_AA)
    seen = lens[..., None].astype(np.float32) / 255
    glare = cv2.GaussianBlur(seen, (0, 0), 0.08 * distance)[..., None] * seen * style.glare
    out = (out * (1 - style.tint * 0.6 * seen) * (1 - glare) + 235 * glare).clip(0, 255).astype(np.uint8)
    for rim in rims:
        drawn = rim if style.lower_rim else rim[rim[:, 1] <= rim[:, 1].mean()]
        cv2.polylines(out, [drawn], style.lower_rim, style.colour, _thick(style, distance), cv2.LINE_AA)
    ends = [point.round().astype(int).tolist() for point in inner]
    cv2.line(out, *ends, style.colour, _thick(style, distance), cv2.LINE_AA)
    return out


def _thick(style: GlassesStyle, distance: float) -> int:
    return max(1, round(style.thickness * distance))


def _rim(centre: NDArray[Any], across: NDArray[Any], down: NDArray[Any], squareness: float) -> NDArray[np.int32]:
    """A superellipse between ellipse and rectangle."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    power = 1 - 0.75 * squareness
    x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    return (centre + x[:, None] * across + y[:, None] * down * 0.9).round().astype(np.int32)
