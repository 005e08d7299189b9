"""Measures of the diagnosis, against scikit-learn and slow loops; predictions under attack."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import stdtrit
from sklearn import metrics as oracle
from torch import nn

from benchmark.attacks.apgd import APGD
from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.record_columns import column_bounds
from benchmark.runtime.tensors import map_batches, predict
from benchmark.scoring.classification import classification_measures
from benchmark.scoring.map_robustness import build_map_attacks, map_overlap_under_attack
from benchmark.scoring.predictions import build_attacks, predict_and_attack
from benchmark.scoring.segmentation import mask_dice
from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.resampling import resampling
from benchmark.training.tensor_data import TensorData


def predictions(images: int, classes: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes)) + 1.5 * np.eye(classes)[label]
    logits[::7] = logits[0]  # ties
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    frame = pd.DataFrame({f"p{number}": probabilities[:, number] for number in range(classes)})
    frame.insert(0, "predicted", probabilities.argmax(axis=1))
    frame.insert(0, "label", label)
    frame["group"] = [f"g{number // 2}" for number in range(images)]
    frame["image"] = [f"i{number}" for number in range(images)]
    frame["withstood:pgd-5-l2-1"] = np.where(np.arange(images) < 20, (frame["predicted"] == label) * 0.5, np.nan)
    return frame


def value(frame: pd.DataFrame, measure: str, of: str = "") -> float:
    results = frame[(frame["measure"] == measure) & (frame["of"] == of)]
    assert len(results) == 1
    return results["value"].item()


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_measures_equal_those_of_scikit_learn(classes):
    frame = predictions(90, classes)
    names = list("abcdef")[:classes]
    results = classification_measures(frame, names)
    label, guess = frame["label"], frame["predicted"]
    probabilities = frame[[f"p{number}" for number in range(classes)]].to_numpy()
    assert value(results, "accuracy") == pytest.approx(oracle.accuracy_score(label, guess))
    assert value(results, "balanced accuracy") == pytest.approx(oracle.balanced_accuracy_score(label, guess))
    assert value(results, "macro F1") == pytest.approx(oracle.f1_score(label, guess, average="macro"))
    for number, name in enumerate(names):
        recall = oracle.recall_score(label == number, guess == number)
        assert value(results, "sensitivity", name) == pytest.approx(recall)
        recall = oracle.recall_score(label != number, guess != number)
        assert value(results, "specificity", name) == pytest.approx(recall)
    if classes == 2:
        rarer = int((label == 1).sum() <= (label == 0).sum())
        expected = oracle.roc_auc_score(label == rarer, probabilities[:, rarer])
    else:
        expected = oracle.roc_auc_score(label, probabilities, multi_class="ovr", average="macro")
    assert value(results, "AUROC") == pytest.approx(expected)
    assert value(results, "accuracy under attack", "pgd-5-l2-1") == pytest.approx(
        frame["withstood:pgd-5-l2-1"][:20].mean()
    )


def test_calibration_by_a_slow_loop():
    frame = predictions(120, 3)
    probabilities = frame[["p0", "p1", "p2"]].to_numpy()
    confidence, right = probabilities.max(axis=1), frame["label"] == probabilities.argmax(axis=1)
    gap = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            gap += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert value(classification_measures(frame, "abc"), "ECE") == pytest.approx(gap)


def test_intervals_hold_the_value_and_widen_with_the_groups():
    frame = predictions(80, 2)
    results = classification_measures(frame, "ab")
    assert ((results["low"] <= results["value"]) & (results["value"] <= results["high"])).all()
    apart = classification_measures(frame.assign(group=frame["image"]), "ab")
    together = classification_measures(frame.assign(group=[f"g{number // 20}" for number in range(80)]), "ab")
    width = [(entry["high"] - entry["low"]).iloc[0] for entry in (apart, together)]
    assert width[0] != width[1]
    pd.testing.assert_frame_equal(results, classification_measures(frame, "ab"))


def test_a_class_that_does_not_occur_has_no_auroc():
    frame = predictions(40, 3)
    frame = frame[frame["label"] != 2]
    results = classification_measures(frame, "abc")
    assert np.isnan(value(results, "AUROC", "c"))
    assert np.isnan(value(results, "sensitivity", "c"))
    assert np.isfinite(value(results, "AUROC"))


def test_autoattack_is_named_by_what_it_runs_for_so_many_classes():
    assert list(build_attacks("l2", (0.5,), 20, 0, "apgd-ce, fab-t")) == ["pgd-20-l2-0.5", "apgd-ce, fab-t-l2-0.5"]


def network() -> nn.Module:
    """Names the brightest channel."""
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)).eval()
    nn.init.eye_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    return model.requires_grad_(requires_grad=False)


def test_attacks_are_named_by_what_they_do():
    results = build_attacks("l2", (0.5, 1.0, 2.0), 20, 10)
    assert list(results)[:2] == ["pgd-20-l2-0.5", "apgd-10-l2-0.5"]
    assert results["apgd-10-l2-2"] == tuple(APGD(norm="l2", eps=2.0, steps=10, loss=loss) for loss in ("ce", "margin"))
    assert [attack.loss for attack in results["pgd-20-l2-1"]] == ["ce", "margin"]
    assert list(build_attacks("linf", (0.1,), 5, 0)) == ["pgd-5-linf-0.1"]


def test_stronger_attacks_leave_fewer_right_and_only_the_chosen_are_attacked():
    images = torch.randint(0, 255, (30, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    model = network()
    with torch.no_grad():
        labels = model(images.float() / 255).argmax(dim=1)
    labels[:5] = (labels[:5] + 1) % 3
    frame = predict_and_attack(
        model, images, labels, attacks=build_attacks("linf", (0.0, 0.02, 0.3), 5, 5), attacked=np.arange(0, 30, 2)
    )
    columns = [name for name in frame if name.startswith("withstood:")]
    assert len(columns) == 6
    assert frame.loc[1::2, columns].isna().all().all()
    assert (frame.loc[:4:2, columns] == 0).all().all()
    means = frame[columns].mean()
    assert means["withstood:pgd-5-linf-0"] == pytest.approx(12 / 15)
    for kind in ("pgd", "apgd"):
        weak, strong = (means[f"withstood:{kind}-5-linf-{eps}"] for eps in ("0.02", "0.3"))
        assert strong <= weak <= 12 / 15
        assert strong < 12 / 15


def test_dice_by_hand():
    class Drawn(nn.Module):
        def with_mask(self, images):
            drawn = -torch.ones(len(images), 4, 4)
            drawn[:, :2] = 1
            return images.mean(dim=(2, 3)), drawn

    masks = torch.zeros(4, 4, 4, dtype=torch.float16)
    masks[0, :2], masks[1, 1:3], masks[3] = 1, 1, torch.nan
    data = TensorData(images=torch.zeros(4, 3, 4, 4, dtype=torch.uint8), labels=torch.zeros(4).long(), masks=masks)
    results = mask_dice(Drawn(), data)
    assert results[:2].tolist() == [1.0, 0.5]
    assert np.isnan(results[2:]).all()


def test_each_attack_on_the_map_is_named_and_moves_it_and_none_moves_it_without_a_budget():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval()
    images = torch.randint(0, 255, (6, 3, 24, 24), dtype=torch.uint8)
    classes = predict(model, images).argmax(dim=1)
    attacks = build_map_attacks(10)
    assert list(attacks) == [
        "top-k-10-linf-2/255",
        "top-k-10-linf-4/255",
        "away-10-linf-4/255",
        "turned-10-linf-4/255",
        "class-10-linf-4/255",
    ]
    for attack in attacks.values():
        overlap = map_overlap_under_attack(model, "1", images, classes, attack)
        assert overlap.shape == (6,)
        assert ((overlap >= 0) & (overlap <= 1)).all()
        assert overlap.mean() < 1
        none = map_overlap_under_attack(model, "1", images, classes, replace(attack, eps=0.0))
        assert none.tolist() == [1.0] * 6


def test_where_memory_runs_out_fewer_images_are_asked_about_at_once():
    images, asked = torch.arange(11 * 3 * 4 * 4).reshape(11, 3, 4, 4), []

    def compute(part: slice) -> torch.Tensor:
        asked.append(len(images[part]))
        if asked[-1] > 3:
            raise torch.OutOfMemoryError
        return images[part].sum(dim=(1, 2, 3))

    assert map_batches(compute, images).equal(images.sum(dim=(1, 2, 3)))
    assert asked == [11, 5, 2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize("classes", [2, 3])
def test_the_intervals_are_those_of_the_leaderboard(classes):
    frame = predictions(60, classes)
    results = classification_measures(frame, "abc"[:classes]).set_index(["measure", "of"])
    evidence = RowData(images=list(frame["image"]), classes=tuple("abc"[:classes]), predictions=frame)
    columns = [column for column in COLUMNS if column.classification]
    ratios = {column.name: [column.statistic(evidence)] for column in columns}
    bootstrapped = estimates(
        ratios, resampling(list(frame["group"])), row="net/standard", bounds=column_bounds(columns)
    )
    pairs = {
        "balanced_accuracy": ("balanced accuracy", ""),
        "macro_f1": ("macro F1", ""),
        "accuracy_under_attack": ("accuracy under attack", "pgd-5-l2-1"),
    }
    for column, measure in pairs.items():
        row = results.loc[measure]
        assert (row["value"], row["low"], row["high"]) == (
            bootstrapped[column].value,
            bootstrapped[column].low,
            bootstrapped[column].high,
        )


def test_calibration_and_auroc_widen_as_the_rest_where_groups_are_few():
    frame = predictions(80, 2).assign(group=[f"g{number // 10}" for number in range(80)])
    draws = resampling(list(frame["group"]))
    weights = draws.weights[:, draws.codes]
    values = [oracle.roc_auc_score(frame["label"], frame["p1"], sample_weight=entry) for entry in weights[:300]]
    plain = np.quantile(values, [0.025, 0.975])
    results = classification_measures(frame, "ab").set_index(["measure", "of"]).loc[("AUROC", "")]
    factor = (results["high"] - results["low"]) / (plain[1] - plain[0])
    assert factor == pytest.approx(stdtrit(7, 0.975) / 1.96 * np.sqrt(8 / 7), rel=0.15)


def test_a_single_group_has_no_interval():
    results = classification_measures(predictions(20, 2).assign(group="g"), "ab")
    assert results["low"].isna().all()
    assert results["value"].notna().any()
