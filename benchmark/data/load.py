"""From a folder to the index of the data set in it."""

from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.data.exclusion import without_quarantined
from benchmark.errors import UserError
from benchmark.registry import entries, resolve_name
from benchmark.storage.files import new_directory
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import synthetic_dir
from datasets import DatasetIndex, DatasetReader, Sample, dermsynth
from datasets.image_io import SUFFIXES

EMBEDDED_IMAGES = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where data is.

    Attributes:
        folder: The data set; None stands for the embedded one.
        layout: Name of its layout; None has it chosen by its look.
        images: Folder with the images of a data set that comes without them, matched by stem.
    """

    folder: Path | None = None
    layout: str | None = None
    images: Path | None = None


def open_data(source: Source) -> DatasetIndex:
    """The index of a data set, less what is quarantined. The embedded one is rendered on first use.

    Raises:
        UserError: The folder is missing, nobody knows its layout, or no index can be made of it.
    """
    folder = _embedded() if source.folder is None else source.folder
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder that holds the data set")
    chosen = _layout(folder, source.layout)
    try:
        data = chosen.read(folder.resolve())
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    if source.images is not None:
        data = replace(data, cases=_with_images(data.cases, source.images))
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
    without = [case.id for case in data.cases if case.image is None]
    cases = tuple(case for case in data.cases if case.image is not None)
    if not cases:
        raise UserError(f"{data.root} has masks but no images; {_obtain(data)}")
    unlabeled = [case.id for case in cases if not case.diagnosis]
    cases = tuple(case for case in cases if case.diagnosis)
    left_out = (*data.left_out, *(f"{name}: no image" for name in without))
    left_out = (*left_out, *(f"{name}: no diagnosis" for name in unlabeled))
    data = replace(data, cases=cases, left_out=left_out)
    if len(data.classes) < 2:
        told = f" and {len(unlabeled)} without a diagnosis" if unlabeled else ""
        raise UserError(
            f"{data.root} has images of {len(data.classes)} classes{told}; a classifier needs two: {_obtain(data)}"
        )
    return data


def _layout(folder: Path, name: str | None) -> DatasetReader:
    layouts = entries(DatasetReader)
    if name is not None:
        return layouts[resolve_name(name, layouts, "layout")]
    found = [entry for entry in layouts.values() if entry.detect(folder)]
    if not found:
        empty = "is empty" if not any(folder.iterdir()) else f"has none of the layouts {', '.join(layouts)}"
        raise UserError(
            f"{folder} {empty}; `python -m benchmark list datasets` says what to unpack, CONTRIBUTING.md how to add one"
        )
    if len(found) > 1:
        raise UserError(f"{folder} looks like {', '.join(entry.name for entry in found)}; name one with --layout")
    return found[0]


def _obtain(data: DatasetIndex) -> str:
    return entries(DatasetReader)[data.layout].obtain if data.layout in entries(DatasetReader) else "add some"


def _with_images(cases: tuple[Sample, ...], folder: Path) -> tuple[Sample, ...]:
    """The cases that lack an image, with that of the same stem in a folder."""
    if not folder.is_dir():
        raise UserError(f"--images-folder: {folder} is not a folder; give the folder that holds the images")
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES}
    if not found.keys() & {case.id for case in cases}:
        raise UserError(
            f"--images-folder: no file in {folder} is named like an image of the data set, such as {cases[0].id}"
        )
    return tuple(replace(case, image=case.image or found.get(case.id)) for case in cases)


def _embedded() -> Path:
    key = content_key(dermsynth.VERSION, EMBEDDED_IMAGES)
    folder = synthetic_dir(key)
    if not folder.is_dir():
        with new_directory(folder) as temporary:
            dermsynth.render(temporary, images=EMBEDDED_IMAGES)
    return folder
