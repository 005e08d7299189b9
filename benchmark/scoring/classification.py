"""Classification measures with intervals, from the predictions of a model."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.reliance.ratios import BOUNDS as RELIANCE_BOUNDS
from benchmark.reliance.ratios import by_class
from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.intervals import interval, small_sample_factor
from benchmark.statistics.ratios import RatioStatistic, mean_of_finite
from benchmark.statistics.resampling import Resampling, effective_groups, resampling

NUM_BINS = 15
"""Number of confidence bins of the calibration error."""
BOUNDS = (0.0, 1.0)
"""Range of every measure but the reliance."""
ROBUST_PREFIX = "withstood:"
VANISHED_PREFIX = "vanished:"
MASK_DICE = "mask dice"
MAP_OVERLAP_PREFIX = "map kept:"

Weights = NDArray[np.float64]
"""Count of each image in each bootstrap draw, (B, N)."""
Statistic = Callable[[Weights], NDArray[np.float64]]
"""Computes the value of a measure in each draw, (B,)."""
OneHot = NDArray[np.bool_]
"""True or predicted class, a column per class, (N, C)."""
Name = tuple[str, str]
"""A measure, and its class or attack."""


def classification_measures(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Computes classification measures, each with the 95 % interval that the leaderboard gives a single training.

    Sensitivity and specificity use the most probable class. With two classes this is a threshold of one half. AUROC is
    computed for each class against the rest, and as their mean. With two classes it is that of the rarer class. The
    measure "vanishing gradients" is the fraction of correct predictions at which the gradients of that attack vanish.
    Where it is high, gradient masking may inflate the accuracy under that attack. "worst-l2-0.5" is the worst of all
    attacks of that budget: an image is robust only if it is robust to each. A constant answer, the commonest class of
    the attacked images, is robust to every attack. Its accuracy is therefore a row of its own. Predictions with
    reliance also give the reliance on the lesion for each class.

    Args:
        predictions: Rows of :func:`benchmark.scoring.predictions.predict_and_attack` with the columns image and group.
        classes: Names of the classes, by label.

    Returns:
        A row per measure: measure, of (a class, an attack or ""), value, low, high, n (number of images it uses). A
        measure is NaN where it is undefined, such as the AUROC of a class without images. An interval is NaN where
        there is a single group.
    """
    draws = resampling(list(predictions["group"]))
    reliance = by_class(predictions, classes)
    ratios = _ratios(predictions, classes) | reliance
    bounds = dict.fromkeys(ratios, BOUNDS) | dict.fromkeys(reliance, RELIANCE_BOUNDS)
    bootstrapped = estimates({name: [ratio] for name, ratio in ratios.items()}, draws, row="", bounds=bounds)
    results = {name: (value.value, value.low, value.high, value.images) for name, value in bootstrapped.items()}
    results |= _intervals(_statistics(predictions, classes), draws)
    rows = [(*name, *results[name]) for name in _sort_names(results, classes)]
    return pd.DataFrame(rows, columns=["measure", "of", "value", "low", "high", "n"])


def attacks_by_budget(columns: Iterable[object]) -> dict[str, list[str]]:
    """Groups the attacks of a frame of predictions by norm and budget, in ascending order of the budget.

    Args:
        columns: Names of all columns, of which those of attacks are used.

    Returns:
        Names of columns by norm and budget.

    Example:
        >>> attacks_by_budget(["label", "withstood:pgd-5-l2-1", "withstood:apgd-5-l2-1", "withstood:pgd-5-l2-0.5"])
        {'l2-0.5': ['withstood:pgd-5-l2-0.5'], 'l2-1': ['withstood:pgd-5-l2-1', 'withstood:apgd-5-l2-1']}
    """
    groups: dict[tuple[float, str], list[str]] = defaultdict(list)
    for column in map(str, columns):
        if match := re.fullmatch(rf"{ROBUST_PREFIX}.*-((?:l2|linf)-(.+))", column):
            groups[float(match[2]), match[1]].append(column)
    return {budget: groups[eps, budget] for eps, budget in sorted(groups)}


def worst_of(predictions: pd.DataFrame, attacks: Sequence[str]) -> NDArray[np.float64]:
    """Computes the robustness to all attacks of a list, (N,): 1 if robust to each, else 0, NaN if not attacked."""
    return np.min([predictions[name].to_numpy(dtype=np.float64) for name in attacks], axis=0)


