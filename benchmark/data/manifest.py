"""The manifest of a run: the split of every image and the SHA-256 of every file."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.data.splits import Splits
from benchmark.errors import UserError
from benchmark.storage.files import atomic_file
from datasets import Sample
from datasets.table import read_table

COLUMNS = ("image", "split", "diagnosis", "group", "file", "sha256")
SPLIT_NAMES = ("train", "validation", "test")


def write_manifest(
    path: Path, root: Path, samples: Sequence[Sample], splits: Splits, digests: Mapping[Path, str]
) -> None:
    """Writes one row per file: for each image the image file first, then its masks."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for sample, side in zip(samples, splits, strict=True):
            for source in sample_files(sample):
                row = (sample.id, side, sample.diagnosis, sample.group, _relative(source, root), digests[source])
                table.writerow(row)


def read_manifest(
    path: Path, samples: Sequence[Sample], digests: Mapping[Path, str]
) -> tuple[tuple[Sample, ...], Splits]:
    """Returns the images that a manifest lists, in the order of the data set, and their split.

    Raises:
        UserError: The file is not a manifest, or lists an image that is missing or has changed.
    """
    try:
        rows = read_table(path, ["image", "split", "sha256"])
    except ValueError as error:
        raise UserError(str(error)) from None
    # The first row of an image is the image itself; its masks follow.
    listed: dict[str, tuple[str, str]] = {}
    for row in rows:
        listed.setdefault(row["image"], (row["split"], row["sha256"]))
    by_name = {sample.id: sample for sample in samples}
    for name, (side, digest) in listed.items():
        if side not in SPLIT_NAMES:
            raise UserError(f"{path}: {name} is in the split {side!r}; use one of {', '.join(SPLIT_NAMES)}")
        if name not in by_name:
            raise UserError(f"{path} lists the image {name}, which the data set lacks; restore it or remove its rows")
        image = by_name[name].image
        if image is None or digests[image] != digest:
            raise UserError(f"{path}: {name} has other bytes than when the split was made; restore the file")
    selected = tuple(sample for sample in samples if sample.id in listed)
    return selected, np.array([listed[sample.id][0] for sample in selected], dtype="<U10")


def sample_files(sample: Sample) -> list[Path]:
    """Lists the files of a sample without repeats, the image first."""
    marked = [sample.marked.path] if sample.marked else []
    image = [sample.image] if sample.image else []
    return list(dict.fromkeys([*image, *(mask.path for mask in sample.masks), *marked]))


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
