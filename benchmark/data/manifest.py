"""The manifest of a run: the split of every image and the SHA-256 of every file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.data.splits import Splits
from benchmark.errors import UserError
from benchmark.escaping import csv_text, unescape_csv
from benchmark.storage.files import write_text
from datasets import Sample, printable
from datasets.columns import SPLITS
from datasets.names import NameIndex
from datasets.table import read_table

COLUMNS = ("image", "split", "diagnosis", "group", "file", "sha256")
NAMES = ("train", "validation", "test")


def write_manifest(
    path: Path, root: Path | None, samples: Sequence[Sample], splits: Splits, digests: Mapping[Path, str]
) -> None:
    """Writes one row per file: for each image the image file first, then its masks. Attributes are further columns.

    Args:
        path: Where to write.
        root: The directory of the data set. None names each file after its image.
        samples: The images.
        splits: Their split.
        digests: SHA-256 of each file.
    """
    attributes = attribute_columns(samples)
    rows: list[Sequence[str]] = [[*COLUMNS, *attributes.values()]]
    for sample, side in zip(samples, splits, strict=True):
        values = [sample.attributes.get(name, "") for name in attributes]
        for source in sample_files(sample):
            row = (
                sample.id,
                side,
                sample.diagnosis,
                sample.group,
                _published_name(sample, source, root),
                digests[source],
            )
            rows.append([*row, *values])
    write_text(path, csv_text(rows))


def attribute_columns(samples: Sequence[Sample]) -> dict[str, str]:
    """Returns the column of each attribute, sorted. A name that is taken gets a prefix."""
    names = sorted({name for sample in samples for name in sample.attributes})
    return {name: f"attribute {name}" if name in COLUMNS else name for name in names}


def has_attributes(path: Path, samples: Sequence[Sample]) -> bool:
    """Returns whether a manifest has the attributes of the images, with their current values."""
    columns = attribute_columns(samples)
    rows = read_table(path, ["image"]) if columns else []
    stored = {unescape_csv(row["image"]): {unescape_csv(k): unescape_csv(v) for k, v in row.items()} for row in rows}
    return all(
        stored.get(sample.id, {}).get(column) == sample.attributes.get(name, "")
        for sample in samples
        for name, column in columns.items()
    )


def read_manifest(
    path: Path, samples: Sequence[Sample], digests: Mapping[Path, str]
) -> tuple[tuple[Sample, ...], Splits]:
    """Returns the images that a manifest lists, in the order of the data set, and their split.

    The table has the columns image and split, and may have sha256, which must then be that of the image. Images match
    by :class:`datasets.names.NameIndex`.

    Raises:
        UserError: The file is not a manifest, or lists an image that is missing, has changed or has two splits.
    """
    try:
        rows = read_table(path, ["image", "split"])
    except (ValueError, OSError) as error:
        raise UserError(printable(str(error))) from None
    by_name = {sample.id: sample for sample in samples}
    names = NameIndex(by_name)
    listed: dict[str, str] = {}
    for row in rows:
        # A table of ours first, then one that another program wrote.
        name = names.find(unescape_csv(row["image"])) or names.find(row["image"])
        side = SPLITS.get(row["split"].lower())
        if side is None:
            raise UserError(f"{path}: {row['image']} is in the split {row['split']!r}; use one of {', '.join(NAMES)}")
        if name is None:
            raise UserError(
                f"{path} lists the image {row['image']}, which the data set lacks; restore it or remove its rows"
            )
        # The first row of an image is the image itself; its masks follow.
        if name not in listed:
            _require_unchanged(path, by_name[name], row, digests)
        if listed.setdefault(name, side) != side:
            raise UserError(f"{path}: {name} is in the splits {listed[name]!r} and {side!r}; remove one of the rows")
    selected = tuple(sample for sample in samples if sample.id in listed)
    return selected, np.array([listed[sample.id] for sample in selected], dtype="<U10")


def _require_unchanged(path: Path, sample: Sample, row: Mapping[str, str], digests: Mapping[Path, str]) -> None:
    digest = row.get("sha256")
    if sample.image is None or (digest and digests[sample.image] != digest):
        raise UserError(f"{path}: {sample.id} has other bytes than when the split was made; restore the file")


def sample_files(sample: Sample) -> list[Path]:
    """Lists the files of a sample without repeats, the image first."""
    marked = [sample.marked.path] if sample.marked else []
    image = [sample.image] if sample.image else []
    return list(dict.fromkeys([*image, *(mask.path for mask in sample.masks), *marked]))


def _published_name(sample: Sample, path: Path, root: Path | None) -> str:
    if root is None:
        return f"{sample.id}{path.suffix}"
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
