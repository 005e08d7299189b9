"""Reads which test images belong to which subgroup: attributes of the data set, and characteristics of the masks."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmark.escaping import unescape_csv
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.storage.protocol import is_changed
from benchmark.storage.results import SPLIT_FILE, sidecar_file
from datasets.table import read_table

CHARACTERISTIC = "characteristic"
"""Kind of the subgroups of images on which some expert marked a characteristic. They overlap."""
MAX_VALUES = 12
"""Maximum number of values of an attribute. One with more is a measurement or a name, and forms no subgroups."""
_OWN_COLUMNS = frozenset({"image", "split", "diagnosis", "group", "file", "sha256"})

Subgroup = tuple[str, str]
"""Name of the attribute, or :data:`CHARACTERISTIC`, and its value."""


def read_subgroups(published: ResultsDirectory) -> dict[Subgroup, frozenset[str]]:
    """Reads the names of the test images of each subgroup, attributes first, both sorted by name.

    Attributes are the further columns of the split that a run wrote, such as skin tone or sex. An attribute counts with
    2 to :data:`MAX_VALUES` values. Images without a value are in no subgroup. Characteristics count if there are
    several. A split or a file of scores that is damaged gives none.
    """
    return dict(_attributes(published.directory)) | dict(_characteristics(published))


def _attributes(directory: Path) -> Iterator[tuple[Subgroup, frozenset[str]]]:
    path = directory / SPLIT_FILE
    try:
        rows = [] if is_changed(directory, SPLIT_FILE) else read_table(path, ["image", "split"])
    except (ValueError, OSError):
        return
    tested = {row["image"]: row for row in rows if row["split"] == "test"}
    names = sorted({name for row in tested.values() for name in row if name not in _OWN_COLUMNS})
    for name in names:
        pairs = ((unescape_csv(row[name]), unescape_csv(image)) for image, row in tested.items() if row[name])
        yield from _if_few(unescape_csv(name), pairs, MAX_VALUES)


def _characteristics(published: ResultsDirectory) -> Iterator[tuple[Subgroup, frozenset[str]]]:
    """Yields the images of each characteristic, from the first readable scores: they are those of every record."""
    for path in published.records:
        try:
            own = pq.read_table(
                sidecar_file(path, "scores.parquet"),
                columns=["image", "characteristic"],
                filters=pc.field("level") == CHARACTERISTIC,
                use_threads=False,
            )
        except (pa.ArrowException, OSError):
            continue
        pairs = zip(*(own[name].cast(pa.string()).to_pylist() for name in ("characteristic", "image")), strict=True)
        yield from _if_few(CHARACTERISTIC, pairs)
        return


def _if_few(
    kind: str, pairs: Iterable[tuple[str, str]], maximum: float = float("inf")
) -> Iterator[tuple[Subgroup, frozenset[str]]]:
    """Yields the images of each value, from pairs of both. Nothing for a single value, or for more than a maximum."""
    images: dict[str, set[str]] = defaultdict(set)
    for value, image in pairs:
        images[value].add(image)
    if 2 <= len(images) <= maximum:
        for value in sorted(images):
            yield (kind, value), frozenset(images[value])
