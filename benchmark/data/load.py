"""From a directory to the index of the data set in it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.data.exclusion import without_excluded
from benchmark.data.pseudonyms import load_key, pseudonymize
from benchmark.data.splits import has_official_split
from benchmark.errors import UserError
from benchmark.phrases import format_count
from benchmark.registry import entries, resolve_name
from benchmark.storage.cache import cached_directory, is_intact
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import synthetic_dir
from datasets import DatasetIndex, DatasetReader, Problem, dermsynth, printable
from datasets.files import find_name_fault
from datasets.image_files import UNREAD
from datasets.indexer import DatasetIndexer
from datasets.names import NameIndex
from datasets.table import read_table

EMBEDDED_IMAGES = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The location of a data set.

    Attributes:
        directory: The data set. None selects the embedded one.
        layout: Name of its layout. None detects it.
        images: Directory with the images, matched by name, for a data set that is published without them.
        attributes: Table of attributes, matched by name, with the column image.
        split_groups: Whether an official split may divide a group.
        pseudonyms: File with the key of pseudonyms. None publishes the names of the data set.
    """

    directory: Path | None = None
    layout: str | None = None
    images: Path | None = None
    attributes: Path | None = None
    split_groups: bool = False
    pseudonyms: Path | None = None


def load_index(source: Source) -> DatasetIndex:
    """Returns the index of a data set without the excluded files. The embedded data set is rendered on first use.

    Raises:
        UserError: The directory is missing, its layout is unknown, or its index cannot be built.
    """
    key = load_key(source.pseudonyms) if source.pseudonyms is not None else None
    directory = _render_embedded() if source.directory is None else source.directory
    if not directory.is_dir():
        raise UserError(f"{directory} is not a directory; give the directory that holds the data set")
    reader = _select_reader(directory, source.layout)
    try:
        data = reader.load(directory.resolve())
        if source.images is not None:
            data = _with_images(data, source.images)
        if source.attributes is not None:
            data = _with_attributes(data, source.attributes)
    except (ValueError, OSError) as error:
        raise UserError(printable(str(error))) from None
    data = without_excluded(_with_checks(data, split_groups=source.split_groups))
    return pseudonymize(data, key) if key is not None else data


def require_usable(data: DatasetIndex) -> DatasetIndex:
    """Returns the part of a data set that can be trained on and classified: images with a label.

    Raises:
        UserError: There are open problems, no images, or fewer than two classes.
    """
    check = f"`python -m benchmark data check {data.root}`"
    if data.problems:
        more = f" ({len(data.problems) - 1} more: {check} lists them)" if len(data.problems) > 1 else ""
        raise UserError(f"{data.problems[0]}{more}, or leave out what is bad with `data check --quarantine`")
    without_image = [sample.id for sample in data.samples if sample.image is None]
    samples = tuple(sample for sample in data.samples if sample.image is not None)
    if not samples:
        raise UserError(
            f"{data.root} has masks but no images; {_how_to_obtain(data)}. With masks alone, "
            f"`python -m benchmark baselines {data.root}` scores trivial maps and raters"
        )
    unlabeled = [sample.id for sample in samples if not sample.diagnosis]
    samples = tuple(sample for sample in samples if sample.diagnosis)
    left_out = (*data.left_out, *(f"{name}: no image" for name in without_image))
    left_out = (*left_out, *(f"{name}: no diagnosis" for name in unlabeled))
    data = replace(data, samples=samples, left_out=left_out)
    if len(data.classes) < 2:
        without_label = f" and {len(unlabeled)} without a diagnosis" if unlabeled else ""
        classes = format_count(len(data.classes), "class", "classes")
        raise UserError(
            f"{data.root} has images of {classes}{without_label}; a classifier needs two: {_how_to_obtain(data)}"
        )
    return data


def _select_reader(directory: Path, name: str | None) -> DatasetReader:
    readers = entries(DatasetReader)
    if name is not None:
        return readers[resolve_name(name, readers, "layout")]
    matches = [reader for reader in readers.values() if reader.detect(directory)]
    if not matches:
        empty = "is empty" if not any(directory.iterdir()) else f"has none of the layouts {', '.join(readers)}"
        raise UserError(
            printable(f"{directory} {empty}{_unread_files(directory)}; ")
            + "`python -m benchmark list datasets` says what to unpack, docs/adding.md how to add"
        )
    if len(matches) > 1:
        raise UserError(
            f"{directory} looks like {', '.join(reader.name for reader in matches)}; name one with --layout"
        )
    return matches[0]


