"""Image content that is unrelated to the disease, and the marks that are correlated with one."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from datasets.dermsynth.canvas import Canvas, linear
from datasets.dermsynth.fields import Field, Point, Region, grid, spot, step, strokes, wander

MARK_RADIUS = 0.075  # of the ink mark, as a fraction of the side
VIOLET = (0.36, 0.16, 0.55)
TURQUOISE = (0.10, 0.62, 0.72)  # no skin, cloth or pen has it


def blemishes(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draws freckles and moles, in some patients."""
    if rng.random() < 0.3:
        for y, x in rng.random((rng.integers(10, 60), 2)).tolist():
            at, alpha = spot(rng, canvas.side, (y, x), rng.uniform(0.004, 0.013), soft=0.8)
            canvas.melanin[at] += rng.uniform(0.15, 0.5) * alpha
    if rng.random() < 0.3:
        for y, x in rng.random((rng.integers(1, 4), 2)).tolist():
            at, alpha = spot(rng, canvas.side, (y, x), rng.uniform(0.01, 0.022), soft=0.3)
            canvas.melanin[at] += rng.uniform(0.9, 1.8) * alpha
            canvas.height[at] += 0.006 * alpha


def hair(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draws hairs across the image, in some patients."""
    if rng.random() >= 0.35:
        return
    color = ((0.10, 0.08, 0.07), (0.24, 0.15, 0.09), (0.45, 0.36, 0.25), (0.6, 0.58, 0.56))[rng.integers(4)]
    paths = []
    for y, x in rng.uniform(-0.1, 1.1, (rng.integers(4, 45), 2)).tolist():
        paths.append(wander(rng, (y, x), rng.uniform(0.1, 0.5), bend=1.6))
    canvas.cover(0.85 * strokes(canvas.side, paths, rng.uniform(0.004, 0.008)), color)


def ruler(rng: np.random.Generator, light: Field) -> Field:
    """Draws a paper ruler along an edge, in some images, on linear RGB (H, W, 3)."""
    side = len(light)
    present, edge, depth, gap = rng.random() < 0.1, rng.integers(4), rng.uniform(0.05, 0.09), rng.uniform(0.02, 0.035)
    if not present:
        return light
    rows, columns = grid(side)
    from_edge, along = ((rows, columns), (columns, rows), (1 - rows, columns), (1 - columns, rows))[edge]
    nearest = np.round(along / gap)
    length = np.where(nearest % 5 == 0, 0.7, 0.4) * depth
    tick = step(0.0022 - np.abs(along - nearest * gap), 0.5 / side) * (
        (depth - from_edge < length) & (from_edge < depth)
    )
    paper = step(depth - from_edge, 0.6 / side) + np.zeros_like(along)
    white = np.array((0.78, 0.78, 0.74)) * (1 - 0.9 * np.clip(tick, 0, 1))[..., None]
    return np.asarray(light * (1 - paper[..., None]) + white * paper[..., None])


def pen_dots(rng: np.random.Generator, light: Field) -> Field:
    """Draws small dots of a blue or black pen, in some images, on linear RGB (H, W, 3)."""
    present, color = rng.random() < 0.1, linear(np.array(((0.12, 0.2, 0.5), (0.1, 0.1, 0.12))[rng.integers(2)]))
    for y, x in rng.uniform(0.05, 0.95, (int(present) * rng.integers(1, 4), 2)).tolist():
        at, alpha = spot(rng, len(light), (y, x), rng.uniform(0.008, 0.014), soft=0.4)
        light[at] += 0.8 * alpha[..., None] * (color - light[at])
    return light


def room(canvas: Canvas) -> Field:
    """Computes the distance of each pixel to characteristics, cloth and edge, (H, W), as a fraction of the side."""
    free = np.pad(canvas.skin & ~canvas.anything(), 1)
    return np.asarray(ndimage.distance_transform_edt(free)[1:-1, 1:-1]) / canvas.side


def ink_mark(rng: np.random.Generator, light: Field, free: Field) -> tuple[Field, Region]:
    """Draws a ring, arrow or cross of a surgical marker near the lesion: the planted shortcut.

    Args:
        rng: Source of randomness.
        light: Linear RGB, (H, W, 3).
        free: Result of :func:`room`, at least :data:`MARK_RADIUS` somewhere.

    Returns:
        Linear RGB with the mark, (H, W, 3), and the mask of its ink, (H, W).
    """
    side, center = len(light), _free_point(rng, free)
    paths = (_ring, _arrow, _cross)[rng.integers(3)](rng, center)
    ink = strokes(side, paths, rng.uniform(0.012, 0.018))
    uneven = 0.85 * ink * np.clip(1 - 0.25 * rng.random(), 0, 1)
    stained = light + uneven[..., None] * (linear(np.array(VIOLET)) * (0.5 + light.mean()) - light)
    return np.asarray(stained), ink > 0.3


def sticker(rng: np.random.Generator, light: Field, free: Field) -> tuple[Field, Region]:
    """Draws a round turquoise sticker near the lesion: a planted shortcut that small networks learn in minutes.

    Args:
        rng: Source of randomness.
        light: Linear RGB, (H, W, 3).
        free: Result of :func:`room`, at least :data:`MARK_RADIUS` somewhere.

    Returns:
        Linear RGB with the sticker, (H, W, 3), and its mask, (H, W).

    Reference:
        Rieger et al., Interpretations are useful, ICML 2020, on the colored patches of ISIC, which occur in benign
        images alone.
    """
    side, (y, x) = len(light), _free_point(rng, free)
    rows, columns = grid(side)
    disc = step(MARK_RADIUS - np.hypot(rows - y, columns - x), 0.7 / side)
    color = linear(np.array(TURQUOISE)) * (0.6 + light.mean()) * rng.uniform(0.9, 1.1)
    return np.asarray(light + disc[..., None] * (color - light)), disc > 0.5


def _free_point(rng: np.random.Generator, free: Field) -> Point:
    """Draws a point with room for a mark."""
    spots = np.argwhere(free >= min(MARK_RADIUS, float(free.max())))
    y, x = ((spots[int(rng.random() * len(spots))] + 0.5) / len(free)).tolist()
    return y, x


def _segment(start: Point, end: Point) -> Field:
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    return np.linspace(start, end, max(2, round(800 * length)))


def _ring(rng: np.random.Generator, center: Point) -> list[NDArray[np.float64]]:
    radius = 0.8 * MARK_RADIUS
    angle = np.linspace(0, 2 * np.pi, round(800 * 2 * np.pi * radius)) + rng.uniform(0, 2 * np.pi)
    wobble = radius * (1 + 0.05 * np.sin(2 * angle + rng.uniform(0, 6)))
    return [np.stack([center[0] + wobble * np.sin(angle), center[1] + wobble * np.cos(angle)], axis=1)]


def _arrow(rng: np.random.Generator, center: Point) -> list[NDArray[np.float64]]:
    angle = rng.uniform(0, 2 * np.pi)
    tip = _away(center, angle, 0.85)
    wings = [_segment(tip, _away(center, angle + turn, 0.55)) for turn in (-0.9, 0.9)]
    return [_segment(_away(center, angle + np.pi, 0.85), tip), *wings]


def _cross(rng: np.random.Generator, center: Point) -> list[NDArray[np.float64]]:
    angle = rng.uniform(0, np.pi)
    return [_segment(_away(center, a, 0.85), _away(center, a + np.pi, 0.85)) for a in (angle, angle + np.pi / 2)]


def _away(center: Point, angle: float, fraction: float) -> Point:
    reach = fraction * MARK_RADIUS
    return (center[0] + reach * float(np.sin(angle)), center[1] + reach * float(np.cos(angle)))