def robust_accuracy(robust: NDArray[np.float64], _truth: OneHot) -> RatioStatistic:
    """Computes the fraction of the attacked images that are robust."""
    return mean_of_finite(robust, proportion=True)


def robust_recall(robust: NDArray[np.float64], truth: OneHot) -> RatioStatistic:
    """Computes the recall under attack of each class. Its mean over the classes is the balanced accuracy under attack.

    Args:
        robust: 1 for robust images, 0 for others, NaN for images that are not attacked, (N,).
        truth: True classes, (N, C).
    """
    attacked = np.isfinite(robust)[:, None]
    return _ratio(truth & attacked & (np.nan_to_num(robust) > 0)[:, None], truth & attacked, proportion=True)


def constant_accuracy(robust: NDArray[np.float64], truth: OneHot) -> RatioStatistic:
    """Computes the accuracy of a constant answer on the attacked images: the fraction of their commonest class."""
    attacked = np.isfinite(robust)[:, None]
    commonest = int((truth & attacked).sum(axis=0).argmax())
    return _ratio(truth[:, [commonest]] & attacked, attacked, proportion=True)


def positive_class(labels: NDArray[np.int64]) -> int:
    """Returns the rarer of two classes, which is usually the disease. Of two equal ones it returns the second."""
    return int((labels == 1).sum() <= (labels == 0).sum())


def one_hot(labels: NDArray[np.integer], classes: int) -> OneHot:
    """Encodes labels (N,) as a column per class."""
    return np.asarray(labels[:, None] == np.arange(classes))


def recall(truth: OneHot, predicted: OneHot) -> RatioStatistic:
    """Computes the recall of each class. Its mean over the classes is the balanced accuracy."""
    return _ratio(truth & predicted, truth, proportion=True)


def class_f1(truth: OneHot, predicted: OneHot) -> RatioStatistic:
    """Computes the F1 of each class. Its mean over the classes is the macro F1."""
    return _ratio(2 * (truth & predicted), truth * 1 + predicted)


def specificity(truth: OneHot, predicted: OneHot) -> RatioStatistic:
    """Computes the specificity of each class."""
    return _ratio(~truth & ~predicted, ~truth, proportion=True)


def _ratio(
    numerator: NDArray[np.generic], denominator: NDArray[np.generic], *, proportion: bool = False
) -> RatioStatistic:
    return RatioStatistic(
        amounts=numerator.astype(np.float64), counts=denominator.astype(np.float64), proportion=proportion
    )


