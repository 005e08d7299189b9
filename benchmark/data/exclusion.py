"""Files that the user excludes, with the reasons. The list is stored under runs/, never in the user's own directory."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import UserError
from benchmark.storage.cache import cached_file, find_damage
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import quarantine_file
from datasets import DatasetIndex, Problem, Sample, printable
from datasets.files import open_regular, read_bytes

MAX_LIST_BYTES = 100_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ExcludedFile:
    """One file that is left out.

    Attributes:
        file: The file.
        what: The reason.
        sha256: SHA-256 of the bad bytes, "" if they could not be read. A file that changes later is checked again.
    """

    file: str
    what: str
    sha256: str


def exclude(data: DatasetIndex, problems: Sequence[Problem]) -> Path:
    """Leaves the files with problems out of a data set from now on. Returns the path of the list, a JSON file."""
    excluded = {(entry.file, entry.what): entry for entry in _load_excluded(data.root)}
    for problem in problems:
        entry = ExcludedFile(file=str(problem.file), what=problem.what, sha256=_digest(problem.file))
        excluded[entry.file, entry.what] = entry
    path = _list_path(data.root)
    rows = [{"file": entry.file, "what": entry.what, "sha256": entry.sha256} for entry in excluded.values()]
    with cached_file(path) as temporary:
        temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return path


def without_excluded(data: DatasetIndex) -> DatasetIndex:
    """Returns the data set without the excluded images and masks, and lists them as left out."""
    # An entry holds for the bytes it was made for: a file that was fixed is back in use.
    active = [entry for entry in _load_excluded(data.root) if entry.sha256 == _digest(Path(entry.file))]
    if not active:
        return data
    settled = {(entry.file, entry.what) for entry in active}
    bad_files = {entry.file for entry in active}
    reasons = tuple(printable(f"{entry.file}: quarantined, {entry.what}") for entry in active)
    return replace(
        data,
        samples=tuple(
            _without_masks(sample, bad_files) for sample in data.samples if str(sample.image) not in bad_files
        ),
        problems=tuple(problem for problem in data.problems if (str(problem.file), problem.what) not in settled),
        left_out=(*data.left_out, *reasons),
    )


def _without_masks(sample: Sample, bad_files: set[str]) -> Sample:
    masks = tuple(mask for mask in sample.masks if str(mask.path) not in bad_files)
    return sample if len(masks) == len(sample.masks) else replace(sample, masks=masks)


def _list_path(root: Path) -> Path:
    return quarantine_file(content_key(str(root)))


def _load_excluded(root: Path) -> list[ExcludedFile]:
    path = _list_path(root)
    if not path.is_file():
        return []
    try:
        if find_damage(path):
            raise ValueError  # noqa: TRY301 - a change by hand is met like a broken file
        return [ExcludedFile(**row) for row in json.loads(read_bytes(path, MAX_LIST_BYTES))]
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{path} is damaged; remove it and run `data check {root} --quarantine` again") from None


def _digest(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""
