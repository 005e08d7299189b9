"""Predictions of a model that runs elsewhere, from a CSV file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.escaping import escape_csv, unescape_csv
from benchmark.phrases import format_names
from benchmark.registry import resolve_name
from datasets.names import NameIndex
from datasets.table import read_table

SUM_TOLERANCE = 1e-3
"""Probabilities printed with four digits, of tens of classes, add up to 1 within this."""


def read_predictions_csv(path: Path, images: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """Reads the predicted class of each image, and the probabilities if the file has them.

    Args:
        path: Table with the column image and predicted (the name of a class), or a column of probabilities for each
            class, by its name, or both. Names of images may have directories, suffixes or another case. Rows of other
            images are ignored.
        images: Names of the images, each of which needs a row.
        classes: Names of the classes, by label.

    Returns:
        A row per image, in their order: predicted (label), and p0, p1 ... if there are probabilities.

    Raises:
        UserError: The file cannot be read, lacks an image, or has values that are no predictions.
    """
    try:
        rows = read_table(path, ["image"])
    except (ValueError, OSError) as error:
        raise UserError(f"--predictions: {error}") from None
    index = NameIndex(images)
    by_image = {_find_image(row["image"], index): row for row in rows}
    if len(by_image) < len(rows):
        raise UserError(f"--predictions: {path} has two rows of one image; remove one of them")
    if missing := [name for name in images if name not in by_image]:
        raise UserError(f"--predictions: {path} has no row for {format_names(missing, 1)}; add what is missing")
    has_classes = "predicted" in rows[0]
    has_probabilities = all(_column(name, rows[0]) in rows[0] for name in classes)
    if not has_classes and not has_probabilities:
        raise UserError(f"--predictions: {path} has neither the column predicted nor one for each of {list(classes)}")
    selected = [by_image[name] for name in images]
    frame = pd.DataFrame(index=range(len(images)))
    if has_probabilities:
        probabilities = _probabilities(path, selected, classes)
        frame = pd.DataFrame({f"p{index}": probabilities[:, index] for index in range(len(classes))})
        frame.insert(0, "predicted", probabilities.argmax(axis=1))
    if has_classes:
        labels = {name: index for index, name in enumerate(classes)}
        frame["predicted"] = [labels[_class_name(path, row, classes)] for row in selected]
    return frame


def _find_image(name: str, index: NameIndex) -> str:
    """Returns the image of a cell, or the cell if it means none of them."""
    return index.find(unescape_csv(name)) or index.find(name) or name


def _find_listed(name: str, names: set[str]) -> str:
    """Returns the name of a cell, which is escaped in tables of `export-maps`."""
    return plain if (plain := unescape_csv(name)) in names else name


def _column(name: str, row: Mapping[str, str]) -> str:
    """Returns the heading of a class, escaped or not."""
    return escaped if (escaped := str(escape_csv(name))) in row else name


def _class_name(path: Path, row: dict[str, str], classes: Sequence[str]) -> str:
    try:
        return resolve_name(_find_listed(row.get("predicted") or "", set(classes)), classes, "class")
    except UserError as error:
        raise UserError(f"--predictions: {path}: {row['image']}: {error}") from None


def _probabilities(path: Path, rows: Sequence[dict[str, str]], classes: Sequence[str]) -> NDArray[np.float64]:
    try:
        values = np.array([[float(row[_column(name, row)]) for name in classes] for row in rows], dtype=np.float64)
    except (ValueError, KeyError) as error:
        raise UserError(f"--predictions: {path} has a probability that is not a number ({error}); correct it") from None
    valid = np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1)
    valid &= np.abs(values.sum(axis=1) - 1) <= SUM_TOLERANCE
    if not valid.all():
        name = rows[int(np.argmin(valid))]["image"]
        raise UserError(f"--predictions: {path}: the probabilities of {name} do not add up to 1; give those of softmax")
    return values
