"""What a data set holds, and everything that is wrong with it, file by file."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.data.digests import digests
from benchmark.data.duplicates import near_duplicates, perceptual_hash
from benchmark.data.splits import officially_split
from benchmark.runtime.parallel import parallel_map
from datasets import BadFileError, DatasetIndex, Mask, Problem, Sample
from datasets.image_io import image_size, read_image, read_mask

HASHED_SIDE = 64
"""Images are hashed at this side; the hash looks at frequencies that a quarter of it would hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one image and its masks turn out to be.

    Attributes:
        size: Width and height; None where nothing could be read.
        hash: Perceptual hash of the image; None where there is none or it is damaged.
        empty: Number of masks that mark nothing.
        problems: What is wrong with its files.
    """

    size: tuple[int, int] | None
    hash: int | None
    empty: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """The report on a data set.

    Attributes:
        facts: Counts, ready for JSON.
        problems: What has to be mended or quarantined before a run.
        alike: Pairs of images that are near-duplicates, by name.
    """

    facts: dict[str, Any]
    problems: tuple[Problem, ...]
    alike: list[tuple[str, str]]


def check(data: DatasetIndex, report: Callable[[int, int], None]) -> Check:
    """Decodes every image and mask.

    Args:
        data: The index.
        report: Called with the number of images done and of all.

    Raises:
        UserError: A file cannot even be opened.
    """
    looks: list[Look] = []
    for look in parallel_map(_look, data.samples):
        looks.append(look)
        report(len(looks), len(data.samples))
    problems = (*data.problems, *(problem for look in looks for problem in look.problems), *_leaking_groups(data))
    seen = [sample for sample, look in zip(data.samples, looks, strict=True) if look.hash is not None]
    alike = _alike(seen, np.array([look.hash for look in looks if look.hash is not None], dtype=np.uint64))
    facts = _facts(data, looks) | _likeness(data, seen, alike) | {"left_out": list(data.left_out)}
    return Check(facts=facts, problems=problems, alike=[(one.id, other.id) for one, other in alike])


def _look(sample: Sample) -> Look:
    size, hashed, empty, problems = None, None, 0, []
    if sample.image is not None:
        try:
            size = image_size(sample)
            hashed = perceptual_hash(read_image(sample, HASHED_SIDE))
        except BadFileError as error:
            problems.append(error.problem)
    for mask in sample.masks:
        try:
            drawn = read_mask(mask, size)
        except BadFileError as error:
            problems.append(error.problem)
        else:
            size = size or (drawn.shape[1], drawn.shape[0])
            empty += not drawn.any()
    return Look(size=size, hash=hashed, empty=empty, problems=tuple(problems))


def _facts(data: DatasetIndex, looks: list[Look]) -> dict[str, Any]:
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
        "empty_masks": sum(look.empty for look in looks),
        "classes": _counted(sample.diagnosis or "(unknown)" for sample in data.samples),
        "classes_with_masks": _counted(sample.diagnosis or "(unknown)" for sample in masked),
        "raters": _counted(rater for sample in masked for rater in {_reader(mask) for mask in sample.masks}),
        "characteristics": _counted(mask.characteristic or "(outline)" for mask in masks),
        "groups": len({sample.group for sample in data.samples}),
        "splits": _counted(sample.split for sample in data.samples if sample.split),
        "sizes": _counted(f"{look.size[0]}x{look.size[1]}" for look in looks if look.size),
    }


def _reader(mask: Mask) -> str:
    return mask.rater if mask.reading == 1 else f"{mask.rater} (reading {mask.reading})"


def _counted(names: Iterable[str]) -> dict[str, int]:
    """How often each name occurs, the commonest first."""
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0])))


def _leaking_groups(data: DatasetIndex) -> list[Problem]:
    """Groups that an official split tears apart."""
    if not officially_split(data.samples):
        return []
    sides: dict[str, set[str]] = {}
    for sample in data.samples:
        if sample.split:
            sides.setdefault(sample.group, set()).add(sample.split)
    torn = sorted(group for group, found in sides.items() if len(found) > 1)
    what = "has the group {} on several sides of its official split"
    remedy = "remove the images of it from one side, or quarantine this to accept it"
    return [Problem(file=data.root, what=what.format(group), remedy=remedy) for group in torn]


def _alike(samples: list[Sample], hashes: Any) -> list[tuple[Sample, Sample]]:
    return [(samples[one], samples[other]) for one, other in near_duplicates(hashes, hashes) if one < other]


def _likeness(data: DatasetIndex, samples: list[Sample], alike: list[tuple[Sample, Sample]]) -> dict[str, int]:
    """How many pairs look alike, and how many of them should not: of two classes, of two groups, on two sides."""
    prints = digests(data.root, [sample.image for sample in samples if sample.image and sample.frame is None])
    copies = Counter(prints.values())
    return {
        "identical_images": sum(number - 1 for number in copies.values()),
        "near_duplicates": len(alike),
        "near_duplicates_of_two_classes": sum(one.diagnosis != other.diagnosis for one, other in alike),
        "near_duplicates_of_two_groups": sum(one.group != other.group for one, other in alike),
        "near_duplicates_across_official_splits": sum(
            one.split != other.split for one, other in alike if one.split and other.split
        ),
    }
