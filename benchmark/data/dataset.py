"""From the index of a data set to arrays with a split."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.config.presets import ENGINE_VERSION, Preset
from benchmark.data.cache import DecodedArrays, load_decoded
from benchmark.data.digests import digests
from benchmark.data.duplicates import find_leaks, perceptual_hashes
from benchmark.data.load import find_divided_groups, require_usable
from benchmark.data.manifest import has_attributes, read_manifest, sample_files, write_manifest
from benchmark.data.readings import (
    CHANGED_PIXELS,
    MarkedArea,
    describe_areas,
    describe_readings,
    load_readings,
    measure_area,
)
from benchmark.data.splits import (
    Splits,
    describe_split,
    require_images_of_every_class,
    select_samples,
    split,
    without_split,
)
from benchmark.errors import UserError
from benchmark.phrases import format_count
from benchmark.registry import select
from benchmark.runtime.mapped import release_pages
from benchmark.storage.cache import cached_file, load_or_make
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
        notes: One line for each decision that a user may want to change.
        manifest: CSV file with the split and the SHA-256 of every file.
        images: Pixels (N, S, S, 3), uint8.
        samples: One row per image: id, label, group, split.
        mask_arrays: Reference masks (M, S, S), uint8. 255 is fully marked.
        references: One row per mask array: sample (row of `samples`), level, rater, characteristic, as in
            :class:`benchmark.data.references.Reference`.
        layout: Name of the reader that loaded it.
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
    notes: tuple[str, ...] = ()
    split_origin: str = ""
    layout: str = ""

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
    split_groups: bool = False,
    report: Callable[[int, int], None] = lambda *_: None,
) -> ImageDataset:
    """Decodes the images and masks that a preset selects, or opens the cache that has them.

    Args:
        data: The index.
        preset: Sets the number of images, their size, the split and the aggregation.
        classes: Diagnoses in the order of the labels. By default those of the data set, sorted by name.
        manifest: The split of another run, to use instead of a new one.
        split_groups: Whether that split may divide a group.
        report: Called with the number of images done and of all.

    Raises:
        UserError: The data cannot be used as it is, or the disk is full. The message names the remedy.
    """
    data = require_usable(data)
    given = manifest is not None
    if manifest is None:
        samples, left_out = without_split(data, preset)
        data = replace(data, left_out=(*data.left_out, *left_out))
        samples, (splits, manifest, file_digests) = select_samples(
            samples, preset, lambda selected: _stored_split(data, selected, preset)
        )
    else:
        file_digests = digests(data.root, [path for sample in data.samples for path in sample_files(sample)])
        samples, splits = read_manifest(manifest, data.samples, file_digests)
        _require_whole_groups(manifest, samples, splits, allowed=split_groups)
        require_images_of_every_class(samples, splits, tested=preset.test_folds > 0)
    aggregation = select(Aggregation, [preset.aggregation])[0]
    readings = load_readings(samples)
    # Images that are read as they are stored have the key that they always had.
    content = [
        [*_files(sample, file_digests), *sorted(CHANGED_PIXELS.intersection(done))]
        for sample, done in zip(samples, readings, strict=True)
    ]
    key = content_key(ENGINE_VERSION, preset.image_size, preset.aggregation, content)
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
        notes=(*data.notes, *describe_readings(samples, readings), *describe_areas(_areas(arrays))),
        manifest=manifest,
        images=arrays.images,
        samples=pd.DataFrame(table),
        mask_arrays=arrays.mask_arrays,
        references=arrays.references,
        split_origin=describe_split(samples, splits, given=given),
        layout=data.layout,
    )


def leaks(data: ImageDataset, pretraining: ImageDataset | None = None) -> list[tuple[str, str]]:
    """Returns the test images with a near-duplicate among the other images: pairs (other, test) of names."""
    hashes = perceptual_hashes(data.images)
    not_tested = np.setdiff1d(np.arange(len(data.images)), data.test)
    names = data.samples["id"].to_numpy()
    others, other_names = hashes[not_tested], names[not_tested]
    if pretraining is not None:
        others = np.concatenate([others, perceptual_hashes(pretraining.images)])
        other_names = np.concatenate([other_names, pretraining.samples["id"].to_numpy()])
    pairs = find_leaks(others, hashes[data.test])
    return [(str(other_names[one]), str(names[data.test[other]])) for one, other in pairs]


def _areas(arrays: DecodedArrays) -> list[MarkedArea]:
    unions = np.flatnonzero(arrays.references["level"] == "union")
    areas = []
    for index in unions:
        areas.append(measure_area(arrays.mask_arrays[index] > 127))
        release_pages(arrays.mask_arrays)
    return areas


def _require_whole_groups(manifest: Path, samples: Sequence[Sample], splits: Splits, *, allowed: bool) -> None:
    groups = [sample.group for sample in samples]
    divided = [] if allowed else find_divided_groups(zip(groups, splits.tolist(), strict=True))
    if divided:
        what = f"has {format_count(len(divided), 'group')} on several sides, such as {divided[0]}"
        raise UserError(f"{manifest} {what}; correct it, or accept it with --allow-split-groups")


def _stored_split(
    data: DatasetIndex, samples: tuple[Sample, ...], preset: Preset
) -> tuple[Splits, Path, dict[Path, str]]:
    """Returns the split of these samples, its path, and the SHA-256 of their files.

    It is drawn once, so library updates cannot change it.
    """
    root = None if data.pseudonymous else data.root
    file_digests = digests(data.root, [path for sample in samples for path in sample_files(sample)])
    settings = [preset.test_folds, preset.val_folds]
    content = [
        [sample.id, sample.diagnosis, sample.group, sample.split, *_files(sample, file_digests)] for sample in samples
    ]
    path = split_file(content_key(ENGINE_VERSION, settings, content))

    def make(temporary: Path) -> None:
        splits = split(samples, preset.test_folds, preset.val_folds)
        write_manifest(temporary, root, samples, splits, file_digests)

    def load(stored: Path) -> Splits:
        return read_manifest(stored, samples, file_digests)[1]

    splits = load_or_make(path, make, load)
    if not has_attributes(path, samples):
        with cached_file(path) as temporary:
            write_manifest(temporary, root, samples, splits, file_digests)
    return splits, path, file_digests


def _files(sample: Sample, file_digests: dict[Path, str]) -> list[str]:
    """Lists everything that the pixels and references of a sample depend on."""
    masks = [
        f"{mask.rater}|{mask.characteristic}|{mask.reading}|{sorted(mask.marks or ())}|{mask.box}|"
        f"{file_digests[mask.path]}"
        for mask in (*sample.masks, *((sample.marked,) if sample.marked else ()))
    ]
    return [file_digests[sample.image] if sample.image else "", str(sample.frame), *masks]
