"""Planted marks: added to images without one, and removed from images with one."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.dataset import ImageDataset
from benchmark.reliance.fills import Pixels, fill_biharmonic
from benchmark.reliance.regions import build_region
from benchmark.reliance.variants import Variant
from datasets.dermsynth.plan import SHORTCUT

SHORTCUT_LEVEL = "shortcut"
MIN_OPAQUE = 0.9
"""Fraction of the darkest coverage of a mark from which a pixel counts for its color."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """Versions of the test images with a mark added or removed.

    Attributes:
        label: The class that the mark indicates in training.
        variants: One per test image. None where the mark of no other image leaves its lesion visible.
    """

    label: int
    variants: tuple[Variant | None, ...]


def plan_marks(data: ImageDataset, expert_masks: NDArray[np.bool_]) -> Marks | None:
    """Plans a version of each test image, with a mark added where it has none, or removed.

    A mark is copied from another test image, at its place there, where it covers no part of the expert mask.

    Args:
        data: Images and references.
        expert_masks: Expert masks of the test images, (T, S, S).

    Returns:
        The versions. None if no test image has a mark or no class is marked.
    """
    label = find_marked_class(data)
    references = data.references[data.references["level"] == SHORTCUT_LEVEL]
    planes = dict(zip(references["sample"], references.index, strict=True))
    donors = [(data.images[row], _coverage(data, planes[row])) for row in data.test if row in planes]
    if label is None or not donors:
        return None
    labels, names = (data.samples[name].to_numpy() for name in ("label", "id"))
    variants: list[Variant | None] = []
    for row, expert_mask in zip(data.test, expert_masks, strict=True):
        if row in planes:
            variants.append(_removed(data.images[row], _coverage(data, planes[row])))
        elif labels[row] == label:
            variants.append(None)
        else:
            variants.append(_added(data.images[row], expert_mask, str(names[row]), donors))
    return Marks(label=label, variants=tuple(variants))


def find_marked_class(data: ImageDataset) -> int | None:
    """Finds the class that most marked training images have. Synthetic images without any name it in their plan."""
    marked = data.references.loc[data.references["level"] == SHORTCUT_LEVEL, "sample"]
    labels = data.samples["label"].to_numpy()[np.intersect1d(marked, data.train)]
    if len(labels):
        return int(np.bincount(labels).argmax())
    return data.classes.index(SHORTCUT) if data.synthetic and SHORTCUT in data.classes else None


def _coverage(data: ImageDataset, plane: int) -> NDArray[np.float64]:
    """Returns the fraction of each pixel that a mark covers, (S, S, 1)."""
    return np.asarray(data.mask_arrays[plane])[..., None] / 255


def _added(
    pixels: Pixels, expert_mask: NDArray[np.bool_], name: str, donors: Sequence[tuple[Pixels, NDArray[np.float64]]]
) -> Variant | None:
    """Adds the mark of the first donor, from one that the name of the image chooses, that leaves the lesion visible."""
    first = zlib.crc32(name.encode()) % len(donors)
    for donor, coverage in (*donors[first:], *donors[:first]):
        opaque = coverage[..., 0] >= MIN_OPAQUE * coverage.max()
        if coverage.any() and not (expert_mask & (coverage[..., 0] > 0)).any():
            marked = pixels * (1 - coverage) + donor[opaque].mean(axis=0) * coverage
            return Variant(role="mark", detail="added", pixels=np.rint(marked).astype(np.uint8))
    return None


def _removed(pixels: Pixels, coverage: NDArray[np.float64]) -> Variant | None:
    region = build_region(coverage[..., 0] > 0)
    if region is None:
        return None
    return Variant(role="mark", detail="removed", pixels=fill_biharmonic(pixels, region.mask, region.ring))