def _ratios(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[Name, RatioStatistic]:
    """Computes the measures that are ratios of sums over images."""
    truth, predicted = (one_hot(predictions[name].to_numpy(), len(classes)) for name in ("label", "predicted"))
    correct = np.any(truth & predicted, axis=1)[:, None]
    ratios: dict[Name, RatioStatistic] = {
        ("accuracy", ""): _ratio(correct, np.ones_like(correct), proportion=True),
        ("balanced accuracy", ""): recall(truth, predicted),
        ("macro F1", ""): class_f1(truth, predicted),
    }
    for index, name in enumerate(classes):
        of_class = truth[:, [index]], predicted[:, [index]]
        ratios["sensitivity", name] = recall(*of_class)
        ratios["specificity", name] = specificity(*of_class)
    for column, values in predictions.items():
        if str(column).startswith(ROBUST_PREFIX):
            ratios["accuracy under attack", str(column).removeprefix(ROBUST_PREFIX)] = _fraction_of_valid(values)
        if str(column).startswith(VANISHED_PREFIX):
            ratios["vanishing gradients", str(column).removeprefix(VANISHED_PREFIX)] = _fraction_of_valid(values)
        if str(column).startswith(MAP_OVERLAP_PREFIX):
            name = str(column).removeprefix(MAP_OVERLAP_PREFIX)
            ratios["map kept under attack", name] = _mean_of_valid(values)
            ratios["map halved by attack", name] = _fraction_of_valid(
                (values <= 0.5).astype(np.float64).where(values.notna())
            )
    for budget, attacks in attacks_by_budget(predictions.columns).items():
        robust = worst_of(predictions, attacks)
        ratios["accuracy under attack", f"worst-{budget}"] = robust_accuracy(robust, truth)
        ratios["balanced accuracy under attack", f"worst-{budget}"] = robust_recall(robust, truth)
        ratios["accuracy of a constant answer", "attacked images"] = constant_accuracy(robust, truth)
    if MASK_DICE in predictions:
        ratios[MASK_DICE, ""] = _mean_of_valid(predictions[MASK_DICE])
    return ratios


def _mean_of_valid(column: pd.Series) -> RatioStatistic:
    return mean_of_finite(column.to_numpy(dtype=np.float64))


def _fraction_of_valid(column: pd.Series) -> RatioStatistic:
    return mean_of_finite(column.to_numpy(dtype=np.float64), proportion=True)


def _statistics(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[Name, Statistic]:
    """Builds the measures that are not ratios: calibration error and AUROC. They need probabilities."""
    if "p0" not in predictions:
        return {}
    label = predictions["label"].to_numpy()
    truth = one_hot(label, len(classes))
    probabilities = predictions[[f"p{index}" for index in range(len(classes))]].to_numpy(dtype=np.float64)
    aurocs = [_auroc(probabilities[:, index], truth[:, index]) for index in range(len(classes))]
    statistics: dict[Name, Statistic] = {("ECE", ""): _calibration(probabilities, truth)}
    if len(classes) == 2:
        return statistics | {("AUROC", ""): aurocs[positive_class(label)]}
    statistics["AUROC", ""] = lambda weights: _mean(np.stack([auroc(weights) for auroc in aurocs], axis=1))
    return statistics | {("AUROC", name): auroc for name, auroc in zip(classes, aurocs, strict=True)}


def _intervals(statistics: Mapping[Name, Statistic], draws: Resampling) -> dict[Name, tuple[float, float, float, int]]:
    """Computes value, ends of the interval and number of images of statistics that use all images."""
    num_images = len(draws.codes)
    weights = draws.weights[:, draws.codes]
    factor = small_sample_factor(effective_groups(np.bincount(draws.codes).astype(np.float64)))
    results = {}
    for name, statistic in statistics.items():
        value = float(statistic(np.ones((1, num_images)))[0])
        low, high = np.clip(interval(value, statistic(weights), factor), *BOUNDS)
        results[name] = (value, float(low), float(high), num_images)
    return results


def _sort_names(results: Mapping[Name, object], classes: Sequence[str]) -> list[Name]:
    """Sorts names: measures of all classes first, then those of each class, then those under attack."""
    whole = [(name, "") for name in ("accuracy", "balanced accuracy", "macro F1", "ECE", "AUROC")]
    by_class = [(name, of) for of in classes for name in ("sensitivity", "specificity", "AUROC")]
    first = [name for name in (*whole, *by_class) if name in results]
    return [*first, *(name for name in results if name not in set(first))]


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the mean over the classes that have a value, (B,)."""
    valid = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(valid, values, 0.0).sum(axis=1) / valid.sum(axis=1)


def _auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Statistic:
    """Builds the AUROC: the fraction of correctly ordered pairs of a positive and a negative image. Ties count half."""
    order = np.argsort(scores, kind="stable")
    # Start index of each distinct score. Images of equal scores form one step of the ROC curve.
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))

    def statistic(weights: Weights) -> NDArray[np.float64]:
        ordered = weights[:, order]
        positives, negatives = (
            np.add.reduceat(ordered * chosen[order], starts, axis=1) for chosen in (positive, ~positive)
        )
        below = np.cumsum(negatives, axis=1) - negatives
        with np.errstate(invalid="ignore"):
            pairs = positives.sum(axis=1) * negatives.sum(axis=1)
            return (positives * (below + negatives / 2)).sum(axis=1) / pairs

    return statistic


def _calibration(probabilities: NDArray[np.float64], truth: NDArray[np.bool_]) -> Statistic:
    """Builds the expected calibration error: the mean gap of confidence and accuracy over bins of equal width.

    Reference:
        Guo et al., On calibration of modern neural networks, 2017, section 2.
    """
    confidence = probabilities.max(axis=1)
    correct = truth[np.arange(len(truth)), probabilities.argmax(axis=1)]
    bins = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    gaps = np.zeros((len(confidence), NUM_BINS))
    gaps[np.arange(len(confidence)), bins] = correct - confidence

    return lambda weights: np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)
