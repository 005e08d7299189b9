"""The rule for a collapsed training: one that gives almost every image the same class."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from benchmark.leaderboard.load.predictions import read_classes
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.leaderboard.load.rows import model_name
from benchmark.storage.results import sidecar_file

MIN_FRACTION = 0.99
"""Minimum fraction of test images with the same answer in a collapsed training."""
MAX_GAIN = 0.05
"""Maximum balanced accuracy above chance of a collapsed training. Where a class is rare, a good one may be above."""


def is_collapsed(predictions: pd.DataFrame) -> bool:
    """Returns whether a training collapsed, from its columns label and predicted.

    Example:
        >>> is_collapsed(pd.DataFrame({"label": [0, 0, 1], "predicted": [0, 0, 0]}))
        True
    """
    label, predicted = (predictions[name].to_numpy() for name in ("label", "predicted"))
    if np.unique(predicted, return_counts=True)[1].max() < MIN_FRACTION * len(predicted):
        return False
    codes = np.unique(label, return_inverse=True)[1]
    recalls = np.bincount(codes, weights=label == predicted) / np.bincount(codes)
    return bool(recalls.mean() <= 1 / len(recalls) + MAX_GAIN)


def count_collapsed(published: ResultsDirectory, labels: Collection[str]) -> dict[str, int]:
    """Counts the collapsed trainings of some models, by their label."""
    counts = dict.fromkeys(labels, 0)
    for model, paths in published.models.items():
        for path in paths if model_name(model) in counts else ():
            file = sidecar_file(path, "predictions.parquet")
            counts[model_name(model)] += is_collapsed(read_classes(file))
    return counts
