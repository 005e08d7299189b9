"""Measures of the diagnosis with intervals, from the predictions of a model."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RESAMPLES = 1000
SEED = 0
BINS = 15
WITHSTOOD = "withstood:"
MASK_DICE = "mask dice"
MAP_KEPT = "map kept:"

Weights = NDArray[np.float64]
"""How often each image counts in each resample, (B, N)."""
Statistic = Callable[[Weights], NDArray[np.float64]]
"""Its value in each resample, (B,)."""


def measures(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Measures of the diagnosis, each with a 95 % interval of the percentile bootstrap over groups of images.

    Sensitivity and specificity of a class are those of the most probable class: with two classes, of a threshold of
    one half. AUROC is that of each class against the rest, and their mean; with two classes, that of the rarer one.

    Args:
        predictions: Rows of :func:`benchmark.scoring.predictions.predict_and_attack` with the columns image and group.
        classes: Diagnoses by label number.

    Returns:
        A row per measure: measure, of (a class, an attack or ""), value, low, high, n (images that have a say). NaN
        where the images do not allow for it, such as the AUROC of a class that does not occur.
    """
    weights = _weights(predictions["group"].to_numpy())
    rows = []
    for (measure, of), (statistic, number) in _statistics(predictions, classes).items():
        values = statistic(weights)
        known = values[1:][np.isfinite(values[1:])]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        rows.append((measure, of, float(values[0]), float(low), float(high), number))
    return pd.DataFrame(rows, columns=["measure", "of", "value", "low", "high", "n"])


def positive_class(labels: NDArray[np.int64]) -> int:
    """Of two classes the rarer one, as a rule the disease; of two equal ones the second."""
    return int((labels == 1).sum() <= (labels == 0).sum())


def _weights(groups: NDArray[np.object_]) -> Weights:
    """The images as they are first, then resamples of groups."""
    _, group = np.unique(groups.astype(str), return_inverse=True)
    number = int(group.max()) + 1
    drawn = np.random.default_rng(SEED).multinomial(number, np.full(number, 1 / number), size=RESAMPLES)
    return np.concatenate([np.ones((1, len(group))), drawn[:, group].astype(np.float64)])


def _statistics(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[tuple[str, str], tuple[Statistic, int]]:
    label = predictions["label"].to_numpy()
    probabilities = predictions[[f"p{number}" for number in range(len(classes))]].to_numpy(dtype=np.float64)
    truth = label[:, None] == np.arange(len(classes))
    guess = predictions["predicted"].to_numpy()[:, None] == np.arange(len(classes))
    number = len(label)
    found: dict[tuple[str, str], tuple[Statistic, int]] = {
        ("accuracy", ""): (_share((truth & guess).any(axis=1)), number),
        ("balanced accuracy", ""): (lambda w: _mean(_ratio(w, truth & guess, truth)), number),
        ("macro F1", ""): (lambda w: _mean(_ratio(w, 2.0 * (truth & guess), truth * 1.0 + guess)), number),
        ("ECE", ""): (_calibration(probabilities, truth), number),
    }
    aurocs = [_auroc(probabilities[:, place], truth[:, place]) for place in range(len(classes))]
    if len(classes) == 2:
        positive = positive_class(label)
        found["AUROC", ""] = (aurocs[positive], number)
    else:
        found["AUROC", ""] = (lambda w: _mean(np.stack([auroc(w) for auroc in aurocs], axis=1)), number)
    for place, name in enumerate(classes):
        own, other = truth[:, [place]], guess[:, [place]]
        found["sensitivity", name] = (_one(own & other, own), int(own.sum()))
        found["specificity", name] = (_one(~own & ~other, ~own), int((~own).sum()))
        if len(classes) > 2:
            found["AUROC", name] = (aurocs[place], number)
    for column in predictions.columns[predictions.columns.str.startswith(WITHSTOOD)]:
        found["accuracy under attack", column.removeprefix(WITHSTOOD)] = _of_known(predictions[column])
    for column in predictions.columns[predictions.columns.str.startswith(MAP_KEPT)]:
        of = column.removeprefix(MAP_KEPT)
        known = predictions[column]
        found["map kept under attack", of] = _of_known(known)
        found["map halved by attack", of] = _of_known((known <= 0.5).astype(np.float64).where(known.notna()))
    if MASK_DICE in predictions:
        found[MASK_DICE, ""] = _of_known(predictions[MASK_DICE])
    return found


def _of_known(column: pd.Series) -> tuple[Statistic, int]:
    """Mean of the values that are numbers, and how many there are."""
    values = column.to_numpy(dtype=np.float64)
    known = np.isfinite(values)
    return _one(np.where(known, values, 0.0)[:, None], known[:, None]), int(known.sum())


def _ratio(weights: Weights, part: NDArray[np.generic], whole: NDArray[np.generic]) -> NDArray[np.float64]:
    """Weighted sum of the part over that of the whole, (B, C); NaN where there is no whole."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ part.astype(np.float64)) / (weights @ whole.astype(np.float64))


def _one(part: NDArray[np.generic], whole: NDArray[np.generic]) -> Statistic:
    return lambda weights: _ratio(weights, part, whole)[:, 0]


def _share(right: NDArray[np.bool_]) -> Statistic:
    return _one(right[:, None], np.ones((len(right), 1)))


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the classes that have a value, (B,)."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)


def _auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Statistic:
    """Share of pairs of a positive and a negative image that are ordered rightly; equal scores count half."""
    _, rank = np.unique(scores, return_inverse=True)
    levels = int(rank.max()) + 1
    at = np.zeros((len(scores), levels))
    at[np.arange(len(scores)), rank] = 1.0

    def statistic(weights: Weights) -> NDArray[np.float64]:
        ups, downs = (weights * positive) @ at, (weights * ~positive) @ at
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
