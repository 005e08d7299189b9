"""The check of a data set: its statistics and every problem with its files."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.data.digests import digests
from benchmark.data.duplicates import near_duplicates, perceptual_hash
from benchmark.data.splits import has_official_split
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
        problems: Problems with its files.
    """

    size: tuple[int, int] | None
    hash: int | None
    empty: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataReport:
    """The report on a data set.

    Attributes:
        facts: Counts, ready for JSON.
        problems: Problems to fix or exclude before a run.
        alike: Pairs of near-duplicate images, by name.
    """

    facts: dict[str, Any]
    problems: tuple[Problem, ...]
    alike: list[tuple[str, str]]


def check_dataset(data: DatasetIndex, report: Callable[[int, int], None]) -> DataReport:
    """Decodes every image and mask of a data set and reports what is wrong with it.

    Args:
        data: The index.
        report: Called with the number of images done and of all.

    Raises:
        UserError: A file cannot be opened.
    """
    reports: list[SampleReport] = []
    for sample_report in parallel_map(_check_sample, data.samples):
        reports.append(sample_report)
        report(len(reports), len(data.samples))
    found = (problem for sample_report in reports for problem in sample_report.problems)
    problems = (*data.problems, *found, *_leaking_groups(data))
    hashes = [sample_report.hash for sample_report in reports]
    hashed = [sample for sample, value in zip(data.samples, hashes, strict=True) if value is not None]
    alike = _find_alike(hashed, np.array([value for value in hashes if value is not None], dtype=np.uint64))
    facts = _facts(data, reports) | _count_alike(data, hashed, alike) | {"left_out": list(data.left_out)}
    return DataReport(facts=facts, problems=problems, alike=[(one.id, other.id) for one, other in alike])


def _check_sample(sample: Sample) -> SampleReport:
    size, image_hash, empty, problems = None, None, 0, []
    if sample.image is not None:
        try:
            size = image_size(sample)
            image_hash = perceptual_hash(read_image(sample, HASH_IMAGE_SIZE))
        except BadFileError as error:
            problems.append(error.problem)
    for mask in sample.masks:
        try:
            array = read_mask(mask, size)
        except BadFileError as error:
            problems.append(error.problem)
        else:
            size = size or (array.shape[1], array.shape[0])
            empty += not array.any()
    return SampleReport(size=size, hash=image_hash, empty=empty, problems=tuple(problems))


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
        "sizes": _count(f"{report.size[0]}x{report.size[1]}" for report in reports if report.size),
    }


def _rater_name(mask: Mask) -> str:
    return mask.rater if mask.reading == 1 else f"{mask.rater} (reading {mask.reading})"


def _count(names: Iterable[str]) -> dict[str, int]:
    """Counts each name, the most common one first."""
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0])))


def _leaking_groups(data: DatasetIndex) -> list[Problem]:
    """Lists the groups that an official split assigns to several sides."""
    if not has_official_split(data.samples):
        return []
    sides: dict[str, set[str]] = {}
    for sample in data.samples:
        if sample.split:
            sides.setdefault(sample.group, set()).add(sample.split)
    divided = sorted(group for group, splits in sides.items() if len(splits) > 1)
    what = "has the group {} on several sides of its official split"
    remedy = "remove its images from one side, or accept it with --quarantine"
    return [Problem(file=data.root, what=what.format(group), remedy=remedy) for group in divided]


def _find_alike(samples: list[Sample], hashes: Any) -> list[tuple[Sample, Sample]]:
    return [(samples[one], samples[other]) for one, other in near_duplicates(hashes, hashes) if one < other]


def _count_alike(data: DatasetIndex, samples: list[Sample], alike: list[tuple[Sample, Sample]]) -> dict[str, int]:
    """Counts near-duplicate pairs, and those that indicate an error: of two classes, two groups or two sides."""
    file_digests = digests(data.root, [sample.image for sample in samples if sample.image and sample.frame is None])
    copies = Counter(file_digests.values())
    return {
        "identical_images": sum(count - 1 for count in copies.values()),
        "near_duplicates": len(alike),
        "near_duplicates_of_two_classes": sum(one.diagnosis != other.diagnosis for one, other in alike),
        "near_duplicates_of_two_groups": sum(one.group != other.group for one, other in alike),
        "near_duplicates_across_official_splits": sum(
            one.split != other.split for one, other in alike if one.split and other.split
        ),
    }
