"""From a directory to the index of the data set in it."""

from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.data.exclusion import without_quarantined
from benchmark.errors import UserError
from benchmark.registry import entries, resolve_name
from benchmark.storage.files import atomic_directory
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import synthetic_dir
from datasets import DatasetIndex, DatasetReader, Sample, dermsynth
from datasets.image_io import SUFFIXES

EMBEDDED_IMAGES = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where data is.

    Attributes:
        directory: The data set; None stands for the embedded one.
        layout: Name of its layout; None has it chosen by its look.
        images: Directory with the images of a data set that comes without them, matched by stem.
    """

    directory: Path | None = None
    layout: str | None = None
    images: Path | None = None


def open_data(source: Source) -> DatasetIndex:
    """The index of a data set, less what is quarantined. The embedded one is rendered on first use.

    Raises:
        UserError: The directory is missing, nobody knows its layout, or no index can be made of it.
    """
    directory = _embedded() if source.directory is None else source.directory
    if not directory.is_dir():
        raise UserError(f"{directory} is not a directory; give the directory that holds the data set")
    chosen = _layout(directory, source.layout)
    try:
        data = chosen.read(directory.resolve())
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    if source.images is not None:
        data = replace(data, samples=_with_images(data.samples, source.images))
    return without_quarantined(data)


def usable(data: DatasetIndex) -> DatasetIndex:
    """The part of a data set that can train and be diagnosed: images with a label.

    Raises:
        UserError: Something has to be mended first, there are no images, or fewer than two classes.
    """
    check = f"`python -m benchmark data check {data.root}`"
    if data.problems:
        others = f" ({len(data.problems) - 1} more: {check} lists them)" if len(data.problems) > 1 else ""
        raise UserError(f"{data.problems[0]}{others}, or leave out what is bad with `data check --quarantine`")
    without = [sample.id for sample in data.samples if sample.image is None]
    samples = tuple(sample for sample in data.samples if sample.image is not None)
    if not samples:
        raise UserError(f"{data.root} has masks but no images; {_obtain(data)}")
    unlabeled = [sample.id for sample in samples if not sample.diagnosis]
    samples = tuple(sample for sample in samples if sample.diagnosis)
    left_out = (*data.left_out, *(f"{name}: no image" for name in without))
    left_out = (*left_out, *(f"{name}: no diagnosis" for name in unlabeled))
    data = replace(data, samples=samples, left_out=left_out)
    if len(data.classes) < 2:
        told = f" and {len(unlabeled)} without a diagnosis" if unlabeled else ""
        raise UserError(
            f"{data.root} has images of {len(data.classes)} classes{told}; a classifier needs two: {_obtain(data)}"
        )
    return data


def _layout(directory: Path, name: str | None) -> DatasetReader:
    layouts = entries(DatasetReader)
    if name is not None:
        return layouts[resolve_name(name, layouts, "layout")]
    found = [entry for entry in layouts.values() if entry.detect(directory)]
    if not found:
        empty = "is empty" if not any(directory.iterdir()) else f"has none of the layouts {', '.join(layouts)}"
        raise UserError(
            f"{directory} {empty}; `python -m benchmark list datasets` says what to unpack, docs/adding.md how to add"
        )
    if len(found) > 1:
        raise UserError(f"{directory} looks like {', '.join(entry.name for entry in found)}; name one with --layout")
    return found[0]


def _obtain(data: DatasetIndex) -> str:
    return entries(DatasetReader)[data.layout].obtain if data.layout in entries(DatasetReader) else "add some"


def _with_images(samples: tuple[Sample, ...], directory: Path) -> tuple[Sample, ...]:
    """The cases that lack an image, with that of the same stem in a directory."""
    if not directory.is_dir():
        raise UserError(f"--image-dir: {directory} is not a directory; give the one that holds the images")
    found = {path.stem: path for path in sorted(directory.iterdir()) if path.suffix.lower() in SUFFIXES}
    if not found.keys() & {sample.id for sample in samples}:
        raise UserError(
            f"--image-dir: no file in {directory} is named like an image of the data set, such as {samples[0].id}"
        )
    return tuple(replace(sample, image=sample.image or found.get(sample.id)) for sample in samples)


def _embedded() -> Path:
    key = content_key(dermsynth.VERSION, EMBEDDED_IMAGES)
    directory = synthetic_dir(key)
    if not directory.is_dir():
        with atomic_directory(directory) as temporary:
            dermsynth.render(temporary, images=EMBEDDED_IMAGES)
    return directory
