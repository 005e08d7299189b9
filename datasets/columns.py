"""The columns of a user's own table: group, split, and attributes."""

import re
from collections.abc import Sequence
from pathlib import Path

from datasets import Split
from datasets.indexer import DatasetIndexer

GROUPS = frozenset(
    {
        *("group", "case", "caseid", "lesion", "lesionid", "participant", "participantid", "patient", "patientid"),
        *("patientname", "patientnumber", "pid", "slide", "slideid", "study", "studyid", "subject", "subjectid", "wsi"),
    }
)
"""Common names of columns with a patient or lesion, in lower case without blanks and underscores."""
SIDES = frozenset(
    {"cvfold", "dataset", "fold", "kfold", "partition", "phase", "part", "set", "side", "subset", "split"}
)
"""The same for columns with a split."""
SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
"""The split that a word in a table or the name of a directory means, in lower case."""


class TableColumns:
    """The columns of a user's table, with the attributes of its images.

    Attributes:
        group: Name of the column with the groups. None if there is none.
        split: Name of the column with the splits. None if there is none.
        attributes: Names of the remaining columns.
    """

    def __init__(
        self, indexer: DatasetIndexer, table: Path, rows: Sequence[dict[str, str]], reserved: set[str]
    ) -> None:
        """Chooses the columns. The indexer gets the problems and notes.

        Args:
            indexer: Receives problems and notes.
            table: The file.
            rows: Its rows.
            reserved: Names of columns that the reader itself uses.
        """
        names = [name for name in (rows[0] if rows else ()) if name and name not in reserved]
        self.group = _choose(indexer, table, names, "group", GROUPS)
        splits = [name for name in names if {row[name].lower() for row in rows} <= {"", *SPLITS}]
        self.split = _choose(indexer, table, ["split"] if "split" in names else splits, "split", SIDES)
        self.attributes = tuple(name for name in names if name not in {self.group, self.split})
        for name in self.attributes:
            if _fold(name) in SIDES and self.split is None:
                indexer.notes.append(
                    f"{table}: the column {name!r} is not read as the split; it needs the values train and test"
                )
        if self.attributes:
            indexer.notes.append(
                f"{table}: no score uses {', '.join(self.attributes)}; they are attributes of the images"
            )


def _choose(indexer: DatasetIndexer, table: Path, names: Sequence[str], kind: str, usual: frozenset[str]) -> str | None:
    """Returns the column of a kind: the one of that name, or else the only one with a usual name."""
    if kind in names:
        return kind
    alike = [name for name in names if _fold(name) in usual]
    if len(alike) > 1:
        what = f"has the columns {' and '.join(repr(name) for name in alike)}, each of which may be the {kind}"
        indexer.add_problem(table, what, f"rename one of them to {kind!r}")
        return None
    if alike:
        indexer.notes.append(f"{table}: the column {alike[0]!r} is read as the {kind}")
        return alike[0]
    return None


def _fold(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()
