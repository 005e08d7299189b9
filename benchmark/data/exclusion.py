"""Files that a user has decided to leave out, and why: kept under runs/, never in the user's own directory."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import UserError
from benchmark.storage.files import write_text
from benchmark.storage.hashing import content_key, file_digest
from benchmark.storage.runs import quarantine_file
from datasets import DatasetIndex, Problem, Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """One file that is left out.

    Attributes:
        file: The file.
        what: Why.
        sha256: Of the bytes that were bad: a file that was changed since is looked at again; "" where it could not be
            read.
    """

    file: str
    what: str
    sha256: str


def quarantine(data: DatasetIndex, problems: Sequence[Problem]) -> Path:
    """Records what is to be left out of a data set from now on; returns the list, a JSON file."""
    known = {(entry.file, entry.what): entry for entry in _quarantined(data.root)}
    for problem in problems:
        entry = Quarantined(file=str(problem.file), what=problem.what, sha256=_digest(problem.file))
        known[entry.file, entry.what] = entry
    path = _list_of(data.root)
    rows = [{"file": entry.file, "what": entry.what, "sha256": entry.sha256} for entry in known.values()]
    write_text(path, json.dumps(rows, indent=1) + "\n")
    return path


def without_quarantined(data: DatasetIndex) -> DatasetIndex:
    """The data set less the images and masks that are quarantined, which are listed as left out."""
    active = [entry for entry in _quarantined(data.root) if entry.sha256 == _digest(Path(entry.file))]
    if not active:
        return data
    settled = {(entry.file, entry.what) for entry in active}
    bad = {entry.file for entry in active}
    gone = tuple(f"{entry.file}: quarantined, {entry.what}" for entry in active)
    return replace(
        data,
        samples=tuple(_less_masks(sample, bad) for sample in data.samples if str(sample.image) not in bad),
        problems=tuple(problem for problem in data.problems if (str(problem.file), problem.what) not in settled),
        left_out=(*data.left_out, *gone),
    )


def _less_masks(sample: Sample, bad: set[str]) -> Sample:
    masks = tuple(mask for mask in sample.masks if str(mask.path) not in bad)
    return sample if len(masks) == len(sample.masks) else replace(sample, masks=masks)


def _list_of(root: Path) -> Path:
    return quarantine_file(content_key(str(root)))


def _quarantined(root: Path) -> list[Quarantined]:
    path = _list_of(root)
    if not path.is_file():
        return []
    try:
        return [Quarantined(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError):
        raise UserError(f"{path} is damaged; remove it and run `data check {root} --quarantine` again") from None


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:
        return ""
