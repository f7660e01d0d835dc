"""What cameras and codecs do to a picture of a face; what stands before it is in ``in_front``.

Enters: an RGB picture. Leaves: the same picture, worse; every point of the face stays where it was, so labels and
landmarks stay true.
"""

from __future__ import annotations

import cv2
import numpy as np

from rtatl_core.handoffs import Float32, UInt8

CONTRAST, GREY, VIGNETTE, BLOOM, NOISE, FLICKER, COMBING, JPEG, TWICE = 0.3, 0.2, 0.2, 0.08, 0.6, 0.05, 0.03, 0.7, 0.15
"""How often each fault occurs; TWICE is the share of coded pictures that were coded before, on another grid."""
OUT_OF_FOCUS, MOVED, SMALL, SHARPENED = 0.33, 0.1, 0.22, 0.12
"""At most one of these."""


def degrade(image: UInt8, rng: np.random.Generator) -> UInt8:
    """(s, s, 3) RGB -> the same picture as a webcam, a phone or a codec would hand it over."""
    x = _exposure(image, rng)
    if rng.random() < BLOOM:
        x = _bloom(x, rng)
    x = _sharpness(x, rng)
    if rng.random() < NOISE:
        x = _noise(x, rng)
    if rng.random() < FLICKER:
        x = _flicker(x, rng)
    out = x.clip(0, 255, out=x).astype(np.uint8)
    if rng.random() < COMBING:
        out = _combing(out, rng)
    if rng.random() < JPEG:
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
    contrast = rng.uniform(0.65, 1.3) if rng.random() < CONTRAST else 1.0
    middle = image.mean() / 255
    tables = [255 * (((level * gain).clip(0, 1) ** gamma - middle) * contrast + middle) for gain in gains]
    lut = np.stack(tables, axis=-1).reshape(1, 256, 3).astype(np.float32)
    x: Float32 = cv2.LUT(image, lut)
    if rng.random() < GREY:
        share = rng.uniform(0.3, 1)
        grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None]
        x = x * np.float32(1 - share) + grey * np.float32(share)
    if rng.random() < VIGNETTE:
        axis = np.linspace(-1, 1, len(x), dtype=np.float32) ** 2
        x *= (1 - np.float32(rng.uniform(0.05, 0.35)) * (axis[:, None] + axis[None, :]) / 2)[..., None]
    return x


def _bloom(x: Float32, rng: np.random.Generator) -> Float32:
    """Bright places spread over what is beside them: a lens with fingerprints."""
    quarter = (len(x) // 4, len(x) // 4)
    bright = cv2.resize(x, quarter, interpolation=cv2.INTER_AREA) - np.float32(rng.uniform(150, 210))
    spread = cv2.GaussianBlur(bright.clip(0, None), (0, 0), len(x) * rng.uniform(0.008, 0.03))
    return x + cv2.resize(spread, x.shape[1::-1], interpolation=cv2.INTER_LINEAR) * np.float32(rng.uniform(0.4, 1.5))


def _sharpness(x: Float32, rng: np.random.Generator) -> Float32:
    """At most one of: out of focus, moved, too few pixels, sharpened."""
    kind, side = rng.random(), len(x)
    if kind < (bound := OUT_OF_FOCUS):
        return cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.6))
    if kind < (bound := bound + MOVED):
        return cv2.filter2D(x, -1, _streak(rng.uniform(1, 4.5), rng.uniform(0, np.pi)))
    if kind < (bound := bound + SMALL):
        fewer = round(side * rng.uniform(0.3, 0.9))  # as a size: by factors, OpenCV would stretch the picture
        how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST_EXACT)[rng.choice(3, p=(0.5, 0.42, 0.08))]
        return cv2.resize(cv2.resize(x, (fewer, fewer), interpolation=cv2.INTER_AREA), (side, side), interpolation=how)
    if kind < bound + SHARPENED:
        return x + (x - cv2.GaussianBlur(x, (0, 0), 1.5)) * np.float32(rng.uniform(0.2, 1.1))
    return x


def _streak(length: float, angle: float) -> Float32:
    kernel = np.zeros((11, 11), np.float32)
    for step in np.linspace(-length / 2, length / 2, 15):
        row, column = 5 + step * np.sin(angle), 5 + step * np.cos(angle)
        kernel[round(row), round(column)] += 1
    return kernel / kernel.sum()


def _noise(x: Float32, rng: np.random.Generator) -> Float32:
    """Stronger in the dark, as shot and read noise are after gamma; often smeared or in coarse grains, as denoisers
    leave it."""
    height, width = x.shape[:2]
    kind, strength = rng.random(), float(rng.uniform(0.5, 9))
    coarse = kind < 0.3
    draw = np.empty(((height + 1) // 2, (width + 1) // 2, 3) if coarse else x.shape, np.float32)
    cv2.setRNGSeed(int(rng.integers(1 << 31)))
    cv2.randn(draw, 0, strength * (0.7 if coarse else 1))
    if coarse:
        draw = cv2.resize(draw, (width, height), interpolation=cv2.INTER_LINEAR)
    elif kind < 0.55:
        draw = cv2.GaussianBlur(draw, (3, 3), 0.7)
    weight = x * np.float32(-1 / 510)
    weight += np.float32(1.25)
    weight *= draw
    weight += x
    return weight


def _flicker(x: Float32, rng: np.random.Generator) -> Float32:
    """Bright and dark bands: lamps on mains, a rolling shutter."""
    phase = np.arange(len(x), dtype=np.float32) / len(x) * np.float32(rng.uniform(1, 4)) + np.float32(rng.random())
    bands: Float32 = 1 + np.float32(rng.uniform(0.03, 0.12)) * np.sin(2 * np.pi * phase)
    return x * bands[:, None, None]


def _combing(image: UInt8, rng: np.random.Generator) -> UInt8:
    """Two interlaced fields of a head that moves: odd rows ahead, even rows behind by as much."""
    half, out = rng.uniform(0.25, 1.0), np.empty_like(image)
    for first, shift in ((0, -half), (1, half)):
        move = np.array([[1, 0, shift], [0, 1, 0]], np.float32)
        out[first::2] = cv2.warpAffine(image, move, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)[first::2]
    return out


def _compress(image: UInt8, rng: np.random.Generator) -> UInt8:
    quality = int(rng.integers(25, 96))
    if rng.random() < TWICE:  # a video codec's blocks on top of the camera's: another grid
        shift = int(rng.integers(1, 8))
        padded = cv2.copyMakeBorder(image, shift, 0, shift, 0, cv2.BORDER_REPLICATE)
        image = _jpeg(padded, quality)[shift:, shift:]
    return _jpeg(image, quality)


def _jpeg(image: UInt8, quality: int) -> UInt8:
    """Coded and decoded, colours at half the resolution; in OpenCV's own order of channels, lest red and blue swap
    their weights in the brightness that is kept sharp."""
    coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded: UInt8 = cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return decoded
