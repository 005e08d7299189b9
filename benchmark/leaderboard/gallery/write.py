"""The pictures of the gallery: the same test images with every model's maps, small, one file per model.

A run writes them while the maps are at hand; the page shows what lies there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

from benchmark.storage.files import atomic_file, write_text

SIDE = 112
"""Most pixels of a picture's side."""
QUALITY = 80
OUTLINE = (60, 225, 255)
"""Cyan, which the colors of the maps (black, purple, orange, yellow) lack."""
OPACITY = 0.6
OUTSIDE = 0.45

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A test image with what was drawn on it.

    Attributes:
        name: Name of the image.
        label: Its diagnosis.
        image: (S, S, 3), uint8.
        mask: Merged masks (S, S), uint8; None without masks.
        raters: Masks (S, S) by rater, where several drew.
    """

    name: str
    label: str
    image: Pixels
    mask: Pixels | None
    raters: Mapping[str, Pixels]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """A picture with a model's map of it.

    Attributes:
        picture: The image.
        saliency: (S, S) in [0, 1].
        predicted: The diagnosis that the map explains.
        score: How well the map meets the masks; None without masks.
    """

    picture: Picture
    saliency: NDArray[np.float16]
    predicted: str
    score: float | None


def write_images(directory: Path, told: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
    """Writes the images that are the same for all models, a row each: the image, then each rater's mask.

    Args:
        directory: Where the gallery lies.
        told: What else to say of them, such as the protocol.
        pictures: The images.
    """
    rows = [
        [_small(picture.image), *(_drawn(picture, mask) for _, mask in sorted(picture.raters.items()))]
        for picture in pictures
    ]
    widest = max(map(len, rows))
    rows = [row + [np.zeros_like(row[0])] * (widest - len(row)) for row in rows]
    images = [{"name": picture.name, "label": picture.label, "raters": sorted(picture.raters)} for picture in pictures]
    _write(directory / "images", {**told, "images": images}, rows)


def write_model(
    directory: Path, told: Mapping[str, Any], fixed: Sequence[Explained], extremes: Sequence[Explained]
) -> None:
    """Writes a model's maps in one row: of the images of all models, then its best and its worst with their images.

    Args:
        directory: Where the gallery lies.
        told: What else to say of them: protocol, architecture, regime, seed.
        fixed: The images of all models.
        extremes: Its best and its worst; empty without masks.
    """
    row = [_overlaid(each) for each in fixed]
    for each in extremes:
        row += [_drawn(each.picture, each.picture.mask), _overlaid(each)]
    told = {**told, "fixed": [_told(each) for each in fixed], "extremes": [_told(each) for each in extremes]}
    _write(directory / f"{told['architecture']}-{told['regime']}", told, [row])


def _told(each: Explained) -> dict[str, Any]:
    picture = each.picture
    return {"name": picture.name, "label": picture.label, "predicted": each.predicted, "score": each.score}


def _write(stem: Path, told: Mapping[str, Any], rows: list[list[Pixels]]) -> None:
    """A sheet and what it shows; the text last, since it says that the sheet is there."""
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    with atomic_file(stem.with_name(f"{stem.name}.webp")) as temporary:
        Image.fromarray(sheet).save(temporary, format="WEBP", quality=QUALITY, method=6)
    write_text(stem.with_name(f"{stem.name}.json"), json.dumps(told, indent=1) + "\n")


def _small(pixels: Pixels) -> Pixels:
    side = min(SIDE, len(pixels))
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


def _drawn(picture: Picture, mask: Pixels | None) -> Pixels:
    """The image, darker outside of a mask, with the mask's outline; plain without a mask."""
    image = _small(picture.image)
    if mask is None:
        return image
    inside = _small(mask) >= 128
    return _outlined(np.where(inside[..., None], image, image * OUTSIDE).astype(np.uint8), inside)


def _overlaid(each: Explained) -> Pixels:
    """The map over the gray image, with the outline of the merged masks."""
    values = _small((np.clip(each.saliency.astype(np.float32), 0, 1) * 255).astype(np.uint8))
    colors = mpl.colormaps["inferno"](values)[..., :3] * 255
    gray = _small(each.picture.image).mean(axis=2, keepdims=True)
    mixed = (OPACITY * colors + (1 - OPACITY) * gray).astype(np.uint8)
    mask = each.picture.mask
    return mixed if mask is None else _outlined(mixed, _small(mask) >= 128)


def _outlined(pixels: Pixels, inside: NDArray[np.bool_]) -> Pixels:
    edge = inside & ~binary_erosion(inside, border_value=1)
    return np.where(edge[..., None], np.array(OUTLINE, dtype=np.uint8), pixels)
