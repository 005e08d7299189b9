"""From the canvas to the photograph: light, relief, vignetting, focus and sensor noise."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from datasets.dermsynth.canvas import Canvas, encoded
from datasets.dermsynth.fields import Field, grid, noise


def illuminate(rng: np.random.Generator, canvas: Canvas) -> Field:
    """Computes linear RGB of the canvas under a lamp from one side, (H, W, 3)."""
    side = canvas.side
    angle, slant = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 2.4)
    down, right = np.gradient(canvas.height * side)
    facing = slant * (down * np.sin(angle) + right * np.cos(angle))
    shade = np.clip(1 + facing, 0.35, 1.5)
    mirror = np.clip(canvas.gloss, 0, None) * np.clip(facing - 0.18, 0, 0.8)
    light = canvas.color() * shade[..., None] + mirror[..., None]
    return light * _lamp(rng, side)[..., None] * np.exp(0.03 * rng.standard_normal(3))


def _lamp(rng: np.random.Generator, side: int) -> Field:
    """Computes the illumination, (H, W): a gradient, soft shadows and fall-off to the corners."""
    rows, columns = grid(side)
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.45)
    tilt = slope * ((rows - 0.5) * np.sin(angle) + (columns - 0.5) * np.cos(angle))
    dark_corners = rng.uniform(0.6, 1.4) if rng.random() < 0.3 else rng.uniform(0.0, 0.4)
    falloff = dark_corners * ((rows - 0.5) ** 2 + (columns - 0.5) ** 2)
    exposure = np.exp(0.08 * rng.standard_normal())
    return np.asarray(exposure * np.clip(1 + tilt + 0.05 * noise(rng, side, 0.6) - falloff, 0.15, None))


def expose(rng: np.random.Generator, light: Field) -> NDArray[np.uint8]:
    """Computes the photograph of linear light, slightly out of focus and with sensor noise.

    Args:
        rng: Source of randomness.
        light: Linear RGB, (H, W, 3), at least 0.

    Returns:
        SRGB, (H, W, 3), uint8.
    """
    side = len(light)
    blur = rng.uniform(0.35, 0.9) * side / 192
    seen = ndimage.gaussian_filter(encoded(light), (blur, blur, 0), truncate=3)
    grain = rng.uniform(0.004, 0.014) * rng.standard_normal(light.shape)
    return np.floor(np.clip(seen + grain, 0, 1) * 255 + 0.5).astype(np.uint8)
