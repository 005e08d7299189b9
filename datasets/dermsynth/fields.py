"""Random fields and shapes on the unit square, from which skin and lesions are made.

Lengths are fractions of the side of the image, and random numbers never depend on the side. The same stream gives the
same image at every resolution. All arrays are float64, because an ulp of float32 can flip a rounded pixel.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float64]
Region = NDArray[np.bool_]
Point = tuple[float, float]
Window = tuple[slice, slice]

SPLINE_SD = 0.479  # standard deviation of a cubic B-spline sum over unit white noise, along one axis


@lru_cache(maxsize=16)
def grid(side: int) -> tuple[Field, Field]:
    """Returns row and column of the pixel centers, (H, 1) and (1, W), in (0, 1)."""
    axis = (np.arange(side) + 0.5) / side
    return axis[:, None], axis[None, :]


@lru_cache(maxsize=256)
def _taps(side: int, cells: int) -> tuple[NDArray[np.int64], Field]:
    """Returns the first of the four knots of a pixel, (side,), and their cubic B-spline weights, (4, side)."""
    at = (np.arange(side) + 0.5) / side * cells
    first = np.floor(at).astype(np.int64)
    t = at - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3])
    return first, weights / 6


def _spread(knots: Field, side: int) -> Field:
    """Interpolates (cells + 3, n) knots to (side, n) pixels. A matrix product would differ between BLAS libraries."""
    first, weights = _taps(side, len(knots) - 3)
    spread = weights[0][:, None] * knots[first]
    for tap in (1, 2, 3):
        spread += weights[tap][:, None] * knots[first + tap]
    return spread


def noise(rng: np.random.Generator, side: int, cell: float, *, stretch: float = 1.0) -> Field:
    """Draws smooth noise of mean 0 and standard deviation about 1.

    Args:
        rng: Source of randomness.
        side: Side of the image in pixels.
        cell: Size of a feature from top to bottom, in (0, 1].
        stretch: Ratio of width to height of a feature.

    Returns:
        The noise, (H, W).
    """
    rows, columns = max(1, round(1 / cell)), max(1, round(1 / (cell * stretch)))
    knots = rng.standard_normal((rows + 3, columns + 3))
    return _spread(_spread(knots.T, side).T, side) / SPLINE_SD**2


def fractal(rng: np.random.Generator, side: int, cell: float, *, octaves: int = 4, gain: float = 0.6) -> Field:
    """Draws a sum of noise of several sizes, (H, W), of mean 0 and standard deviation about 1."""
    weights = gain ** np.arange(octaves)
    layers = sum(weight * noise(rng, side, cell / 2**octave) for octave, weight in enumerate(weights))
    return np.asarray(layers) / np.sqrt(np.sum(weights**2))


def step(value: Field, width: float) -> Field:
    """Computes a smooth step from 0 to 1. It is 1/2 where the value is 0 and reaches 1 at `width`."""
    ramp = np.clip(0.5 + 0.5 * value / width, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def region(
    rng: np.random.Generator, side: int, center: Point, radius: float, *, soft: float = 0.1, ragged: float = 0.2
) -> Field:
    """Draws a large irregular shape.

    Args:
        rng: Source of randomness.
        side: Side of the image in pixels.
        center: Row and column of the middle.
        radius: Mean radius.
        soft: Width of the edge as a fraction of the radius.
        ragged: Deviation of the edge from an ellipse, as a fraction of the radius.

    Returns:
        Opacity, (H, W), in [0, 1]. The edge is where it is 1/2.
    """
    rows, columns = grid(side)
    angle, flat = rng.uniform(0, np.pi), rng.uniform(0.7, 1.0)
    dy, dx = rows - center[0], columns - center[1]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    distance = np.hypot(along * np.sqrt(flat), across / np.sqrt(flat)) / radius
    bumps = noise(rng, side, min(1.0, radius * 0.9)) + 0.35 * fractal(rng, side, min(1.0, radius * 0.3), octaves=3)
    return step(1 - distance + ragged * bumps, soft)


def spot(
    rng: np.random.Generator, side: int, center: Point, radius: float, *, soft: float = 0.3
) -> tuple[Window, Field]:
    """Draws a small roundish shape within its window.

    Args:
        rng: Source of randomness.
        side: Side of the image in pixels.
        center: Row and column of the middle.
        radius: Mean radius.
        soft: Width of the edge as a fraction of the radius.

    Returns:
        Window into (H, W), possibly without pixels, and the opacity in it, in [0, 1].
    """
    rows, columns = grid(side)
    flat, lobes, phase = rng.uniform(0.75, 1.0), rng.integers(2, 5), rng.uniform(0, 2 * np.pi)
    reach = radius * (1.35 + soft) + 1 / side
    at = _window(side, center[0], reach), _window(side, center[1], reach)
    dy, dx = rows[at[0]] - center[0], columns[:, at[1]] - center[1]
    angle = np.arctan2(dy, dx)
    edge = radius * (1 + 0.1 * np.sin(lobes * angle + phase))
    distance = np.hypot(dy * flat, dx / flat) / edge
    # The edge is at least about a pixel wide. Otherwise small spots would be jagged.
    return at, step(1 - distance, max(soft, 0.6 / (radius * side)))


def _window(side: int, middle: float, reach: float) -> slice:
    start = int(np.clip(np.floor((middle - reach) * side), 0, side))
    return slice(start, int(np.clip(np.ceil((middle + reach) * side), start, side)))


def wander(rng: np.random.Generator, start: Point, length: float, *, bend: float = 3.0, turn: float = 0.0) -> Field:
    """Draws a curved path.

    Args:
        rng: Source of randomness.
        start: Row and column of the first point.
        length: Length of the path.
        bend: Change of direction along the path, in radians per unit of length.
        turn: Step-wise change of direction, for vessels that twist.

    Returns:
        Points along the path, (points, 2), 800 per unit of length.
    """
    points = max(2, round(800 * length))
    heading = rng.uniform(0, 2 * np.pi) + np.linspace(0, bend * rng.standard_normal() * length, points)
    heading = heading + turn * np.cumsum(rng.standard_normal(points)) / np.sqrt(800)
    steps = np.stack([np.sin(heading), np.cos(heading)], axis=1) / 800
    return np.asarray(start) + np.cumsum(steps, axis=0)


def strokes(side: int, paths: list[Field], width: float) -> Field:
    """Draws paths of 800 points per unit of length as lines.

    Returns:
        Opacity, (H, W), in [0, 1]. Lines thinner than a pixel are faint, but not broken.
    """
    points = np.concatenate(paths) * side - 0.5
    low = np.floor(points).astype(np.int64)
    part = points - low
    density = np.zeros((side + 2) ** 2)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        index = np.clip(low + (dy, dx) + 1, 0, side + 1)
        weight = (part[:, 0] if dy else 1 - part[:, 0]) * (part[:, 1] if dx else 1 - part[:, 1])
        density += np.bincount(index[:, 0] * (side + 2) + index[:, 1], weights=weight, minlength=density.size)
    line = density.reshape(side + 2, side + 2)[1:-1, 1:-1] * side / 800
    sigma = max(0.5, 0.4 * width * side)
    peak = min(1.4, width * side)
    return np.clip(ndimage.gaussian_filter(line, sigma) * sigma * np.sqrt(2 * np.pi) * peak, 0, 1)
