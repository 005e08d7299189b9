"""From the index of a data set to arrays with a split."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.config.presets import ENGINE_VERSION, Preset
from benchmark.data.cache import load_decoded
from benchmark.data.digests import digests
from benchmark.data.duplicates import near_duplicates, perceptual_hashes
from benchmark.data.load import require_usable
from benchmark.data.manifest import read_manifest, sample_files, write_manifest
from benchmark.data.splits import (
    RareClassError,
    Splits,
    count_needed_per_class,
    describe_split,
    has_official_split,
    limit_samples,
    require_images_of_every_class,
    split,
)
from benchmark.registry import select
from benchmark.storage.cache import load_or_make
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import split_file
from datasets import Aggregation, DatasetIndex, Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDataset:
    """A data set as arrays of one size.

    Attributes:
        name: Name of the data set.
        key: Cache key. Identifies every byte of the files, the selected images, their labels, the split and the size.
        synthetic: Whether the images are rendered.
        classes: Diagnoses in the order of the labels.
        available: Number of images in the data set before the preset limits them.
        left_out: One line for each file or image that is left out.
        manifest: CSV file with the split and the SHA-256 of every file.
        images: Pixels (N, S, S, 3), uint8.
        samples: One row per image: id, label, group, split.
        mask_arrays: Reference masks (M, S, S), uint8. 255 is fully marked.
        references: One row per mask array: sample (row of `samples`), level, rater, characteristic, as in
            :class:`benchmark.data.references.Reference`.
        split_origin: Where the split comes from, by :func:`benchmark.data.splits.describe_split`.
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
    mask_arrays: NDArray[np.uint8]
    references: pd.DataFrame
    split_origin: str = ""

    def rows(self, split: str) -> NDArray[np.intp]:
        """Returns the row indices of the "train", "validation" or "test" images."""
        return np.flatnonzero(self.samples["split"].to_numpy() == split)

    @property
    def test(self) -> NDArray[np.intp]:
        """Row indices of the test images."""
        return self.rows("test")

    @property
    def train(self) -> NDArray[np.intp]:
        """Row indices of the training images."""
        return self.rows("train")

    def mean_color(self) -> NDArray[np.float64]:
        """Computes the mean color (3,) of the training images, in [0, 1]."""
        # Image by image, because all of them may not fit into memory.
        return np.mean([self.images[row].mean(axis=(0, 1)) for row in self.train], axis=0) / 255

    def masks(self, rows: NDArray[np.intp]) -> NDArray[np.float16]:
        """Returns the aggregated masks of some images, (N, S, S), in [0, 1]. NaN for images without a mask."""
        merged = self.references[self.references["level"] == "image"]
        indices = pd.Series(merged.index, index=merged["sample"]).reindex(rows)
        masks = np.full((len(rows), *self.mask_arrays.shape[1:]), np.nan, dtype=np.float16)
        has_mask = indices.notna().to_numpy()
        masks[has_mask] = self.mask_arrays[indices[has_mask].to_numpy(dtype=np.intp)] / np.float16(255)
        return masks

    def subset(self, max_images: int | None) -> NDArray[np.intp]:
        """Returns indices of at most `max_images` test images, counted among the test images. None returns all.

        The order is that of hashed names, because neighbors in a directory are often of one class.
        """
        names = self.samples["id"].to_numpy()[self.test]
        order = sorted(range(len(names)), key=lambda index: hashlib.sha256(str(names[index]).encode()).digest())
        return np.sort(np.array(order[:max_images], dtype=np.intp))


