"""The changed versions of one image that a measurement of reliance needs."""

from dataclasses import dataclass

import numpy as np

from benchmark.reliance.fills import FILLS, Pixels, fill_ring_mean
from benchmark.reliance.regions import RIM, Mask, Region, build_region, choose_superpixels, find_places, grow

NUM_PLACES = 4
"""Number of other places of the shape: two with the first fill, one with each other fill."""
NUM_SUPERPIXELS = 2
"""Number of random regions of an image."""
MAX_VARIANTS = 12
"""Maximum number of forward passes for one image."""
ORIGINAL, ONLY = "original", "only"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A version of an image.

    Attributes:
        role: "original", "region", "control", "only" (only the region and its rim remain), "superpixel" or "mark".
        detail: Name of the fill, index of the superpixel, or "added" or "removed" of a mark. "" for the others.
        pixels: (H, W, 3), uint8.
    """

    role: str
    detail: str
    pixels: Pixels


def build_variants(pixels: Pixels, marked: Mask, name: str) -> list[Variant]:
    """Builds all versions of an image, at most :data:`MAX_VARIANTS`, the original first.

    Args:
        pixels: The image, (H, W, 3).
        marked: Mask of the expert, (H, W). It may be empty.
        name: Name of the image, which seeds random choices.
    """
    variants = [Variant(role=ORIGINAL, detail="", pixels=pixels)]
    region = build_region(marked)
    places = find_places(region, pixels, name, NUM_PLACES) if region else []
    if region and places:
        variants += _filled(pixels, region, places)
        variants.append(Variant(role=ONLY, detail="", pixels=_only(pixels, region)))
    for index, mask in enumerate(choose_superpixels(pixels, name, NUM_SUPERPIXELS)):
        random_region = build_region(mask)
        if random_region:
            filled = fill_ring_mean(pixels, random_region.mask, random_region.ring)
            variants.append(Variant(role="superpixel", detail=str(index), pixels=filled))
    return variants


def _filled(pixels: Pixels, region: Region, places: list[Region]) -> list[Variant]:
    """Fills the region, and the same shape elsewhere, by each fill."""
    variants = []
    first, *others = FILLS
    indices = {first: range(2), **{name: [2 + index] for index, name in enumerate(others)}}
    for name, fill in FILLS.items():
        variants.append(Variant(role="region", detail=name, pixels=fill(pixels, region.mask, region.ring)))
        # With few places, fills share them. No version occurs twice.
        for index in dict.fromkeys(index % len(places) for index in indices[name]):
            place = places[index]
            variants.append(Variant(role="control", detail=name, pixels=fill(pixels, place.mask, place.ring)))
    return variants


def _only(pixels: Pixels, region: Region) -> Pixels:
    """Fills everything but a region and its rim with the mean color of the rim."""
    rest = ~grow(region.mask, RIM)
    return fill_ring_mean(pixels, rest, ~rest & ~region.mask) if rest.any() else np.asarray(pixels)
