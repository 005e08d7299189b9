"""From the values of a file to a map: not negative, as large as the images, at most 1."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from benchmark.map_files import MAX_VALUES

NEGATIVE = ("refuse", "zero", "absolute")
"""What to do with negative values. Zero keeps the evidence for the class; absolute keeps all evidence."""
SCALES = {"u1": 255.0, "u2": 65535.0, "b1": 1.0}
"""The value of a fully salient pixel, by type. Floats are scaled by the maximum of the map alone."""


def to_map(array: NDArray[Any], negative: str = "refuse") -> NDArray[np.float64]:
    """Converts an array to a map.

    Args:
        array: (H, W), or with one more axis of length 1. Floats, bool, or unsigned integers of 8 or 16 bits.
        negative: One of :data:`NEGATIVE`.

    Returns:
        (H, W), not negative. Values that are not finite stay so.

    Raises:
        ValueError: The array has another shape or type, or has negative values that are refused.

    Example:
        >>> to_map(np.array([[0, 255]], dtype=np.uint8)).tolist()
        [[0.0, 1.0]]
    """
    shape = array.shape
    if array.ndim == 3 and 1 in {shape[0], shape[2]}:
        array = array[0] if shape[0] == 1 else array[..., 0]
    if array.ndim != 2:
        raise ValueError(f"has the shape {shape}, not (H, W); save one value per pixel")
    if not 0 < array.size <= MAX_VALUES:
        raise ValueError(f"has the shape {shape}; a map has 1 to {MAX_VALUES:,} values")
    kind = f"{array.dtype.kind}{array.dtype.itemsize}"
    if array.dtype.kind != "f" and kind not in SCALES:
        raise ValueError(f"has values of type {array.dtype}; save floats, or integers of 8 or 16 bits without sign")
    values = np.asarray(array, dtype=np.float64) / SCALES.get(kind, 1.0)
    if (values < 0).any():
        if negative == "refuse":
            raise ValueError("has negative values; say what they mean with --negative zero or --negative absolute")
        values = np.abs(values) if negative == "absolute" else np.maximum(values, 0.0)
    return values


def resize_map(values: NDArray[np.float64], side: int) -> NDArray[np.float16]:
    """Resizes a map to the images and divides it by its maximum, as maps of Loupe are stored.

    Pixels are squares, and their centers lie at half pixels, as in `interpolate(align_corners=False)` of torch.
    Enlarging is bilinear. Shrinking averages over the covered pixels, with a triangle kernel.

    Args:
        values: (H, W), not negative. It covers the whole image, whatever its aspect ratio.
        side: Side of the images.

    Returns:
        (side, side) in [0, 1]. Zero where the map is zero; NaN where a value of the map is not finite.

    Example:
        >>> resize_map(np.array([[0.0, 2.0]]), 2).tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    if not np.isfinite(values).all():
        return np.full((side, side), np.nan, dtype=np.float16)
    scaled = _scale_to_max(values)
    if scaled.shape != (side, side):
        tensor = torch.from_numpy(scaled)[None, None]
        shrinks = max(scaled.shape) > side
        resized = functional.interpolate(
            tensor, size=(side, side), mode="bilinear", align_corners=False, antialias=shrinks
        )
        scaled = _scale_to_max(resized[0, 0].numpy())
    return scaled.astype(np.float16)


def _scale_to_max(values: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = values.max()
    return values / largest if largest > 0 else values
