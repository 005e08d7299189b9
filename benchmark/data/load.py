"""From a directory to the index of the data set in it."""

from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.data.exclusion import without_excluded
from benchmark.errors import UserError
from benchmark.registry import entries, resolve_name
from benchmark.storage.cache import cached_directory, is_intact
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import synthetic_dir
from datasets import DatasetIndex, DatasetReader, Sample, dermsynth
from datasets.image_io import SUFFIXES

EMBEDDED_IMAGES = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The location of a data set.

    Attributes:
        directory: The data set. None selects the embedded one.
        layout: Name of its layout. None detects it.
        images: Directory with the images, matched by stem, for a data set that is published without them.
    """

    directory: Path | None = None
    layout: str | None = None
    images: Path | None = None


def load_index(source: Source) -> DatasetIndex:
    """Returns the index of a data set without the excluded files. The embedded data set is rendered on first use.

    Raises:
        UserError: The directory is missing, its layout is unknown, or its index cannot be built.
    """
    directory = _render_embedded() if source.directory is None else source.directory
    if not directory.is_dir():
        raise UserError(f"{directory} is not a directory; give the directory that holds the data set")
    reader = _select_reader(directory, source.layout)
    try:
        data = reader.load(directory.resolve())
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    if source.images is not None:
        data = replace(data, samples=_with_images(data.samples, source.images))
    return without_excluded(data)


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
        raise UserError(f"{data.root} has masks but no images; {_how_to_obtain(data)}")
    unlabeled = [sample.id for sample in samples if not sample.diagnosis]
    samples = tuple(sample for sample in samples if sample.diagnosis)
    left_out = (*data.left_out, *(f"{name}: no image" for name in without_image))
    left_out = (*left_out, *(f"{name}: no diagnosis" for name in unlabeled))
    data = replace(data, samples=samples, left_out=left_out)
    if len(data.classes) < 2:
        without_label = f" and {len(unlabeled)} without a diagnosis" if unlabeled else ""
        raise UserError(
            f"{data.root} has images of {len(data.classes)} classes{without_label}; a classifier needs two: "
            f"{_how_to_obtain(data)}"
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
            f"{directory} {empty}; `python -m benchmark list datasets` says what to unpack, docs/adding.md how to add"
        )
    if len(matches) > 1:
        raise UserError(
            f"{directory} looks like {', '.join(reader.name for reader in matches)}; name one with --layout"
        )
    return matches[0]


def _how_to_obtain(data: DatasetIndex) -> str:
    return entries(DatasetReader)[data.layout].obtain if data.layout in entries(DatasetReader) else "add some"


def _with_images(samples: tuple[Sample, ...], directory: Path) -> tuple[Sample, ...]:
    """Adds the images of a directory to the samples that have none, by stem."""
    if not directory.is_dir():
        raise UserError(f"--image-dir: {directory} is not a directory; give the one that holds the images")
    images = {path.stem: path for path in sorted(directory.iterdir()) if path.suffix.lower() in SUFFIXES}
    if not images.keys() & {sample.id for sample in samples}:
        raise UserError(
            f"--image-dir: no file in {directory} is named like an image of the data set, such as {samples[0].id}"
        )
    return tuple(replace(sample, image=sample.image or images.get(sample.id)) for sample in samples)


def _render_embedded() -> Path:
    key = content_key(dermsynth.VERSION, EMBEDDED_IMAGES)
    directory = synthetic_dir(key)
    if not is_intact(directory):
        with cached_directory(directory) as temporary:
            dermsynth.render(temporary, images=EMBEDDED_IMAGES)
    return directory
