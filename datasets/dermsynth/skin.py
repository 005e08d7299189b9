"""Healthy skin: tone, mottling, fine lines, pores and in some images an edge with cloth behind it."""

import numpy as np
from scipy import ndimage

from datasets.dermsynth.canvas import Canvas
from datasets.dermsynth.fields import Field, Region, fractal, grid, noise, step
from datasets.dermsynth.plan import Patient

LINES = {"young": 0.6, "adult": 1.0, "elderly": 1.6}


def ground(rng: np.random.Generator, side: int, patient: Patient) -> Canvas:
    """Draws the healthy skin of a patient. In some images, cloth is visible at an edge."""
    melanin = patient.melanin * (1 + 0.09 * fractal(rng, side, 0.5, gain=0.7) + 0.05 * fractal(rng, side, 0.06))
    flush = rng.uniform(0.1, 0.3)
    blood = flush * (1 + 0.2 * fractal(rng, side, 0.35) + 0.1 * noise(rng, side, 0.02))
    height = relief(rng, side) * LINES[patient.age]
    return Canvas(
        skin=_outline(rng, side),
        melanin=np.clip(melanin, 0.02, None),
        blood=np.clip(blood, 0.02, None),
        height=height,
        gloss=np.full((side, side), rng.uniform(0.0, 0.25)) * (1 + 0.5 * noise(rng, side, 0.15)),
        bare=np.ones((side, side)),
        coat=np.zeros((side, side, 3)),
    )


def relief(rng: np.random.Generator, side: int) -> Field:
    """Draws crossing fine lines and pores, (H, W), as a fraction of the side."""
    rows, columns = grid(side)
    size = rng.uniform(0.016, 0.04)
    angle = rng.uniform(0, np.pi)
    lines = np.zeros((side, side))
    for turn in (0.0, rng.uniform(0.9, 1.6)):
        across = rows * np.cos(angle + turn) + columns * np.sin(angle + turn)
        waves = np.sin(2 * np.pi * across / size + 1.8 * fractal(rng, side, 4 * size, octaves=3))
        lines -= np.exp(-4 * (1 - waves)) * np.clip(1 + 0.5 * noise(rng, side, 0.15), 0, None)
    pores = np.clip(noise(rng, side, 0.018) - 1.3, 0, None)
    return size * np.exp(rng.uniform(-1.4, 0.1)) * (
        0.02 * lines + 0.012 * fractal(rng, side, 0.04)
    ) - 0.0004 * pores * rng.uniform(0.2, 1.5)


def _outline(rng: np.random.Generator, side: int) -> Region:
    """Draws the mask of the skin: everything, or one side of a curved edge."""
    rows, columns = grid(side)
    angle, gap, present = rng.uniform(0, 2 * np.pi), rng.uniform(0.22, 0.42), rng.random() < 0.25
    bulge, wave = rng.uniform(-0.2, 0.5), 0.02 * noise(rng, side, 0.5)
    along = (rows - 0.5) * np.sin(angle) + (columns - 0.5) * np.cos(angle)
    across = (rows - 0.5) * np.cos(angle) - (columns - 0.5) * np.sin(angle)
    inside: Region = along + bulge * across**2 + wave < gap
    return inside if present else np.ones_like(inside)


def cloth(rng: np.random.Generator, side: int) -> Field:
    """Draws the cloth behind the patient, as linear RGB (H, W, 3)."""
    blue, green, gray, black = (0.05, 0.13, 0.28), (0.05, 0.16, 0.12), (0.35, 0.36, 0.38), (0.02, 0.02, 0.025)
    color = np.array((blue, green, gray, black)[rng.integers(4)])
    rows, columns = grid(side)
    weave = 0.05 * np.sin(2 * np.pi * 48 * rows) * np.sin(2 * np.pi * 48 * columns)
    folds = 0.25 * noise(rng, side, 0.4, stretch=2.0)
    return np.clip(1 + weave + folds, 0.2, None)[..., None] * color


def add_background(rng: np.random.Generator, light: Field, skin: Region) -> Field:
    """Adds the cloth behind the skin, and shades the skin towards its edge.

    Args:
        rng: Source of randomness.
        light: Linear RGB of the skin, (H, W, 3).
        skin: Mask of the skin, (H, W).

    Returns:
        Linear RGB, (H, W, 3).
    """
    side = len(skin)
    behind = cloth(rng, side)
    if skin.all():
        return light
    inside = (ndimage.distance_transform_edt(skin) - 0.5) / side
    outside = (ndimage.distance_transform_edt(~skin) - 0.5) / side
    rounded = 1 - 0.6 * np.exp(-np.clip(inside, 0, None) / 0.05)
    shadow = 1 - 0.6 * np.exp(-np.clip(outside, 0, None) / 0.04)
    alpha = step(inside - np.clip(outside, 0, None), 1.5 / side)[..., None]
    return np.asarray(light * rounded[..., None] * alpha + behind * shadow[..., None] * (1 - alpha))
