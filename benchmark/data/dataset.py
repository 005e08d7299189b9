"""From the index of a data set to arrays, with its split."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.config.presets import ENGINE_VERSION, Preset
from benchmark.data.cache import decoded
from benchmark.data.digests import digests
from benchmark.data.duplicates import near_duplicates, perceptual_hashes
from benchmark.data.load import usable
from benchmark.data.manifest import read_manifest, sample_files, write_manifest
from benchmark.data.splits import Splits, every_class_has_images, officially_split, split, take
from benchmark.registry import select
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import split_file
from datasets import Aggregation, DatasetIndex, Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDataset:
    """A data set as arrays of one size.

    Attributes:
        name: Name of the data set.
        key: Stands for every byte of the files, the choice of images, their labels, the split and the size.
        synthetic: Whether the images were rendered.
        classes: Diagnoses by label number.
        available: Number of images in the data set, of which these are a part.
        left_out: One line for each thing that was left out.
        manifest: CSV file with the split and the SHA-256 of every file.
        images: Pixels (N, S, S, 3), uint8.
        cases: One row per image: id, label, group, split.
        planes: Reference masks (M, S, S), uint8; 255 is full marks.
        references: One row per plane: case (row of `cases`), level, rater, characteristic, as in
            :class:`benchmark.data.references.Reference`.
    """

    name: str
    key: str
    synthetic: bool
    classes: tuple[str, ...]
    available: int
    left_out: tuple[str, ...]
    manifest: Path
    images: NDArray[np.uint8]
    cases: pd.DataFrame
    planes: NDArray[np.uint8]
    references: pd.DataFrame

    def rows(self, split: str) -> NDArray[np.intp]:
        """Row numbers of the images for "train", "validation" or "test"."""
        return np.flatnonzero(self.cases["split"].to_numpy() == split)

    @property
    def test(self) -> NDArray[np.intp]:
        """Row numbers of the test images."""
        return self.rows("test")

    @property
    def train(self) -> NDArray[np.intp]:
        """Row numbers of the training images."""
        return self.rows("train")

    def mean_color(self) -> NDArray[np.float64]:
        """Mean color (3,) of the training images, in [0, 1]."""
        # Image by image, because they may be more than the memory holds.
        return np.mean([self.images[row].mean(axis=(0, 1)) for row in self.train], axis=0) / 255

    def masks(self, rows: NDArray[np.intp]) -> NDArray[np.float16]:
        """Merged masks of some images, (N, S, S), in [0, 1]; NaN where an image has none."""
        merged = self.references[self.references["level"] == "image"]
        plane = pd.Series(merged.index, index=merged["case"]).reindex(rows)
        found = np.full((len(rows), *self.planes.shape[1:]), np.nan, dtype=np.float16)
        known = plane.notna().to_numpy()
        found[known] = self.planes[plane[known].to_numpy(dtype=np.intp)] / np.float16(255)
        return found

    def sample(self, most: int | None) -> NDArray[np.intp]:
        """Places among the test images of at most so many of them; None takes all.

        By a hash of their names: neighbors in a folder are often of one class.
        """
        names = self.cases["id"].to_numpy()[self.test]
        order = sorted(range(len(names)), key=lambda place: hashlib.sha256(str(names[place]).encode()).digest())
        return np.sort(np.array(order[:most], dtype=np.intp))


def prepare(
    data: DatasetIndex,
    preset: Preset,
    *,
    classes: Sequence[str] = (),
    manifest: Path | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> ImageDataset:
    """Decodes the images and masks that a preset takes, or opens the cache that holds them.

    Args:
        data: The index.
        preset: Says how many images, at what size, split and merged how.
        classes: Diagnoses by label number; none takes those of the data set, sorted by name.
        manifest: The split of another run, to be used instead of a new one.
        report: Called with the number of images done and of all.

    Raises:
        UserError: The data cannot be used as it is, or the disk is full; the message says what to do.
    """
    data = usable(data)
    official = preset.folds > 0 and officially_split(data.cases)
    cases = tuple(case for case in data.cases if case.split) if official else data.cases
    if len(cases) < len(data.cases):
        outside = (f"{case.id}: no place in the official split" for case in data.cases if not case.split)
        data = replace(data, left_out=(*data.left_out, *outside))
    if manifest is None:
        cases = take(cases, preset.images, least=max(2, preset.folds))
        prints = digests(data.root, [path for case in cases for path in sample_files(case)])
        splits, manifest = _kept_split(data.root, cases, preset, prints)
    else:
        prints = digests(data.root, [path for case in cases for path in sample_files(case)])
        cases, splits = read_manifest(manifest, cases, prints)
        every_class_has_images(cases, splits, tested=preset.folds > 0)
    merge = select(Aggregation, [preset.merge])[0]
    key = content_key(ENGINE_VERSION, preset.side, preset.merge, [_files(case, prints) for case in cases])
    arrays = decoded(key, cases, preset.side, merge, lambda done: report(done, len(cases)))
    told = [[case.id, case.diagnosis, case.group, str(side)] for case, side in zip(cases, splits, strict=True)]
    label = {name: number for number, name in enumerate(classes or data.classes)}
    table = {
        "id": [case.id for case in cases],
        "label": [label[case.diagnosis] for case in cases],
        "group": [case.group for case in cases],
        "split": [str(side) for side in splits],
    }
    return ImageDataset(
        name=data.name,
        key=content_key(key, told, list(label)),
        synthetic=data.synthetic,
        classes=tuple(label),
        available=len(data.cases),
        left_out=data.left_out,
        manifest=manifest,
        images=arrays.images,
        cases=pd.DataFrame(table),
        planes=arrays.planes,
        references=arrays.references,
    )


def leaks(data: ImageDataset, pretraining: ImageDataset | None = None) -> list[tuple[str, str]]:
    """Names of images that are learned from, or chosen by, and of test images that look like them."""
    hashes = perceptual_hashes(data.images)
    learned = np.setdiff1d(np.arange(len(data.images)), data.test)
    names = data.cases["id"].to_numpy()
    others, other_names = hashes[learned], names[learned]
    if pretraining is not None:
        others = np.concatenate([others, perceptual_hashes(pretraining.images)])
        other_names = np.concatenate([other_names, pretraining.cases["id"].to_numpy()])
    pairs = near_duplicates(others, hashes[data.test])
    return [(str(other_names[one]), str(names[data.test[other]])) for one, other in pairs]


def _kept_split(root: Path, cases: tuple[Sample, ...], preset: Preset, prints: dict[Path, str]) -> tuple[Splits, Path]:
    """The split of these files, made once and read ever after, whatever becomes of the library that drew it."""
    settings = [preset.folds, preset.validation]
    told = [[case.id, case.diagnosis, case.group, case.split, *_files(case, prints)] for case in cases]
    path = split_file(content_key(ENGINE_VERSION, settings, told))
    if not path.is_file():
        write_manifest(path, root, cases, split(cases, preset.folds, preset.validation), prints)
    return read_manifest(path, cases, prints)[1], path


def _files(case: Sample, prints: dict[Path, str]) -> list[str]:
    """What decides the pixels and references of a case."""
    masks = [
        f"{mask.rater}|{mask.characteristic}|{mask.reading}|{sorted(mask.marks or ())}|{mask.box}|{prints[mask.path]}"
        for mask in (*case.masks, *((case.marked,) if case.marked else ()))
    ]
    return [prints[case.image] if case.image else "", str(case.frame), *masks]