def _how_to_obtain(data: DatasetIndex) -> str:
    return entries(DatasetReader)[data.layout].obtain if data.layout in entries(DatasetReader) else "add some"


def _unread_files(directory: Path) -> str:
    """Says how many files of the directory need a conversion."""
    count = sum(path.suffix.lower() in UNREAD for path in directory.iterdir())
    return f" and {format_count(count, 'file')} to convert with `data import`" if count else ""


def _with_images(data: DatasetIndex, directory: Path) -> DatasetIndex:
    """Adds the images of a directory to the samples that have none, by name."""
    if not directory.is_dir():
        raise UserError(f"--image-dir: {directory} is not a directory; give the one that holds the images")
    indexer = DatasetIndexer(directory)
    files = indexer.images(".")
    images = {stem: files[name] for name, stem in NameIndex([s.id for s in data.samples]).find_all(files).items()}
    if not images:
        example = data.samples[0].id
        raise UserError(
            f"--image-dir: no file in {directory} is named like an image of the data set, such as {example}"
        )
    samples = tuple(replace(sample, image=sample.image or images.get(sample.id)) for sample in data.samples)
    return replace(data, samples=samples, problems=(*data.problems, *indexer.problems))


def _with_attributes(data: DatasetIndex, table: Path) -> DatasetIndex:
    """Adds the columns of a table to the attributes of the images. They replace those of the same name."""
    indexer = DatasetIndexer(table.parent)
    rows = read_table(table, ["image"])
    names = [name for name in (rows or [{}])[0] if name not in {"", "image"}]
    if not names:
        raise UserError(f"--attributes: {table} has no column besides image; add some")
    stems = [sample.id for sample in data.samples]
    indexer.join([row["image"] for row in rows], table, stems)
    found = indexer.attributes(table, "image", stems, names=names)
    samples = tuple(
        replace(sample, attributes={**sample.attributes, **found.get(sample.id, {})}) for sample in data.samples
    )
    note = f"{table}: the attributes {', '.join(names)} of {len(found)} of {len(samples)} images"
    problems = (*data.problems, *indexer.problems)
    return replace(data, samples=samples, problems=problems, notes=(*data.notes, note))


def _with_checks(data: DatasetIndex, *, split_groups: bool) -> DatasetIndex:
    """Adds the problems and notes that do not depend on the layout."""
    problems, notes = list(data.problems), list(data.notes)
    if fault := find_name_fault(data.root.name):
        problems.append(Problem(file=data.root, what=fault, remedy="rename the directory"))
    divided = find_divided_groups((sample.group, sample.split) for sample in data.samples)
    official = {sample.split for sample in data.samples if sample.split}
    if official and not has_official_split(data.samples):
        notes.append(
            f"{data.root}: the official split has only {', '.join(sorted(official))} images, so a split is drawn"
        )
    elif divided and split_groups:
        are_on = format_count(len(divided), "group is", "groups are")
        notes.append(f"{data.root}: {are_on} on several sides of the official split, as allowed")
    elif divided:
        what = f"has {format_count(len(divided), 'group')} on several sides of its official split, such as {divided[0]}"
        remedy = "correct the split or the groups, or accept it with --allow-split-groups"
        problems.append(Problem(file=data.root, what=what, remedy=remedy))
    return replace(data, problems=tuple(problems), notes=tuple(notes))


def find_divided_groups(assignments: Iterable[tuple[str, str | None]]) -> list[str]:
    """Returns the groups that a split assigns to several sides, sorted. None is no side."""
    sides: dict[str, set[str]] = {}
    for group, side in assignments:
        if side:
            sides.setdefault(group, set()).add(side)
    return sorted(group for group, members in sides.items() if len(members) > 1)


def _render_embedded() -> Path:
    key = content_key(dermsynth.VERSION, EMBEDDED_IMAGES)
    directory = synthetic_dir(key)
    if not is_intact(directory):
        with cached_directory(directory) as temporary:
            dermsynth.render(temporary, images=EMBEDDED_IMAGES)
    return directory
