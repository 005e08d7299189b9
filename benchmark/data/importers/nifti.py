"""Slices of NIfTI volumes in directories of classes, with masks of the same name in `masks/`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.importers import ImportedImage, apply_window, class_of, require_package
from datasets import BadFileError
from datasets.files import require_regular

SUFFIXES = (".nii", ".nii.gz")
MAX_VOXELS = 500_000_000
PERCENTILES = (0.5, 99.5)
"""The default window, as percentiles of the volume."""


def read_nifti(
    source: Path, files: list[Path], window: tuple[float, float] | None, slices: int
) -> Iterator[ImportedImage]:
    """Yields axial slices: those with the largest marked areas, or evenly spaced ones without a mask.

    A volume is a group. Labels above 0 are marked.

    Args:
        source: The directory with the classes, and `masks/`.
        files: The files in it.
        window: Center and width. None takes PERCENTILES of the volume.
        slices: Maximum number of slices of a volume.

    Raises:
        ValueError: A file is damaged, too large or in no class, or a mask does not fit its volume.
    """
    volumes = [path for path in files if not path.is_relative_to(source / "masks")]
    masks = _pair([path for path in files if path.is_relative_to(source / "masks")], volumes)
    for path in volumes:
        diagnosis, volume = class_of(path, source), _load(path)
        mask = _load(masks[_stem(path)]) > 0 if _stem(path) in masks else None
        if mask is not None and mask.shape != volume.shape:
            raise BadFileError(masks[_stem(path)], f"is {mask.shape}, its volume {volume.shape}", "fix or remove it")
        low, high = np.percentile(volume, PERCENTILES)
        if window is not None:
            low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
        for index in _choose(volume.shape[2], mask, slices):
            # Stored from left to right and from back to front: turned, the front is at the top.
            yield ImportedImage(
                source=f"{path.relative_to(source)}:{index}",
                diagnosis=diagnosis,
                group=str(path.relative_to(source)),
                pixels=apply_window(np.rot90(volume[:, :, index]), float(low), float(high)),
                masks={} if mask is None else {"": np.rot90(mask[:, :, index])},
            )


def _pair(masks: Iterable[Path], volumes: Iterable[Path]) -> dict[str, Path]:
    """Returns the mask by the name of its volume. A mask must have one volume, and a volume at most one mask."""
    counts = Counter(_stem(path) for path in volumes)
    paired: dict[str, Path] = {}
    for mask in masks:
        if (count := counts[_stem(mask)]) != 1:
            raise BadFileError(mask, f"is the mask of {count} volumes", "give both names of their own")
        if (other := paired.setdefault(_stem(mask), mask)) is not mask:
            raise BadFileError(mask, f"and {other} are masks of one volume", "remove one of them")
    return paired


def _choose(count: int, mask: NDArray[np.bool_] | None, slices: int) -> list[int]:
    """Returns the indices of slices, sorted."""
    if mask is None or not mask.any():
        return sorted({int((index + 0.5) * count / min(slices, count)) for index in range(min(slices, count))})
    areas = mask.sum(axis=(0, 1))
    return sorted(int(index) for index in np.argsort(-areas, kind="stable")[:slices] if areas[index])


def _load(path: Path) -> NDArray[np.float64]:
    nibabel = require_package("nibabel")
    require_regular(path)
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        _require_volume(path, image.shape)
        return np.asarray(image.get_fdata(), dtype=np.float64)
    except BadFileError:
        raise
    except Exception as error:  # noqa: BLE001 - nibabel raises whatever it meets
        reason = " ".join(str(error).split())[:120]
        raise BadFileError(path, f"cannot be read as NIfTI ({reason})", "replace it or remove it") from None


def _require_volume(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or not 0 < np.prod(shape, dtype=np.float64) <= MAX_VOXELS:
        raise BadFileError(path, f"has the shape {shape}", "save one volume of three axes")


def _stem(path: Path) -> str:
    return path.name.lower().removesuffix(".gz").removesuffix(".nii")
