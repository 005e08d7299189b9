"""Images with annotations of COCO: polygons, or masks in run-length encoding."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.importers import ImportedImage, require_package
from benchmark.errors import UserError
from datasets import BadFileError, Sample
from datasets.files import read_bytes
from datasets.image_io import image_size, read_pixels
from datasets.names import NameIndex

MAX_JSON_BYTES = 500_000_000
UNMARKED = "unmarked"
"""Class of images without annotations."""


def read_coco(source: Path, table: Path, files: list[Path]) -> Iterator[ImportedImage]:
    """Yields the images of a file of annotations. The class is the category of the largest annotation.

    The masks of one category are a characteristic. An image is a group.

    Args:
        source: The directory of the images.
        table: The annotations.
        files: The images in it.

    Raises:
        UserError: The file is not of COCO.
        ValueError: An image is missing or damaged.
    """
    try:
        content = json.loads(read_bytes(table, MAX_JSON_BYTES))
        categories = {row["id"]: str(row["name"]) for row in content["categories"]}
        drawn: dict[Any, list[dict[str, Any]]] = {row["id"]: [] for row in content["images"]}
        for row in content["annotations"]:
            drawn[row["image_id"]].append(row)
        names = [(row["id"], str(row["file_name"])) for row in content["images"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{table} is no file of COCO ({type(error).__name__}: {error}); export it again") from None
    stems = {path.stem: path for path in files}
    index = NameIndex(stems)
    for identifier, name in names:
        stem = index.find(name)
        if stem is None:
            raise BadFileError(table, f"lists {name!r}, of which {source} has no image", "add it or remove its entry")
        yield _read(table, stems[stem], drawn[identifier], categories)


def _read(table: Path, path: Path, rows: list[dict[str, Any]], categories: dict[Any, str]) -> ImportedImage:
    sample = Sample(id=path.stem, image=path, diagnosis="", group="")
    width, height = image_size(sample)
    masks: dict[str, NDArray[np.bool_]] = {}
    areas: dict[str, int] = {}
    for row in rows:
        mask = _decode(table, row, height, width)
        name = categories.get(row.get("category_id"), "unknown")
        masks[name] = masks[name] | mask if name in masks else mask
        areas[name] = max(areas.get(name, 0), int(mask.sum()))
    diagnosis = max(sorted(areas), key=areas.__getitem__) if areas else UNMARKED
    # In the layout, a directory that is named like the class does not name a characteristic.
    characteristics = {f"category {name}": mask for name, mask in masks.items()}
    return ImportedImage(
        source=path.stem, diagnosis=diagnosis, group=path.stem, pixels=read_pixels(sample), masks=characteristics
    )


def _decode(table: Path, row: dict[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    """Returns the mask of an annotation, (H, W)."""
    coding = require_package("pycocotools.mask")
    try:
        shape = row["segmentation"]
        if isinstance(shape, list):
            encoded = coding.merge(coding.frPyObjects(shape, height, width))
        else:
            encoded = coding.frPyObjects(shape, height, width) if isinstance(shape["counts"], list) else shape
        with warnings.catch_warnings():  # pycocotools 2.0.11 copies as NumPy 1 did
            warnings.simplefilter("ignore", DeprecationWarning)
            mask = np.asarray(coding.decode(encoded), dtype=np.bool_)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        what = f"has an annotation {row.get('id')} that cannot be read ({error})"
        raise BadFileError(table, what, "export it again") from None
    if mask.shape != (height, width):
        what = f"has an annotation {row.get('id')} of {mask.shape[1]} x {mask.shape[0]}, its image {width} x {height}"
        raise BadFileError(table, what, "export it again")
    return mask
