"""Which images a run takes, and which of them train, validate and test."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from benchmark.errors import UserError
from datasets import Sample

SEED = 0
"""One split for all training seeds: their spread shall not contain that of the split."""

Splits = NDArray[np.str_]
"""train, validation or test for each case, (N,)."""


def take(samples: Sequence[Sample], most: int | None, *, least: int = 2) -> tuple[Sample, ...]:
    """At most so many cases, the same share of every class and official split, those with masks first.

    Args:
        samples: The cases of a data set.
        most: How many to take, but for rounding and rare classes; None takes all.
        least: As many of every class and split are taken, where there are so many.

    Returns:
        The cases taken, in their order.
    """
    if most is None or len(samples) <= most:
        return tuple(samples)
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(samples))
    strata: dict[tuple[str, str], list[int]] = {}
    for index in sorted(order, key=lambda index: not samples[index].masks):
        strata.setdefault((samples[index].diagnosis, samples[index].split or ""), []).append(int(index))
    shares = {name: most * len(members) / len(samples) for name, members in strata.items()}
    taken = sorted(index for name, members in strata.items() for index in members[: max(least, round(shares[name]))])
    return tuple(samples[index] for index in taken)


def officially_split(samples: Sequence[Sample]) -> bool:
    """Whether the data set has a split of its own that can be used: with images to train on and to test on."""
    return {"train", "test"} <= {sample.split for sample in samples}


def split(samples: Sequence[Sample], folds: int, validation: int) -> Splits:
    """Assigns cases to training, validation and test.

    An official split is kept, unless nothing is to be tested. Else one part in `folds` is drawn for testing. Of the
    rest, one part in `validation` is drawn to validate. Both are stratified by diagnosis; no group is on two sides.

    Args:
        samples: The cases of a run; of an official split, each with a place in it.
        folds: One part in so many is for testing; 0 for none, as of data to pre-train on.
        validation: One part in so many of what is not for testing is for validation; 0 for none.

    Returns:
        The split of each case, (N,).

    Raises:
        UserError: A class lacks images for training or test, or is too rare to be split.
    """
    labels = np.array([sample.diagnosis for sample in samples])
    groups = np.array([sample.group for sample in samples])
    if folds and officially_split(samples):
        splits = np.array([sample.split for sample in samples], dtype="<U10")
    else:
        splits = np.full(len(samples), "train", dtype="<U10")
        if folds:
            splits[_one_part(labels, groups, folds)] = "test"
    if validation and not (splits == "validation").any():
        rest = np.flatnonzero(splits == "train")
        splits[rest[_one_part(labels[rest], groups[rest], validation)]] = "validation"
    every_class_has_images(samples, splits, tested=folds > 0)
    return splits


def every_class_has_images(samples: Sequence[Sample], splits: Splits, *, tested: bool) -> None:
    """Sees to it that a split can be used.

    Raises:
        UserError: A class has no images to train on or, where something is to be tested, to test on.
    """
    labels = np.array([sample.diagnosis for sample in samples])
    if not len(labels):
        raise UserError("the split lists no images; give one that does")
    for name in np.unique(labels):
        for side, told in (("test", "test"), ("train", "training")):
            if (tested or side == "train") and not ((splits == side) & (labels == name)).any():
                raise UserError(f"class {str(name)!r} has no {told} images; add some or leave the class out")


def _one_part(labels: NDArray[np.str_], groups: NDArray[np.str_], parts: int) -> NDArray[np.intp]:
    """Places of one part in so many."""
    rarest, count = min(zip(*np.unique(labels, return_counts=True), strict=True), key=lambda pair: pair[1])
    if count < parts:
        raise UserError(f"class {str(rarest)!r} has {count} images; it needs {parts}: add some or leave it out")
    splitter = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=SEED)
    _, places = next(splitter.split(labels, labels, groups))
    return np.asarray(places, dtype=np.intp)
