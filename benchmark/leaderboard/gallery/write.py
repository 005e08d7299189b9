"""Writes the gallery: small pictures of the same test images with the maps of every model, one file per model.

A run writes them, since only it has the maps. The page shows existing ones.
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

MAX_SIDE = 112
"""Maximum side of a picture in pixels."""
WEBP_QUALITY = 80
OUTLINE = (60, 225, 255)
"""Cyan. The color map of the maps (black, purple, orange, yellow) does not have it."""
MAP_OPACITY = 0.6
OUTSIDE_BRIGHTNESS = 0.45
"""Factor for pixels outside of a mask."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A test image with its masks.

    Attributes:
        name: Name of the image.
        label: Its true class.
        image: (S, S, 3), uint8.
        mask: Aggregated masks (S, S), uint8. None without masks.
        raters: Masks (S, S) by rater.
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
        predicted: The predicted class, which the map explains.
        score: How well the map agrees with the masks. None without masks.
    """

    picture: Picture
    saliency: NDArray[np.float16]
    predicted: str
    score: float | None


def write_images(directory: Path, metadata: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
    """Writes the images that are the same for all models, one row each: the image, then the mask of each rater.

    Args:
        directory: Directory of the gallery.
        metadata: More fields for the JSON file, such as the protocol.
        pictures: The images.
    """
    rows = [
        [_resize(picture.image), *(_draw_mask(picture, mask) for _, mask in sorted(picture.raters.items()))]
        for picture in pictures
    ]
    width = max(map(len, rows))
    rows = [row + [np.zeros_like(row[0])] * (width - len(row)) for row in rows]
    images = [{"name": picture.name, "label": picture.label, "raters": sorted(picture.raters)} for picture in pictures]
    _write(directory / "images", {**metadata, "images": images}, rows)


def write_model(
    directory: Path, metadata: Mapping[str, Any], fixed: Sequence[Explained], extremes: Sequence[Explained]
) -> None:
    """Writes the maps of a model in one row: those of the common images, then its best and its worst image and map.

    Args:
        directory: Directory of the gallery.
        metadata: More fields for the JSON file: protocol, architecture, regime, seed.
        fixed: The images that all models show.
        extremes: Its best and its worst. Empty without masks.
    """
    row = [_draw_map(explained) for explained in fixed]
    for explained in extremes:
        row += [_draw_mask(explained.picture, explained.picture.mask), _draw_map(explained)]
    captions = {
        "fixed": [_build_caption(explained) for explained in fixed],
        "extremes": [_build_caption(explained) for explained in extremes],
    }
    _write(directory / f"{metadata['architecture']}-{metadata['regime']}", {**metadata, **captions}, [row])


def _build_caption(explained: Explained) -> dict[str, Any]:
    picture = explained.picture
    return {
        "name": picture.name,
        "label": picture.label,
        "predicted": explained.predicted,
        "score": explained.score,
    }


def _write(stem: Path, content: Mapping[str, Any], rows: list[list[Pixels]]) -> None:
    """Writes a sheet, then its JSON file: the latter promises that the sheet exists."""
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    with atomic_file(stem.with_name(f"{stem.name}.webp")) as temporary:
        Image.fromarray(sheet).save(temporary, format="WEBP", quality=WEBP_QUALITY, method=6)
    write_text(stem.with_name(f"{stem.name}.json"), json.dumps(content, indent=1) + "\n")


def _resize(pixels: Pixels) -> Pixels:
    side = min(MAX_SIDE, len(pixels))
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


def _draw_mask(picture: Picture, mask: Pixels | None) -> Pixels:
    """Darkens the image outside of a mask and draws its outline. Without a mask the image stays as it is."""
    image = _resize(picture.image)
    if mask is None:
        return image
    inside = _resize(mask) >= 128
    return _draw_outline(np.where(inside[..., None], image, image * OUTSIDE_BRIGHTNESS).astype(np.uint8), inside)


def _draw_map(explained: Explained) -> Pixels:
    """Draws the map over the gray image, with the outline of the aggregated masks."""
    values = _resize((np.clip(explained.saliency.astype(np.float32), 0, 1) * 255).astype(np.uint8))
    colors = mpl.colormaps["inferno"](values)[..., :3] * 255
    gray = _resize(explained.picture.image).mean(axis=2, keepdims=True)
    mixed = (MAP_OPACITY * colors + (1 - MAP_OPACITY) * gray).astype(np.uint8)
    mask = explained.picture.mask
    return mixed if mask is None else _draw_outline(mixed, _resize(mask) >= 128)


def _draw_outline(pixels: Pixels, inside: NDArray[np.bool_]) -> Pixels:
    edge = inside & ~binary_erosion(inside, border_value=1)
    return np.where(edge[..., None], np.array(OUTLINE, dtype=np.uint8), pixels)
