"""The data set of a table in the words of the harness: from its own file, or from the split that a run wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.storage.house import House, TableFacts, read_house
from benchmark.storage.protocol import is_changed, read_protocol
from benchmark.storage.record import Record
from benchmark.storage.results import SPLIT_FILE
from datasets.table import read_table

SYNTHETIC = frozenset({"dermsynth"})
"""Data sets that a program renders. Directories of earlier versions say so by their name alone."""
COLUMNS = ("image", "split", "diagnosis", "group")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """What admission compares records with.

    Attributes:
        directory: The results directory.
        protocol: The protocol of its tables.
        house: What the harness wrote. None for a directory of an earlier version.
        split: The facts in the split of such a directory. None without a split.
        in_tables: Keys of the records in its tables.
    """

    directory: Path
    protocol: str
    house: House | None
    split: TableFacts | None
    in_tables: frozenset[str]

    def facts(self, protocol: str) -> TableFacts | None:
        """Returns the facts of a protocol. None where nobody stated any."""
        stated = self.house.protocols.get(protocol) if self.house else None
        return stated or (self.split if protocol == self.protocol else None)

    def is_made(self, path: Path, record: Record, digest: str) -> bool:
        """Returns whether a run published a record here.

        Directories of earlier versions have no list of such records. There, the keys in the tables count, and records
        that say that they are of somebody else do not.
        """
        if self.house is not None:
            return self.house.made.get(path.name) == digest
        is_ours = record.submission is None and record.external_maps is None
        is_apart = record.protocol != self.protocol or not self.in_tables
        return is_ours and (is_apart or record.key in self.in_tables)


def read_trust(directory: Path) -> Trust:
    """Reads what the harness says of a results directory.

    Raises:
        ValueError: A file of the harness is damaged.
    """
    marker = read_protocol(directory)
    protocol = str(marker.get("protocol", ""))
    house = read_house(directory)
    stated = house is not None and protocol in house.protocols
    return Trust(
        directory=directory,
        protocol=protocol,
        house=house,
        split=None if stated else read_split(directory),
        in_tables=frozenset(marker.get("in_tables", ())),
    )


def read_split(directory: Path) -> TableFacts | None:
    """Reads the facts of a directory of an earlier version from its split. None if there is none that says enough.

    Raises:
        ValueError: The split differs from what a run wrote.
    """
    path = directory / SPLIT_FILE
    if not path.is_file():
        return None
    if is_changed(directory, SPLIT_FILE):
        raise ValueError(f"{path} differs from what a run wrote; restore it, or run again")
    try:
        rows = read_table(path, COLUMNS)
    except (ValueError, OSError):
        return None
    classes = tuple(sorted({row["diagnosis"] for row in rows}))
    tested: dict[str, Mapping[str, str]] = {row["image"]: row for row in rows if row["split"] == "test"}
    return TableFacts(
        dataset=directory.parent.name,
        synthetic=directory.parent.name in SYNTHETIC,
        preset=directory.name,
        classes=classes,
        images=tuple(tested),
        labels=tuple(classes.index(row["diagnosis"]) for row in tested.values()),
        groups=tuple(row["group"] for row in tested.values()),
    )
