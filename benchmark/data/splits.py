"""Which images a run uses, and which of them are for training, validation and testing."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from benchmark.config.presets import Preset
from benchmark.errors import UserError
from benchmark.phrases import format_count
from datasets import DatasetIndex, Sample

SEED = 0
"""All training seeds share one split, so their variance does not include that of the split."""


class RareClassError(UserError):
    """A class has too few images to split."""


Assigned = TypeVar("Assigned")
Splits = NDArray[np.str_]
"""train, validation or test for each sample, (N,)."""


def limit_samples(samples: Sequence[Sample], max_samples: int | None, *, min_per_class: int = 2) -> tuple[Sample, ...]:
    """Returns about `max_samples` samples, the same fraction of each class and official split, with masks first.

    Args:
        samples: The samples of a data set.
        max_samples: Number of samples to return, up to rounding and rare classes. None returns all.
        min_per_class: Minimum number of samples of every class and split, if the data set has that many.

    Returns:
        The selected samples in their original order.
    """
    if max_samples is None or len(samples) <= max_samples:
        return tuple(samples)
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(samples))
    strata: dict[tuple[str, str], list[int]] = {}
    for index in sorted(order, key=lambda index: not samples[index].masks):
        strata.setdefault((samples[index].diagnosis, samples[index].split or ""), []).append(int(index))
    counts = {name: round(max_samples * len(members) / len(samples)) for name, members in strata.items()}
    selected = sorted(
        index for name, members in strata.items() for index in members[: max(min_per_class, counts[name])]
    )
    return tuple(samples[index] for index in selected)


def count_needed_per_class(folds: int, validation: int) -> int:
    """Returns the number of images that a class needs for a test part and then a validation part of the rest.

    Example:
        >>> count_needed_per_class(3, 8)
        12
    """
    needed = max(2, folds)
    while validation and needed - (-(-needed // folds) if folds else 0) < validation:
        needed += 1
    return needed


def without_split(data: DatasetIndex, preset: Preset) -> tuple[tuple[Sample, ...], list[str]]:
    """Returns the samples that a preset may use, and one line for each that the official split leaves out."""
    if not preset.test_folds or not has_official_split(data.samples):
        return data.samples, []
    left_out = [f"{sample.id}: not in the official split" for sample in data.samples if not sample.split]
    return tuple(sample for sample in data.samples if sample.split), left_out


def select_samples(
    samples: Sequence[Sample], preset: Preset, assign: Callable[[tuple[Sample, ...]], Assigned]
) -> tuple[tuple[Sample, ...], Assigned]:
    """Limits the samples to those of a preset and splits them.

    Args:
        samples: The samples that the preset may use.
        preset: Sets the number of samples and of parts.
        assign: Splits the selected samples.

    Returns:
        The selected samples, and what `assign` returns for them.

    Raises:
        UserError: A class lacks training or test images, or is too rare to split.
    """
    selected = limit_samples(samples, preset.limit, min_per_class=max(2, preset.test_folds))
    try:
        return selected, assign(selected)
    except RareClassError:
        if preset.test_folds and has_official_split(samples):
            raise
    # The limit may have left too few images of a class that has enough.
    needed = count_needed_per_class(preset.test_folds, preset.val_folds)
    selected = limit_samples(samples, preset.limit, min_per_class=max(2, preset.test_folds, needed))
    return selected, assign(selected)


def has_official_split(samples: Sequence[Sample]) -> bool:
    """Returns whether the data set publishes a usable split: one with training and test images."""
    return {"train", "test"} <= {sample.split for sample in samples}


def describe_split(samples: Sequence[Sample], splits: Splits, *, given: bool) -> str:
    """Says where a split comes from.

    Args:
        samples: The samples of a run.
        splits: Their split.
        given: Whether the user gave it in a file.

    Returns:
        "official" if the test images are exactly those of the data set's own split, "not the official one" if there is
        one and they are not, else "given" or "drawn".
    """
    if not has_official_split(samples):
        return "given" if given else "drawn"
    official = np.array([sample.split == "test" for sample in samples])
    return "official" if np.array_equal(official, splits == "test") else "not the official one"


def split(samples: Sequence[Sample], folds: int, validation: int) -> Splits:
    """Assigns samples to training, validation and test.

    The official split is used if there is one and `folds` is not 0. Otherwise one of `folds` parts is drawn for
    testing. One of `validation` parts of the rest is drawn for validation. Both draws are stratified by diagnosis and
    assign each group to one side only.

    Args:
        samples: The samples of a run. Those of an official split all have their `split`.
        folds: Number of parts, one of which is for testing. 0 tests nothing, as for pre-training data.
        validation: Number of parts of the rest, one of which is for validation. 0 validates nothing.

    Returns:
        The split of each sample, (N,).

    Raises:
        UserError: A class lacks training or test images, or is too rare to split.
    """
    labels = np.array([sample.diagnosis for sample in samples])
    groups = np.array([sample.group for sample in samples])
    if folds and has_official_split(samples):
        splits = np.array([sample.split for sample in samples], dtype="<U10")
    else:
        splits = np.full(len(samples), "train", dtype="<U10")
        if folds:
            splits[_one_part(labels, groups, folds)] = "test"
    if validation and not (splits == "validation").any():
        rest = np.flatnonzero(splits == "train")
        splits[rest[_one_part(labels[rest], groups[rest], validation)]] = "validation"
    require_images_of_every_class(samples, splits, tested=folds > 0)
    return splits


def require_images_of_every_class(samples: Sequence[Sample], splits: Splits, *, tested: bool) -> None:
    """Checks that a split has images of every class.

    Raises:
        UserError: A class has no training images, or no test images although `tested` is set.
    """
    labels = np.array([sample.diagnosis for sample in samples])
    if not len(labels):
        raise UserError("the split lists no images; give one that does")
    for name in np.unique(labels):
        for side, word in (("test", "test"), ("train", "training")):
            if (tested or side == "train") and not ((splits == side) & (labels == name)).any():
                raise UserError(f"class {str(name)!r} has no {word} images; add some or leave the class out")


def _one_part(labels: NDArray[np.str_], groups: NDArray[np.str_], parts: int) -> NDArray[np.intp]:
    """Draws one of `parts` parts, stratified by label. Returns its indices."""
    rarest, count = min(zip(*np.unique(labels, return_counts=True), strict=True), key=lambda pair: pair[1])
    if count < parts:
        images = format_count(count, "image")
        raise RareClassError(f"class {str(rarest)!r} has {images}; it needs {parts}: add some or leave it out")
    if (num_groups := len(np.unique(groups))) < parts:
        of_groups = format_count(num_groups, "group")
        raise UserError(f"the images are of {of_groups}; a split needs {parts}: add some or check the groups")
    splitter = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=SEED)
    _, indices = next(splitter.split(labels, labels, groups))
    return np.asarray(indices, dtype=np.intp)
