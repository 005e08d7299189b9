"""Simulated raters, who draw the same truth as differently as people do.

The habits are tuned to the agreement between raters on DermXDB v1. There, the additive aggregation of one rater has a
fuzzy F1 of .64 against that of the others.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from datasets.dermsynth.fields import Field, Region, fractal

RATERS_PER_IMAGE = 3
SMALL = 0.004  # fraction of the image below which an instance is easily overlooked
IN_PARTS = 0.07  # probability that a characteristic is saved as two masks, as in DermXDB


@dataclass(frozen=True, kw_only=True, slots=True)
class Habit:
    """The drawing habits of a rater. Lengths are fractions of the side.

    Attributes:
        margin: Mean distance of the outline from the true edge. Negative is inside.
        wobble: Variation of that distance along the outline.
        join: Gaps up to twice this width are filled.
        overlook: Probability to miss a small instance.
        omit: Probability to leave out a characteristic.
        idle: Probability to draw nothing at all.
    """

    margin: float
    wobble: float
    join: float
    overlook: float
    omit: float
    idle: float


HABITS = {
    "derm1": Habit(margin=0.008, wobble=0.012, join=0.0, overlook=0.05, omit=0.1, idle=0.05),
    "derm2": Habit(margin=0.025, wobble=0.02, join=0.06, overlook=0.1, omit=0.2, idle=0.1),
    "derm3": Habit(margin=-0.006, wobble=0.012, join=0.0, overlook=0.3, omit=0.25, idle=0.1),
    "derm4": Habit(margin=0.015, wobble=0.018, join=0.02, overlook=0.15, omit=0.35, idle=0.15),
    "derm5": Habit(margin=0.002, wobble=0.015, join=0.0, overlook=0.4, omit=0.3, idle=0.15),
    "derm6": Habit(margin=0.04, wobble=0.025, join=0.1, overlook=0.05, omit=0.25, idle=0.05),
    "derm7": Habit(margin=0.01, wobble=0.01, join=0.01, overlook=0.1, omit=0.15, idle=0.05),
    "derm8": Habit(margin=-0.015, wobble=0.018, join=0.0, overlook=0.25, omit=0.35, idle=0.2),
}


def drawings(rng: np.random.Generator, truth: dict[str, Region]) -> dict[str, list[tuple[str, Region]]]:
    """Draws the masks of three randomly selected raters.

    Args:
        rng: Source of randomness.
        truth: Exact mask of each characteristic, (H, W).

    Returns:
        Pairs of characteristic and mask, (H, W), by rater. No mask is empty, but a rater may have none.
    """
    raters = sorted(rng.choice(sorted(HABITS), RATERS_PER_IMAGE, replace=False).tolist())
    return {rater: _drawn(own, HABITS[rater], truth) for rater, own in zip(raters, rng.spawn(3), strict=True)}


def _drawn(rng: np.random.Generator, habit: Habit, truth: dict[str, Region]) -> list[tuple[str, Region]]:
    if rng.random() < habit.idle:
        return []
    masks: list[tuple[str, Region]] = []
    for characteristic, where in truth.items():
        if rng.random() >= habit.omit:
            mask = outlined(rng, habit, noticed(rng, habit, where))
            parts = _parted(mask) if rng.random() < IN_PARTS else [mask]
            masks += [(characteristic, part) for part in parts if part.any()]
    return masks


def noticed(rng: np.random.Generator, habit: Habit, where: Region) -> Region:
    """Returns the instances that the rater does not overlook, (H, W)."""
    instances, num_instances = ndimage.label(where)
    small = np.bincount(instances.ravel(), minlength=num_instances + 1) < SMALL * where.size
    missed = small & (rng.random(num_instances + 1) < habit.overlook)
    return np.asarray(where & ~missed[instances])


def outlined(rng: np.random.Generator, habit: Habit, where: Region) -> Region:
    """Distorts an area as the rater would, (H, W): shifted edge, unsteady hand, filled gaps."""
    side = len(where)
    margin = habit.margin * rng.uniform(0.4, 1.6)
    shift = margin + habit.wobble * fractal(rng, side, 0.25, octaves=3)
    if not where.any():
        return where
    reach = habit.join + float(np.abs(shift).max()) + 2 / side
    window = _around(where, int(np.ceil(reach * side)))
    part = where[window]
    if habit.join * side >= 1:
        # Morphological closing: dilation and erosion by the same length fill narrow gaps.
        grown = ndimage.distance_transform_edt(~part) <= habit.join * side
        part = ndimage.distance_transform_edt(grown) > habit.join * side
        part |= where[window]
    drawn = np.zeros_like(where)
    drawn[window] = _depth(part) / side + shift[window] > 0
    return drawn


def _around(where: Region, border: int) -> tuple[slice, slice]:
    """Returns the window of an area with a border."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    return (
        slice(max(0, int(rows[0]) - border), int(rows[-1]) + border + 1),
        slice(max(0, int(columns[0]) - border), int(columns[-1]) + border + 1),
    )


def _depth(part: Region) -> Field:
    """Computes the signed distance to the edge in pixels, positive inside, (H, W)."""
    inside = np.asarray(ndimage.distance_transform_edt(part))
    if part.all():
        return inside
    outside = np.asarray(ndimage.distance_transform_edt(~part))
    return np.where(part, inside - 0.5, 0.5 - outside)


def _parted(mask: Region) -> list[Region]:
    """Splits the instances of a mask into two masks. The second one is empty if there is only one instance."""
    instances, num_instances = ndimage.label(mask)
    first: Region = (instances > 0) & (instances <= (num_instances + 1) // 2)
    return [first, mask & ~first]
