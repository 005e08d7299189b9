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
        samples: One row per image: id, label, group, split.
        planes: Reference masks (M, S, S), uint8; 255 is full marks.
        references: One row per plane: case (row of `samples`), level, rater, characteristic, as in
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
    samples: pd.DataFrame
    planes: NDArray[np.uint8]
    references: pd.DataFrame

    def rows(self, split: str) -> NDArray[np.intp]:
        """Row numbers of the images for "train", "validation" or "test"."""
        return np.flatnonzero(self.samples["split"].to_numpy() == split)

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
        plane = pd.Series(merged.index, index=merged["sample"]).reindex(rows)
        found = np.full((len(rows), *self.planes.shape[1:]), np.nan, dtype=np.float16)
        known = plane.notna().to_numpy()
        found[known] = self.planes[plane[known].to_numpy(dtype=np.intp)] / np.float16(255)
        return found

    def subset(self, most: int | None) -> NDArray[np.intp]:
        """Places among the test images of at most so many of them; None takes all.

        By a hash of their names: neighbors in a directory are often of one class.
        """
        names = self.samples["id"].to_numpy()[self.test]
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
    official = preset.test_folds > 0 and officially_split(data.samples)
    samples = tuple(sample for sample in data.samples if sample.split) if official else data.samples
    if len(samples) < len(data.samples):
        outside = (f"{sample.id}: no place in the official split" for sample in data.samples if not sample.split)
        data = replace(data, left_out=(*data.left_out, *outside))
    if manifest is None:
        samples = take(samples, preset.limit, least=max(2, preset.test_folds))
        prints = digests(data.root, [path for sample in samples for path in sample_files(sample)])
        splits, manifest = _kept_split(data.root, samples, preset, prints)
    else:
        prints = digests(data.root, [path for sample in samples for path in sample_files(sample)])
        samples, splits = read_manifest(manifest, samples, prints)
        every_class_has_images(samples, splits, tested=preset.test_folds > 0)
    merge = select(Aggregation, [preset.aggregation])[0]
    key = content_key(
        ENGINE_VERSION, preset.image_size, preset.aggregation, [_files(sample, prints) for sample in samples]
    )
    arrays = decoded(key, samples, preset.image_size, merge, lambda done: report(done, len(samples)))
    told = [
        [sample.id, sample.diagnosis, sample.group, str(side)] for sample, side in zip(samples, splits, strict=True)
    ]
    label = {name: number for number, name in enumerate(classes or data.classes)}
    table = {
        "id": [sample.id for sample in samples],
        "label": [label[sample.diagnosis] for sample in samples],
        "group": [sample.group for sample in samples],
        "split": [str(side) for side in splits],
    }
    return ImageDataset(
        name=data.name,
        key=content_key(key, told, list(label)),
        synthetic=data.synthetic,
        classes=tuple(label),
        available=len(data.samples),
        left_out=data.left_out,
        manifest=manifest,
        images=arrays.images,
        samples=pd.DataFrame(table),
        planes=arrays.planes,
        references=arrays.references,
    )


def leaks(data: ImageDataset, pretraining: ImageDataset | None = None) -> list[tuple[str, str]]:
    """Names of images that are learned from, or chosen by, and of test images that look like them."""
    hashes = perceptual_hashes(data.images)
    learned = np.setdiff1d(np.arange(len(data.images)), data.test)
    names = data.samples["id"].to_numpy()
    others, other_names = hashes[learned], names[learned]
    if pretraining is not None:
        others = np.concatenate([others, perceptual_hashes(pretraining.images)])
        other_names = np.concatenate([other_names, pretraining.samples["id"].to_numpy()])
    pairs = near_duplicates(others, hashes[data.test])
    return [(str(other_names[one]), str(names[data.test[other]])) for one, other in pairs]


def _kept_split(
    root: Path, samples: tuple[Sample, ...], preset: Preset, prints: dict[Path, str]
) -> tuple[Splits, Path]:
    """The split of these files, made once and read ever after, whatever becomes of the library that drew it."""
    settings = [preset.test_folds, preset.val_folds]
    told = [[sample.id, sample.diagnosis, sample.group, sample.split, *_files(sample, prints)] for sample in samples]
    path = split_file(content_key(ENGINE_VERSION, settings, told))
    if not path.is_file():
        write_manifest(path, root, samples, split(samples, preset.test_folds, preset.val_folds), prints)
    return read_manifest(path, samples, prints)[1], path


def _files(sample: Sample, prints: dict[Path, str]) -> list[str]:
    """What decides the pixels and references of a case."""
    masks = [
        f"{mask.rater}|{mask.characteristic}|{mask.reading}|{sorted(mask.marks or ())}|{mask.box}|{prints[mask.path]}"
        for mask in (*sample.masks, *((sample.marked,) if sample.marked else ()))
    ]
    return [prints[sample.image] if sample.image else "", str(sample.frame), *masks]
