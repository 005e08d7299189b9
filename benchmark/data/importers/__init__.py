"""Conversion of other formats into the layout `folder`: DICOM, volumes of NIfTI, and annotations of COCO.

Names and identifiers in the source never enter the result. Names of images and groups are keyed hashes. The key is a
hash of the source's files, so the same source gives the same names, and nobody can try out names without the files.
"""

import csv
import hashlib
import hmac
import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.errors import UserError
from benchmark.escaping import escape_csv
from benchmark.storage.files import atomic_directory
from datasets import BadFileError
from datasets.files import find_name_fault, open_regular

MAX_FILES = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedImage:
    """One image of the result.

    Attributes:
        source: What identifies it within the source. Only its hash is written.
        diagnosis: The class.
        group: What identifies the patient within the source. Only its hash is written.
        pixels: (H, W) or (H, W, 3), uint8.
        masks: Marked pixels, (H, W), by characteristic. "" is the outline.
        attributes: Further values for the table, free of identifiers.
    """

    source: str
    diagnosis: str
    group: str
    pixels: NDArray[np.uint8]
    masks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)


def import_dataset(source: Path, target: Path, images: Iterable[ImportedImage], key: bytes) -> dict[str, int]:
    """Writes images in the layout `folder`. The target appears complete or not at all.

    Returns:
        The number of images of each class.

    Raises:
        UserError: The target exists, or the source has no images or a class with a name that cannot be used.
    """
    if target.exists():
        raise UserError(f"{target} exists; name a new directory")
    counts: dict[str, int] = {}
    with atomic_directory(target) as temporary:
        rows = [_write(temporary, image, key, counts) for image in images]
        if not rows:
            raise UserError(f"{source} has no images to convert; put them into <class>/ in it")
        names = sorted({name for row in rows for name in row})
        columns = ["image", "group", *(name for name in names if name not in {"image", "group"})]
        with (temporary / "images.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            table.writeheader()
            table.writerows({name: escape_csv(value) for name, value in row.items()} for row in rows)
    return dict(sorted(counts.items()))


def _write(target: Path, image: ImportedImage, key: bytes, counts: dict[str, int]) -> dict[str, str]:
    """Writes one image with its masks. Returns its row of the table."""
    if fault := find_name_fault(image.diagnosis):
        raise UserError(f"class {image.diagnosis!r} {fault}; rename it")
    counts[image.diagnosis] = counts.get(image.diagnosis, 0) + 1
    name = hash_name(key, "image", image.source)
    _save(target / "images" / _directory(image.diagnosis) / f"{name}.png", image.pixels)
    for characteristic, mask in image.masks.items():
        levels = ["expert", _directory(characteristic)] if characteristic else []
        _save(target.joinpath("masks", *levels, f"{name}.png"), mask.astype(np.uint8) * np.uint8(255))
    return image.attributes | {"image": name, "group": hash_name(key, "group", image.group)}


def find_key(files: Iterable[Path]) -> bytes:
    """Returns the key of a source: the SHA-256 of all its files.

    Raises:
        ValueError: A file is not regular or too large.
    """
    total = hashlib.sha256()
    for path in files:
        with open_regular(path) as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.digest()


def hash_name(key: bytes, kind: str, name: str) -> str:
    """Returns a name that does not reveal another one, sixteen hexadecimal digits."""
    return hmac.new(key, f"{kind}:{name}".encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:16]


def list_files(directory: Path, *suffixes: str) -> list[Path]:
    """Lists the files below a directory with one of the suffixes, sorted. Any suffix if none is given.

    Raises:
        UserError: There are too many files.
    """
    files = [path for path in directory.rglob("*") if not path.name.startswith(".") and not path.is_dir()]
    if len(files) > MAX_FILES:
        raise UserError(f"{directory} has more than {MAX_FILES:,} files; import it in parts")
    return sorted(path for path in files if not suffixes or path.name.lower().endswith(suffixes))


def class_of(path: Path, source: Path) -> str:
    """Returns the class of a file: the first directory below the source, or below `images/` in it.

    Raises:
        BadFileError: It is in no directory.
    """
    parts = path.relative_to(source / "images" if path.is_relative_to(source / "images") else source).parts
    if len(parts) < 2:
        raise BadFileError(path, "is in no directory of a class", "move it to <class>/ in the source")
    return parts[0]


def apply_window(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    """Maps [low, high] to 0 to 255, and values outside to its ends.

    Example:
        >>> apply_window(np.array([-5.0, 0.0, 50.0, 300.0]), 0, 100)
        array([  0,   0, 128, 255], dtype=uint8)
    """
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return np.round(np.nan_to_num(scaled) * 255).astype(np.uint8)


def require_package(name: str) -> ModuleType:
    """Imports a module of a package of the extra "import".

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise UserError(
            f"{package} is not installed; install it with `pip install {package}` (extra 'import')"
        ) from None


def _directory(name: str) -> str:
    return name.replace("/", "-").replace("\\", "-")


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
