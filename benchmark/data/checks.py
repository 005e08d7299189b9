"""The check of a data set: its statistics, every problem with its files, and whether a run would refuse it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmark.config.presets import QUICK, Preset
from benchmark.data.digests import digests
from benchmark.data.duplicates import DuplicateFinder, perceptual_hash
from benchmark.data.identifying import find_identifying, sample_columns
from benchmark.data.load import require_usable
from benchmark.data.readings import MarkedArea, describe_areas, describe_readings, load_readings, measure_area
from benchmark.data.splits import select_samples, split, without_split
from benchmark.errors import UserError
from benchmark.runtime.parallel import parallel_map
from datasets import BadFileError, DatasetIndex, Mask, Problem, Sample
from datasets.image_io import image_size, read_image, read_mask

HASH_IMAGE_SIZE = 64
"""Side in pixels at which images are hashed. The hash uses frequencies that a quarter of it can represent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleReport:
    """The report on one image and its masks.

    Attributes:
        size: Width and height. None if nothing could be read.
        hash: Perceptual hash of the image. None if the image is missing or damaged.
        empty: Number of masks that mark nothing.
        area: The area that all raters together mark at first reading. None without masks.
        problems: Problems with its files.
    """

    size: tuple[int, int] | None
    hash: int | None
    empty: int
    area: MarkedArea | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataReport:
    """The report on a data set.

    Attributes:
        facts: Counts, ready for JSON.
        problems: Problems to fix or exclude before a run.
        refusal: What `run` says if it refuses the data set for another reason, such as a class that is too rare. None
            if it accepts it.
        alike: Pairs of near-duplicate images, by name, the first ones of many.
    """

    facts: dict[str, Any]
    problems: tuple[Problem, ...]
    refusal: str | None
    alike: list[tuple[str, str]]


def check_dataset(data: DatasetIndex, report: Callable[[int, int], None], preset: Preset = QUICK) -> DataReport:
    """Decodes every image and mask of a data set and reports what is wrong with it.

    Args:
        data: The index.
        report: Called with the number of images done and of all.
        preset: The settings of the run that follows.

    Raises:
        UserError: A file cannot be opened.
    """
    reports: list[SampleReport] = []
    for sample_report in parallel_map(_check_sample, data.samples):
        reports.append(sample_report)
        report(len(reports), len(data.samples))
    found = (problem for sample_report in reports for problem in sample_report.problems)
    hashes = [sample_report.hash for sample_report in reports]
    hashed = [sample for sample, value in zip(data.samples, hashes, strict=True) if value is not None]
    finder = DuplicateFinder(np.array([value for value in hashes if value is not None], dtype=np.uint64))
    facts = _facts(data, reports) | _count_alike(data, hashed, finder)
    readings = describe_readings(data.samples, load_readings(data.samples))
    areas = describe_areas(sample_report.area for sample_report in reports if sample_report.area)
    facts |= {"privacy": [] if data.synthetic else find_identifying(sample_columns(data.samples), data.classes)}
    facts |= {"notes": [*data.notes, *readings, *areas], "left_out": list(data.left_out)}
    return DataReport(
        facts=facts,
        problems=(*data.problems, *found),
        refusal=find_refusal(data, preset),
        alike=[(hashed[one].id, hashed[other].id) for one, other in finder.examples],
    )


def find_refusal(data: DatasetIndex, preset: Preset) -> str | None:
    """Returns what a run says if it refuses a data set whose problems are solved. None if it accepts it."""
    try:
        samples, _ = without_split(require_usable(replace(data, problems=())), preset)
        select_samples(samples, preset, lambda selected: split(selected, preset.test_folds, preset.val_folds))
    except UserError as error:
        return str(error)
    return None


def _check_sample(sample: Sample) -> SampleReport:
    size, image_hash, problems = None, None, []
    if sample.image is not None:
        try:
            size = image_size(sample)
            image_hash = perceptual_hash(read_image(sample, HASH_IMAGE_SIZE))
        except BadFileError as error:
            problems.append(error.problem)
    union, empty = None, 0
    for mask in (*sample.masks, *([sample.marked] if sample.marked else [])):
        try:
            array = read_mask(mask, size)
        except BadFileError as error:
            problems.append(error.problem)
            continue
        size = size or (array.shape[1], array.shape[0])
        if mask is not sample.marked:
            empty += not array.any()
            union = array if union is None else union | array
    area = None if union is None else measure_area(union)
    return SampleReport(size=size, hash=image_hash, empty=empty, area=area, problems=tuple(problems))


def _facts(data: DatasetIndex, reports: list[SampleReport]) -> dict[str, Any]:
    masks = [mask for sample in data.samples for mask in sample.masks]
    masked = [sample for sample in data.samples if sample.masks]
    return {
        "name": data.name,
        "layout": data.layout,
        "synthetic": data.synthetic,
        "cases": len(data.samples),
        "images": sum(sample.image is not None for sample in data.samples),
        "images_with_masks": len(masked),
        "images_without_masks": len(data.samples) - len(masked),
        "masks": len({(mask.path, mask.box, sample.frame) for sample in masked for mask in sample.masks}),
        "empty_masks": sum(report.empty for report in reports),
        "classes": _count(sample.diagnosis or "(unknown)" for sample in data.samples),
        "classes_with_masks": _count(sample.diagnosis or "(unknown)" for sample in masked),
        "raters": _count(rater for sample in masked for rater in {_rater_name(mask) for mask in sample.masks}),
        "characteristics": _count(mask.characteristic or "(outline)" for mask in masks),
        "groups": len({sample.group for sample in data.samples}),
        "splits": _count(sample.split for sample in data.samples if sample.split),
        "attributes": _count(name for sample in data.samples for name in sample.attributes),
        "marked_area": _marked_areas(data.samples, reports),
        "sizes": _count(f"{report.size[0]}x{report.size[1]}" for report in reports if report.size),
    }


def _rater_name(mask: Mask) -> str:
    return mask.rater if mask.reading == 1 else f"{mask.rater} (reading {mask.reading})"


def _count(names: Iterable[str]) -> dict[str, int]:
    """Counts each name, the most common one first."""
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0])))


def _marked_areas(samples: Iterable[Sample], reports: Iterable[SampleReport]) -> dict[str, str]:
    """Returns median and range of the marked fraction of each class."""
    fractions: dict[str, list[float]] = {}
    for sample, report in zip(samples, reports, strict=True):
        if report.area:
            fractions.setdefault(sample.diagnosis or "(unknown)", []).append(report.area.fraction)
    return {
        name: f"median {np.median(values):.3f}, {min(values):.3f} to {max(values):.3f}"
        for name, values in sorted(fractions.items())
    }


def _count_alike(data: DatasetIndex, samples: list[Sample], finder: DuplicateFinder) -> dict[str, int]:
    """Counts near-duplicate pairs, and those that indicate an error: of two classes, two groups or two sides."""
    file_digests = digests(data.root, [sample.image for sample in samples if sample.image and sample.frame is None])
    copies = Counter(file_digests.values())
    pairs, of_two_classes = finder.count([sample.diagnosis for sample in samples])
    return {
        "identical_images": sum(count - 1 for count in copies.values()),
        "near_duplicates": pairs,
        "near_duplicates_of_two_classes": of_two_classes,
        "near_duplicates_of_two_groups": finder.count([sample.group for sample in samples])[1],
        "near_duplicates_across_official_splits": finder.count([sample.split for sample in samples])[1],
    }
