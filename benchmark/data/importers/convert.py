"""Chooses the converter of a source and runs it."""

from collections.abc import Iterator
from pathlib import Path

from benchmark.data.importers import ImportedImage, find_key, import_dataset, list_files, nifti
from benchmark.data.importers.coco import read_coco
from benchmark.data.importers.dicom import find_dicom, read_dicom
from benchmark.data.importers.nifti import read_nifti
from benchmark.errors import UserError
from datasets import printable
from datasets.image_files import SUFFIXES

Window = tuple[float, float]
"""Center and width of the gray values that become 0 to 255."""


def convert_dataset(source: Path, target: Path, window: Window | None, slices: int) -> tuple[dict[str, int], str]:
    """Converts a source into the layout `folder`.

    Args:
        source: A directory with DICOM or NIfTI files in directories of classes, a file of COCO, or its directory.
        target: A new directory.
        window: The gray window. None takes the default of the format.
        slices: Maximum number of slices of a NIfTI volume.

    Returns:
        The number of images of each class, and the window in words.

    Raises:
        UserError: The source cannot be converted, or a package is missing.
    """
    try:
        files, images, default = _select(source, window, slices)
        counts = import_dataset(source, target, images, find_key(files))
    except (ValueError, OSError) as error:
        raise UserError(printable(str(error))) from None
    used = f"center {window[0]:g}, width {window[1]:g}" if window and default else default
    return counts, f"Window: {used}" if used else "Images of 8 bits are copied"


def parse_window(text: str | None) -> Window | None:
    """Parses `center,width`.

    Raises:
        UserError: It is not two numbers, or the width is not positive.

    Example:
        >>> parse_window("40,400")
        (40.0, 400.0)
    """
    if text is None:
        return None
    try:
        center, width = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--window {text!r} is not center,width; give two numbers such as 40,400") from None
    if not 0 < width < float("inf") or not abs(center) < float("inf"):
        raise UserError(f"--window {text!r} has no positive finite width; give two numbers such as 40,400")
    return center, width


def _select(source: Path, window: Window | None, slices: int) -> tuple[list[Path], Iterator[ImportedImage], str]:
    """Returns the files, the images in them and the default window in words."""
    if source.is_file():
        return _select_coco(source)
    if not source.is_dir():
        raise UserError(f"{source} does not exist; give a directory or a file of COCO")
    if files := find_dicom(source):
        return files, read_dicom(source, files, window), "that of each file, or the range of the image"
    if files := list_files(source, *nifti.SUFFIXES):
        return files, read_nifti(source, files, window, slices), "percentiles 0.5 to 99.5 of each volume"
    tables = list_files(source, ".json")
    if len(tables) != 1:
        found = f"{len(tables)} JSON files" if tables else "no .dcm, .nii, .nii.gz or .json files"
        raise UserError(f"{source} has {found}; give a directory of one format, or the file of COCO")
    return _select_coco(tables[0])


def _select_coco(table: Path) -> tuple[list[Path], Iterator[ImportedImage], str]:
    # Annotations are next to the images, or in `annotations/` next to their directory.
    directory = table.parent if table.parent.name != "annotations" else table.parent.parent
    files = list_files(directory, *SUFFIXES)
    return [table, *files], read_coco(directory, table, files), ""