def prepare_dataset(
    data: DatasetIndex,
    preset: Preset,
    *,
    classes: Sequence[str] = (),
    manifest: Path | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> ImageDataset:
    """Decodes the images and masks that a preset selects, or opens the cache that has them.

    Args:
        data: The index.
        preset: Sets the number of images, their size, the split and the aggregation.
        classes: Diagnoses in the order of the labels. By default those of the data set, sorted by name.
        manifest: The split of another run, to use instead of a new one.
        report: Called with the number of images done and of all.

    Raises:
        UserError: The data cannot be used as it is, or the disk is full. The message names the remedy.
    """
    data = require_usable(data)
    official = preset.test_folds > 0 and has_official_split(data.samples)
    samples = tuple(sample for sample in data.samples if sample.split) if official else data.samples
    if len(samples) < len(data.samples):
        without_split = (f"{sample.id}: not in the official split" for sample in data.samples if not sample.split)
        data = replace(data, left_out=(*data.left_out, *without_split))
    given = manifest is not None
    if manifest is None:
        try:
            samples, splits, manifest, file_digests = _limit_and_split(data.root, samples, preset)
        except RareClassError:
            if official:
                raise
            # The limit may have left too few images of a class that has enough.
            needed = count_needed_per_class(preset.test_folds, preset.val_folds)
            samples, splits, manifest, file_digests = _limit_and_split(data.root, samples, preset, needed)
    else:
        file_digests = digests(data.root, [path for sample in samples for path in sample_files(sample)])
        samples, splits = read_manifest(manifest, samples, file_digests)
        require_images_of_every_class(samples, splits, tested=preset.test_folds > 0)
    aggregation = select(Aggregation, [preset.aggregation])[0]
    key = content_key(
        ENGINE_VERSION, preset.image_size, preset.aggregation, [_files(sample, file_digests) for sample in samples]
    )
    arrays = load_decoded(key, samples, preset.image_size, aggregation, lambda done: report(done, len(samples)))
    assignment = [
        [sample.id, sample.diagnosis, sample.group, str(side)] for sample, side in zip(samples, splits, strict=True)
    ]
    labels = {name: index for index, name in enumerate(classes or data.classes)}
    table = {
        "id": [sample.id for sample in samples],
        "label": [labels[sample.diagnosis] for sample in samples],
        "group": [sample.group for sample in samples],
        "split": [str(side) for side in splits],
    }
    return ImageDataset(
        name=data.name,
        key=content_key(key, assignment, list(labels)),
        synthetic=data.synthetic,
        classes=tuple(labels),
        available=len(data.samples),
        left_out=data.left_out,
        manifest=manifest,
        images=arrays.images,
        samples=pd.DataFrame(table),
        mask_arrays=arrays.mask_arrays,
        references=arrays.references,
        split_origin=describe_split(samples, splits, given=given),
    )


def leaks(data: ImageDataset, pretraining: ImageDataset | None = None) -> list[tuple[str, str]]:
    """Returns pairs of a training or validation image and a test image that are near-duplicates, by name."""
    hashes = perceptual_hashes(data.images)
    not_tested = np.setdiff1d(np.arange(len(data.images)), data.test)
    names = data.samples["id"].to_numpy()
    others, other_names = hashes[not_tested], names[not_tested]
    if pretraining is not None:
        others = np.concatenate([others, perceptual_hashes(pretraining.images)])
        other_names = np.concatenate([other_names, pretraining.samples["id"].to_numpy()])
    pairs = near_duplicates(others, hashes[data.test])
    return [(str(other_names[one]), str(names[data.test[other]])) for one, other in pairs]


def _limit_and_split(
    root: Path, samples: tuple[Sample, ...], preset: Preset, min_per_class: int = 0
) -> tuple[tuple[Sample, ...], Splits, Path, dict[Path, str]]:
    """Selects the samples of a preset. Returns them, their split, its file, and the SHA-256 of their files."""
    selected = limit_samples(samples, preset.limit, min_per_class=max(2, preset.test_folds, min_per_class))
    file_digests = digests(root, [path for sample in selected for path in sample_files(sample)])
    splits, manifest = _stored_split(root, selected, preset, file_digests)
    return selected, splits, manifest, file_digests


def _stored_split(
    root: Path, samples: tuple[Sample, ...], preset: Preset, file_digests: dict[Path, str]
) -> tuple[Splits, Path]:
    """Returns the split of these files and its path. It is drawn once, so library updates cannot change it."""
    settings = [preset.test_folds, preset.val_folds]
    content = [
        [sample.id, sample.diagnosis, sample.group, sample.split, *_files(sample, file_digests)] for sample in samples
    ]
    path = split_file(content_key(ENGINE_VERSION, settings, content))

    def make(temporary: Path) -> None:
        splits = split(samples, preset.test_folds, preset.val_folds)
        write_manifest(temporary, root, samples, splits, file_digests)

    return load_or_make(path, make, lambda stored: read_manifest(stored, samples, file_digests)[1]), path


def _files(sample: Sample, file_digests: dict[Path, str]) -> list[str]:
    """Lists everything that the pixels and references of a sample depend on."""
    masks = [
        f"{mask.rater}|{mask.characteristic}|{mask.reading}|{sorted(mask.marks or ())}|{mask.box}|"
        f"{file_digests[mask.path]}"
        for mask in (*sample.masks, *((sample.marked,) if sample.marked else ()))
    ]
    return [file_digests[sample.image] if sample.image else "", str(sample.frame), *masks]
