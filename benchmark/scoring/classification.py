"""Measures of the diagnosis with intervals, from the predictions of a model."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.intervals import interval, small_sample_factor_of_groups
from benchmark.statistics.ratios import RatioStatistic, mean_of_known
from benchmark.statistics.resampling import Resampling, effective_groups, resampling

BINS = 15
BOUNDS = (0.0, 1.0)
"""Of every measure."""
ROBUST_PREFIX = "withstood:"
VANISHED_PREFIX = "vanished:"
MASK_DICE = "mask dice"
MAP_OVERLAP_PREFIX = "map kept:"

Weights = NDArray[np.float64]
"""How often each image counts in each draw, (B, N)."""
Statistic = Callable[[Weights], NDArray[np.float64]]
"""Its value in each draw, (B,)."""
OneHot = NDArray[np.bool_]
"""Truth or prediction, a column per class, (N, C)."""
Name = tuple[str, str]
"""Measure, and the class or attack it is of."""


def classification_measures(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Measures of the diagnosis, each with the 95 % interval that the leaderboard gives a single training.

    Sensitivity and specificity of a class are those of the most probable class: with two classes, of a threshold of
    one half. AUROC is that of each class against the rest, and their mean; with two classes, that of the rarer one.
    Vanishing gradients are the share of the right predictions at which the attack of that name had no gradient to go
    by: where it is high, the accuracy under that attack may be masked.

    Args:
        predictions: Rows of :func:`benchmark.scoring.predictions.predict_and_attack` with the columns image and group.
        classes: Diagnoses by label number.

    Returns:
        A row per measure: measure, of (a class, an attack or ""), value, low, high, n (images that have a say). NaN
        where the images do not allow for it, such as the AUROC of a class that does not occur, or the interval where
        there is a single group.
    """
    draws = resampling(list(predictions["group"]))
    ratios = _ratios(predictions, classes)
    known = estimates(
        {name: [each] for name, each in ratios.items()}, draws, row="", bounds=dict.fromkeys(ratios, BOUNDS)
    )
    found = {name: (each.value, each.low, each.high, each.images) for name, each in known.items()}
    found |= _intervals(_statistics(predictions, classes), draws)
    rows = [(*name, *found[name]) for name in _order(found, classes)]
    return pd.DataFrame(rows, columns=["measure", "of", "value", "low", "high", "n"])


def positive_class(labels: NDArray[np.int64]) -> int:
    """Of two classes the rarer one, as a rule the disease; of two equal ones the second."""
    return int((labels == 1).sum() <= (labels == 0).sum())


def one_hot(labels: NDArray[np.integer], classes: int) -> OneHot:
    """Labels (N,) as a column per class."""
    return np.asarray(labels[:, None] == np.arange(classes))


def recall(truth: OneHot, predicted: OneHot) -> RatioStatistic:
    """Share of the images of each class that are diagnosed rightly; over all classes, the balanced accuracy."""
    return _counted(truth & predicted, truth)


def class_f1(truth: OneHot, predicted: OneHot) -> RatioStatistic:
    """F1 of each class; over all classes, the macro F1."""
    return _counted(2 * (truth & predicted), truth * 1 + predicted)


def specificity(truth: OneHot, predicted: OneHot) -> RatioStatistic:
    """Share of the images without each class that are not taken for it."""
    return _counted(~truth & ~predicted, ~truth)


def _counted(part: NDArray[np.generic], whole: NDArray[np.generic]) -> RatioStatistic:
    return RatioStatistic(amounts=part.astype(np.float64), counts=whole.astype(np.float64))


