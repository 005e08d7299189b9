"""Compares what a record reports of some test images with what its weights give: image by image, and as means."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.leaderboard.admission.catalog import find_metric, is_of_model, is_of_references
from benchmark.phrases import format_count, format_names
from benchmark.scoring.classification import MAP_OVERLAP_PREFIX, ROBUST_PREFIX
from benchmark.storage.record import Record, Verification
from benchmark.storage.results import sidecar_file
from benchmark.storage.upgrade import upgrade_scores
from benchmark.submission.sandbox.replies import Scores

KEY_COLUMNS = ["image", "method", "metric", "level", "rater", "characteristic"]
SUMMARY_COLUMNS = ["method", "metric", "level"]
"""Columns that identify a mean."""
MIN_TOLERANCE, MAX_TOLERANCE = 1e-3, 1e-2
"""Bounds of the tolerated difference of means, as fractions of the metric's range."""
IMAGE_TOLERANCE = 0.02
"""Tolerated difference of the score of one image, as a fraction of the metric's range, and of a probability."""
JUMPS = 0.1
"""Fraction of the images on which a score that jumps may differ, such as whether the largest value is in the mask.

Scores against soft masks are continuous: of them, no image may differ.
"""
Values = NDArray[np.float64]


def compare(path: Path, record: Record, found: Scores, images: Sequence[str]) -> tuple[Verification, list[str]]:
    """Compares reported scores, predictions and attacks with those that were computed again.

    The tolerance of a mean is half of the 95 % interval of the reported mean, but at least a thousandth and at most a
    hundredth of the metric's range. Bounds are those of the registry.

    Args:
        path: Path of the record.
        record: The record.
        found: Result of :func:`benchmark.submission.checks.rescore.rescore`.
        images: The requested images.

    Returns:
        The verification for the ledger, and one line for each disagreement.
    """
    reported = pd.read_parquet(sidecar_file(path, "predictions.parquet")).set_index("image")
    problems = list(_compare_predictions(reported, found, images))
    problems += _compare_attacks(record, reported, found)
    table = upgrade_scores(pd.read_parquet(sidecar_file(path, "scores.parquet"))).astype(
        dict.fromkeys(KEY_COLUMNS, str)
    )
    rescored = pd.DataFrame(found.scores, columns=[*KEY_COLUMNS, "value"]).astype({"value": np.float64})
    rescored = rescored[_is_scored(record, rescored, list(reported.index))]
    scores, more = _compare_scores(table, rescored, images)
    return Verification(images=tuple(images), scores=scores, environment=found.environment), [*problems, *more]


def first_by_hash(names: Sequence[str], count: int | None) -> set[str]:
    """Returns the images that a protocol perturbs or attacks, as :meth:`ImageDataset.subset` selects them."""
    return set(sorted(names, key=lambda name: hashlib.sha256(str(name).encode()).digest())[:count])


