"""From a data set to arrays: decoded once, kept in a memory-mapped cache."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.presets import ENGINE_VERSION, Preset
from benchmark.registry import entries, known_name
from benchmark.splits import held_out, take
from benchmark.store import content_key, file_digest, new_folder, runs_folder
from datasets import Case, DataSet, Layout, dermsynth
from datasets.merging import additive_max, shrink
from datasets.pictures import picture_size, read_image, read_mask

EMBEDDED_IMAGES = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A data set as arrays of one size.

    Attributes:
        name: Name of the data set.
        key: Stands for every byte of the files, the choice of images and the size.
        synthetic: Whether the images were rendered.
        classes: Diagnoses by label number.
        available: Number of images in the data set, of which these are a part.
        left_out: One line for each thing that the reader left out.
        images: Pixels (N, S, S, 3), uint8.
        cases: One row per image: id, label, group, test.
        planes: Reference masks (M, S, S), uint8; 255 is full marks.
        references: One row per plane: case (row of `cases`), level, rater, characteristic.

    Levels of a reference: `image` (all raters and characteristics merged), `union` (what anybody marked),
    `characteristic`, `rater` (one rater's own merge), `others` (the merge of all but that rater) and
    `shortcut` (the planted mark of synthetic images).
    """

    name: str
    key: str
    synthetic: bool
    classes: tuple[str, ...]
    available: int
    left_out: tuple[str, ...]
    images: NDArray[np.uint8]
    cases: pd.DataFrame
    planes: NDArray[np.uint8]
    references: pd.DataFrame

    @property
    def test(self) -> NDArray[np.intp]:
        """Row numbers of the test images."""
        return np.flatnonzero(self.cases["test"].to_numpy())

    def sample(self, most: int | None) -> NDArray[np.intp]:
        """Places among the test images of at most so many of them; None takes all.

        By a hash of their names: neighbours in a folder are often of one class.
        """
        names = self.cases["id"].to_numpy()[self.test]
        order = sorted(range(len(names)), key=lambda place: hashlib.sha256(str(names[place]).encode()).digest())
        return np.sort(np.array(order[:most], dtype=np.intp))

    @property
    def train(self) -> NDArray[np.intp]:
        """Row numbers of the training images."""
        return np.flatnonzero(~self.cases["test"].to_numpy())


def open_data(folder: Path | None, layout: str | None = None) -> DataSet:
    """The index of a folder, or of the embedded data, which is rendered on first use.

    Raises:
        UserError: The folder is missing, nobody knows its layout, or it cannot be used.
    """
    folder = _embedded() if folder is None else folder
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder that holds the data set")
    layouts = entries(Layout)
    if layout is not None:
        chosen = layouts[known_name(layout, layouts, "layout")]
    else:
        found = [entry for entry in layouts.values() if entry.recognise(folder)]
        if not found:
            raise UserError(f"{folder} has none of the layouts {', '.join(layouts)}; see CONTRIBUTING.md to add one")
        chosen = found[0]
    try:
        data = chosen.read(folder.resolve())
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    if len(data.classes) < 2:
        raise UserError(f"{folder} has images of {len(data.classes)} classes; a classifier needs at least two")
    return data


def prepare(data: DataSet, preset: Preset) -> Prepared:
    """Decodes the images and masks that a preset takes, or opens the cache that holds them.

    Raises:
        UserError: A file is damaged, or a mask has another size than its image.
    """
    cases = take(data.cases, preset.images, least=preset.folds)
    test = held_out(cases, preset.folds)
    try:
        prints = _fingerprint(cases)
    except OSError as error:
        raise UserError(str(error)) from None
    key = content_key(ENGINE_VERSION, preset.side, data.classes, [bool(flag) for flag in test], prints)
    folder = runs_folder() / "data" / key
    if not folder.is_dir():
        with new_folder(folder) as temporary:
            try:
                _write(temporary, data, cases, test, preset.side)
            except ValueError as error:
                raise UserError(str(error)) from None
    return Prepared(
        name=data.name,
        key=key,
        synthetic=data.synthetic,
        classes=data.classes,
        available=len(data.cases),
        left_out=data.left_out,
        images=np.load(folder / "images.npy", mmap_mode="r"),
        cases=pd.read_parquet(folder / "cases.parquet"),
        planes=np.load(folder / "planes.npy", mmap_mode="r"),
        references=pd.read_parquet(folder / "references.parquet"),
    )