def _ratios(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[Name, RatioStatistic]:
    """The measures that are ratios of sums over images."""
    truth, guess = (one_hot(predictions[name].to_numpy(), len(classes)) for name in ("label", "predicted"))
    right = np.any(truth & guess, axis=1)[:, None]
    found: dict[Name, RatioStatistic] = {
        ("accuracy", ""): _counted(right, np.ones_like(right)),
        ("balanced accuracy", ""): recall(truth, guess),
        ("macro F1", ""): class_f1(truth, guess),
    }
    for place, name in enumerate(classes):
        own, other = truth[:, [place]], guess[:, [place]]
        found["sensitivity", name] = recall(own, other)
        found["specificity", name] = specificity(own, other)
    for column, values in predictions.items():
        if str(column).startswith(ROBUST_PREFIX):
            found["accuracy under attack", str(column).removeprefix(ROBUST_PREFIX)] = _of_known(values)
        if str(column).startswith(VANISHED_PREFIX):
            found["vanishing gradients", str(column).removeprefix(VANISHED_PREFIX)] = _of_known(values)
        if str(column).startswith(MAP_OVERLAP_PREFIX):
            of = str(column).removeprefix(MAP_OVERLAP_PREFIX)
            found["map kept under attack", of] = _of_known(values)
            found["map halved by attack", of] = _of_known((values <= 0.5).astype(np.float64).where(values.notna()))
    if MASK_DICE in predictions:
        found[MASK_DICE, ""] = _of_known(predictions[MASK_DICE])
    return found


def _of_known(column: pd.Series) -> RatioStatistic:
    return mean_of_known(column.to_numpy(dtype=np.float64))


def _statistics(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[Name, Statistic]:
    """The measures that are no ratios: calibration and AUROC."""
    label = predictions["label"].to_numpy()
    truth = one_hot(label, len(classes))
    probabilities = predictions[[f"p{number}" for number in range(len(classes))]].to_numpy(dtype=np.float64)
    aurocs = [_auroc(probabilities[:, place], truth[:, place]) for place in range(len(classes))]
    found: dict[Name, Statistic] = {("ECE", ""): _calibration(probabilities, truth)}
    if len(classes) == 2:
        return found | {("AUROC", ""): aurocs[positive_class(label)]}
    found["AUROC", ""] = lambda weights: _mean(np.stack([auroc(weights) for auroc in aurocs], axis=1))
    return found | {("AUROC", name): auroc for name, auroc in zip(classes, aurocs, strict=True)}


def _intervals(statistics: Mapping[Name, Statistic], draws: Resampling) -> dict[Name, tuple[float, float, float, int]]:
    """Value, ends of the interval and number of images of statistics that all images have a say in."""
    images = len(draws.codes)
    weights = draws.weights[:, draws.codes]
    factor = small_sample_factor_of_groups(effective_groups(np.bincount(draws.codes).astype(np.float64)))
    found = {}
    for name, statistic in statistics.items():
        value = float(statistic(np.ones((1, images)))[0])
        low, high = np.clip(interval(value, statistic(weights), factor), *BOUNDS)
        found[name] = (value, float(low), float(high), images)
    return found


def _order(found: Mapping[Name, object], classes: Sequence[str]) -> list[Name]:
    """What is of all classes first, then class by class, then what attacks leave."""
    whole = [(name, "") for name in ("accuracy", "balanced accuracy", "macro F1", "ECE", "AUROC")]
    by_class = [(name, of) for of in classes for name in ("sensitivity", "specificity", "AUROC")]
    first = [name for name in (*whole, *by_class) if name in found]
    return [*first, *(name for name in found if name not in set(first))]


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the classes that have a value, (B,)."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)


def _auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Statistic:
    """Share of pairs of a positive and a negative image that are ordered rightly; equal scores count half."""
    order = np.argsort(scores, kind="stable")
    # Where a new score begins: images of equal scores make one step of the curve.
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))

    def statistic(weights: Weights) -> NDArray[np.float64]:
        ordered = weights[:, order]
        ups, downs = (np.add.reduceat(ordered * chosen[order], starts, axis=1) for chosen in (positive, ~positive))
        below = np.cumsum(downs, axis=1) - downs
        with np.errstate(invalid="ignore"):
            return (ups * (below + downs / 2)).sum(axis=1) / (ups.sum(axis=1) * downs.sum(axis=1))

    return statistic


def _calibration(probabilities: NDArray[np.float64], truth: NDArray[np.bool_]) -> Statistic:
    """Expected calibration error: mean gap between confidence and accuracy, over bins of equal width.

    Reference:
        Guo et al., On calibration of modern neural networks, 2017, section 2.
    """
    confidence = probabilities.max(axis=1)
    right = truth[np.arange(len(truth)), probabilities.argmax(axis=1)]
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    at = np.zeros((len(confidence), BINS))
    at[np.arange(len(confidence)), place] = right - confidence

    return lambda weights: np.abs(weights @ at).sum(axis=1) / weights.sum(axis=1)
