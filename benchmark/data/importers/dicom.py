"""DICOM images in directories of classes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.importers import ImportedImage, apply_window, class_of, list_files, require_package
from datasets import BadFileError
from datasets.files import open_regular

SUFFIXES = (".dcm", ".dicom")
MAX_PIXELS = 100_000_000
ATTRIBUTES = {"Modality": "modality", "PatientSex": "sex", "BodyPartExamined": "body_part", "ViewPosition": "view"}
"""Fields without identifiers that become attributes. Ages and dates do not."""


def find_dicom(source: Path) -> list[Path]:
    """Lists the DICOM files below a directory: by suffix or, without one, by their first bytes."""
    return [path for path in list_files(source) if path.name.lower().endswith(SUFFIXES) or _is_dicom(path)]


def _is_dicom(path: Path) -> bool:
    # A file that is named by its identifier, such as 1.2.840.10008, has no suffix.
    if path.suffix.strip(".0123456789") or not path.is_file():
        return False
    with open_regular(path) as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom(source: Path, files: list[Path], window: tuple[float, float] | None) -> Iterator[ImportedImage]:
    """Yields the frames of DICOM files. Patients are the groups.

    Args:
        source: The directory with the classes.
        files: The files in it.
        window: Center and width. None takes the window in the file or, without one, the range of the image.

    Raises:
        ValueError: A file is damaged, too large or in no class.
    """
    pydicom = require_package("pydicom")
    for path in files:
        diagnosis = class_of(path, source)
        try:
            with open_regular(path) as file:
                content = pydicom.dcmread(file)
                _reject_large(path, content)
                frames = _frames(content, window)
        except BadFileError:
            raise
        except Exception as error:  # noqa: BLE001 - pydicom and its decoders raise whatever they meet
            reason = " ".join(str(error).split())[:120]
            raise BadFileError(path, f"cannot be read as DICOM ({reason})", "replace it or remove it") from None
        attributes = {name: str(content.get(key, "")) for key, name in ATTRIBUTES.items()}
        for index, pixels in enumerate(frames):
            yield ImportedImage(
                source=f"{path.relative_to(source)}:{index}",
                diagnosis=diagnosis,
                group=str(content.get("PatientID", "")) or str(path.relative_to(source)),
                pixels=pixels,
                attributes={name: value for name, value in attributes.items() if value},
            )


def _reject_large(path: Path, content: Any) -> None:
    pixels = int(content.get("Rows", 0)) * int(content.get("Columns", 0)) * int(content.get("NumberOfFrames", 1) or 1)
    if not 0 < pixels <= MAX_PIXELS:
        raise BadFileError(path, f"has {pixels:,} pixels", f"split it into files of at most {MAX_PIXELS:,}")


def _frames(content: Any, window: tuple[float, float] | None) -> list[NDArray[np.uint8]]:
    """Returns the frames, (H, W) or (H, W, 3), uint8."""
    pixels = require_package("pydicom.pixels")
    array = pixels.pixel_array(content)
    color = int(content.get("SamplesPerPixel", 1)) > 1
    if content.get("PhotometricInterpretation") == "PALETTE COLOR" or (color and array.dtype != np.uint8):
        raise ValueError("its colors are not RGB of 8 bits")
    frames = array if array.ndim == (4 if color else 3) else array[None]
    if color:
        return [np.asarray(frame, dtype=np.uint8) for frame in frames]
    inverted = content.get("PhotometricInterpretation") == "MONOCHROME1"
    windowed = [_windowed(pixels, content, frame, window) for frame in frames]
    return [np.uint8(255) - frame if inverted else frame for frame in windowed]


def _windowed(
    pixels: Any, content: Any, frame: NDArray[np.generic], window: tuple[float, float] | None
) -> NDArray[np.uint8]:
    values = pixels.apply_modality_lut(frame, content)
    if window is None and "WindowCenter" in content:
        values = pixels.apply_voi_lut(values, content, index=0).astype(np.float64)
    values = np.asarray(values, dtype=np.float64)
    if window is None:
        return apply_window(values, float(values.min()), float(values.max()))
    center, width = window
    return apply_window(values, center - width / 2, center + width / 2)