def _is_scored(record: Record, rescored: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Marks the rows that a record has: metrics of the model are of a part of the images."""
    perturbed = first_by_hash(names, record.settings["preset"]["num_perturbed"])
    of_model = rescored["metric"].isin(list(filter(is_of_model, rescored["metric"].unique())))
    return ~of_model | rescored["image"].isin(perturbed)


def _compare_scores(
    table: pd.DataFrame, rescored: pd.DataFrame, images: Sequence[str]
) -> tuple[dict[str, tuple[float, float, float]], list[str]]:
    """Compares scores over the rows of both, so that no renamed rater or missing row escapes."""
    reported = table[table["image"].isin(images)]
    both = reported.merge(rescored, on=KEY_COLUMNS, how="outer", suffixes=("", "_again"), indicator=True)
    problems = []
    if set(rescored["image"]) != set(images):
        problems.append("scored other images than requested")
    if (single := both[both["_merge"] != "both"]).shape[0]:
        row = single.iloc[0]
        verb = "reports" if row["_merge"] == "left_only" else "lacks"
        counted = format_count(len(single), "row")
        problems.append(f"{verb} {counted}, such as {row['metric']} of {row['image']}, unlike its checkpoint")
    both = both[both["_merge"] == "both"]
    if rescored.duplicated(KEY_COLUMNS).any() or reported.duplicated(KEY_COLUMNS).any():
        problems.append("has two scores for the same image, method and metric")
    scores, every = {}, table.groupby(SUMMARY_COLUMNS)["value"]
    for key, rows in both.groupby(SUMMARY_COLUMNS):
        method, metric, level = key
        name = f"{method}: {metric} ({level})"
        means, lines = _compare_metric(name, str(metric), rows, every.get_group(key).dropna().to_numpy())
        problems += lines
        if means is not None:
            scores[name] = means
    if not scores:
        problems.append("has no score that could be verified")
    return scores, problems


def _compare_metric(
    name: str, metric: str, rows: pd.DataFrame, every: Values
) -> tuple[tuple[float, float, float] | None, list[str]]:
    """Compares the scores of one method, metric and level. Returns both means with the tolerance, and problems."""
    old, new = rows["value"].to_numpy(dtype=np.float64), rows["value_again"].to_numpy(dtype=np.float64)
    problems = []
    if (np.isnan(old) != np.isnan(new)).any():
        problems.append(f"{name}: scores are undefined on other images")
    valid = ~np.isnan(old) & ~np.isnan(new)
    if not valid.any():
        return None, problems
    width = _width(metric, new[valid])
    tolerance = _compute_tolerance(width, every)
    means = float(old[valid].mean()), float(new[valid].mean()), tolerance
    if abs(means[0] - means[1]) > tolerance:
        text = "reports {:.4f}, its checkpoint gives {:.4f} on the same images".format(*means)
        problems.append(f"{name}: {text}")
    differing = np.unique(rows["image"].to_numpy()[valid][np.abs(old - new)[valid] > IMAGE_TOLERANCE * width])
    allowed = 0 if is_of_references(metric) else max(1, JUMPS * len(np.unique(rows["image"][valid])))
    if len(differing) > allowed:
        images = format_count(len(differing), "image")
        problems.append(f"{name}: its checkpoint gives other scores for {images}, such as {differing[0]}")
    return means, problems


def _width(metric: str, values: Values) -> float:
    """Returns the range of a metric: by the registry, or, where it has no bounds, of the values computed again."""
    known = find_metric(metric)
    width = known.bounds[1] - known.bounds[0] if known is not None else np.inf
    return float(width) if np.isfinite(width) else float(np.ptp(values)) or 1.0


def _compute_tolerance(width: float, values: Values) -> float:
    half_interval = 1.96 * float(values.std()) / max(1, len(values)) ** 0.5
    return max(MIN_TOLERANCE * width, min(MAX_TOLERANCE * width, half_interval))


def _compare_predictions(reported: pd.DataFrame, found: Scores, images: Sequence[str]) -> Iterator[str]:
    """Yields a line where labels, groups or probabilities are others."""
    names = [str(row[0]) for row in found.predictions]
    if sorted(names) != sorted(images) or len(found.truth) != len(names):
        yield "predicted other images than requested"
        return
    again = np.array([row[1:] for row in found.predictions], dtype=np.float64)
    part = reported.loc[names]
    old = part[[f"p{index}" for index in range(again.shape[1])]].to_numpy(dtype=np.float64)
    differing = np.flatnonzero((np.abs(old - again) > IMAGE_TOLERANCE).any(axis=1))
    if len(differing):
        line = f"its checkpoint gives other probabilities for {format_names([names[index] for index in differing], 1)}"
        top = np.argmax(again[differing], axis=1) != part["predicted"].to_numpy()[differing]
        yield line + (", and predicts another class" if top.any() else "")
    truth = {str(row[0]): (int(row[1]), str(row[2])) for row in found.truth}
    if any(truth.get(name) != pair for name, pair in zip(names, _truth_of(part), strict=True)):
        yield "has other labels or groups than the data"


def _truth_of(part: pd.DataFrame) -> list[tuple[int, str]]:
    return list(zip(part["label"].astype(int), part["group"].astype(str), strict=True))


def _compare_attacks(record: Record, reported: pd.DataFrame, found: Scores) -> Iterator[str]:
    """Yields a line for each column of attacks that is missing, or differs on more images than may jump."""
    preset = record.settings["preset"]
    for name, values in found.attacks.items():
        if name not in reported:
            yield f"lacks the column {name}"
            continue
        counts = {ROBUST_PREFIX: preset["num_attacked"], MAP_OVERLAP_PREFIX: preset["num_map_attacked"]}
        count = next((value for prefix, value in counts.items() if name.startswith(prefix)), None)
        attacked = first_by_hash(list(reported.index), count)
        names = [str(row[0]) for row in found.predictions]
        used = [place for place, image in enumerate(names) if image in attacked]
        new = np.array(values, dtype=np.float64)[used]
        old = reported.loc[[names[place] for place in used], name].to_numpy(dtype=np.float64)
        same = (np.isnan(old) & np.isnan(new)) | (np.abs(old - new) <= IMAGE_TOLERANCE)
        if (~same).sum() > max(1, JUMPS * len(used)):
            yield f"{name}: its checkpoint gives other outcomes for {int((~same).sum())} of {len(used)} images"