def _embedded() -> Path:
    key = content_key(dermsynth.VERSION, EMBEDDED_IMAGES)
    folder = runs_folder() / "data" / f"dermsynth-{key}" / "dermsynth"
    if not folder.is_dir():
        with new_folder(folder) as temporary:
            dermsynth.render(temporary, images=EMBEDDED_IMAGES)
    return folder


def _fingerprint(cases: tuple[Case, ...]) -> list[list[str]]:
    """What every case is and the digest of every file of it."""
    prints = []
    for case in cases:
        masks = [f"{mask.rater}|{mask.characteristic}|{file_digest(mask.path)}" for mask in case.masks]
        marked = file_digest(case.marked) if case.marked else ""
        prints.append([case.id, case.diagnosis, case.group, file_digest(case.image), marked, *masks])
    return prints


def _write(folder: Path, data: DataSet, cases: tuple[Case, ...], test: NDArray[np.bool_], side: int) -> None:
    images = np.lib.format.open_memmap(
        folder / "images.npy", mode="w+", dtype=np.uint8, shape=(len(cases), side, side, 3)
    )
    planes: list[NDArray[np.uint8]] = []
    rows: list[tuple[int, str, str, str]] = []
    for index, case in enumerate(cases):
        images[index] = read_image(case.image, side)
        for level, rater, characteristic, plane in _references(case):
            rows.append((index, level, rater, characteristic))
            planes.append(shrink(plane, side))
    images.flush()
    np.save(folder / "planes.npy", np.stack(planes) if planes else np.zeros((0, side, side), dtype=np.uint8))
    columns = ["case", "level", "rater", "characteristic"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "references.parquet")
    label = {name: number for number, name in enumerate(data.classes)}
    table = {
        "id": [case.id for case in cases],
        "label": [label[case.diagnosis] for case in cases],
        "group": [case.group for case in cases],
        "test": test,
    }
    pd.DataFrame(table).to_parquet(folder / "cases.parquet")


def _references(case: Case) -> Iterator[tuple[str, str, str, NDArray[np.uint8]]]:
    """Level, rater, characteristic and plane (H, W) of every reference of an image."""
    if case.marked:
        yield "shortcut", "", "", read_mask(case.marked).astype(np.uint8) * 255
    if not case.masks:
        return
    shape = picture_size(case.image)[::-1]
    votes: dict[tuple[str, str], NDArray[np.int64]] = {}
    for mask in case.masks:
        drawn = read_mask(mask.path)
        if drawn.shape != shape:
            sizes = f"{drawn.shape[1]} x {drawn.shape[0]}, its image {shape[1]} x {shape[0]}"
            raise ValueError(f"{mask.path} is {sizes}; a mask must fit its image: mend or remove it")
        place = (mask.rater, mask.characteristic)
        votes[place] = votes.get(place, 0) + drawn.astype(np.int64)
    everything = sum(votes.values(), start=np.zeros(shape, dtype=np.int64))
    yield "image", "", "", additive_max(everything)
    yield "union", "", "", (everything > 0).astype(np.uint8) * 255
    characteristics = sorted({characteristic for _, characteristic in votes})
    if len(characteristics) > 1 or characteristics != ["lesion"]:
        for name in characteristics:
            yield "characteristic", "", name, additive_max(_total(votes, characteristic=name))
    raters = sorted({rater for rater, _ in votes})
    if len(raters) > 1:
        for rater in raters:
            own = _total(votes, rater=rater)
            yield "rater", rater, "", additive_max(own)
            yield "others", rater, "", additive_max(everything - own)


def _total(
    votes: dict[tuple[str, str], NDArray[np.int64]], rater: str | None = None, characteristic: str | None = None
) -> NDArray[np.int64]:
    wanted = [
        plane
        for (drawn_by, name), plane in votes.items()
        if rater in {None, drawn_by} and characteristic in {None, name}
    ]
    return np.sum(wanted, axis=0)
