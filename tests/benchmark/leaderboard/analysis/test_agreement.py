"""Ranks and agreement: oracles of pandas and scipy."""

import csv
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from benchmark.leaderboard.analysis.agreement import agreement_csv, compute_agreements
from benchmark.leaderboard.analysis.rank_correlation import kendall_taus
from benchmark.leaderboard.analysis.stability import compute_stabilities
from benchmark.leaderboard.figures.ranks import agreement_figure, compute_ranks, critical_difference_figure
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.storage.upgrade import upgrade_scores
from tests.committed import QUICK, committed_sidecar


@pytest.fixture(scope="module")
def leaderboards():
    return build_tables(read_results(QUICK))


@pytest.fixture(scope="module")
def ranked(leaderboards):
    """The table as if every model beat chance."""
    rows = [replace(row, rank=index) for index, row in enumerate(leaderboards[0].models, start=1)]
    return replace(leaderboards[0], rows=tuple(rows))


@pytest.fixture(scope="module")
def scores(leaderboards):
    """F1 (82 images, 22 models), by pandas from the files, in the order of the table."""
    found = {}
    for row in leaderboards[0].models:
        frame = upgrade_scores(pd.read_parquet(committed_sidecar(row.label, "scores.parquet")))
        rows = (frame["method"] == "grad-cam") & (frame["metric"] == "map-f1") & (frame["level"] == "image")
        found[row.label] = frame[rows].set_index("image")["value"]
    return pd.DataFrame(found)


def test_ranks_are_those_of_pandas(ranked, scores):
    """A group is ranked by the mean of its images."""
    ranks = compute_ranks(ranked)
    groups = pd.read_parquet(committed_sidecar("xception/standard", "predictions.parquet")).set_index("image")["group"]
    by_group = scores.groupby(groups.reindex(scores.index)).mean()
    mean = by_group.rank(axis=1, ascending=False).mean().sort_values()
    assert ranks.names[:3] == list(mean.index[:3])
    assert ranks.mean == pytest.approx(mean.to_numpy(), abs=0.02)
    assert ranks.significant is None  # single trainings


def test_tau_is_scipys_in_every_draw_ties_included():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, (2, 9, 40)) * 1.0
    assert kendall_taus(one, other) == pytest.approx(
        [kendalltau(one[:, draw], other[:, draw]).statistic for draw in range(40)]
    )
    assert np.isnan(kendall_taus(np.ones((3, 2)), np.arange(6.0).reshape(3, 2))).all()


def test_scores_that_say_the_same_agree_and_the_direction_is_minded(leaderboards):
    found = {(each.one.name, each.other.name): each for each in compute_agreements(leaderboards[0])}
    assert found["map_f1", "map_iou"].tau > 0.9
    assert found["map_f1", "map_iou"].within > 0.9
    for each in found.values():
        assert -1 <= each.low <= each.high <= 1
    pair = found["sparsity", "tv_ratio"]
    values = np.array([[row.estimates[n].value for n in ("sparsity", "tv_ratio")] for row in leaderboards[0].models])
    assert pair.tau == pytest.approx(kendalltau(values[:, 0], -values[:, 1]).statistic)


def test_halves_of_clear_scores_agree_and_of_noise_do_not(leaderboards):
    leaderboard = leaderboards[0]
    halves, *_ = compute_stabilities(leaderboards)
    assert 0.5 < halves.tau <= 1
    rng = np.random.default_rng(0)
    noise = []
    for row in leaderboard.models:
        known = row.estimates["map_f1"]
        share = rng.normal(0.005, 0.001, known.error.contributions.shape).astype(np.float32)
        spread = replace(known.error, contributions=share, counts=np.ones((1, len(share))), rates=np.array([0.005]))
        noise.append(replace(row, estimates={"map_f1": replace(known, value=0.5, error=spread)}))
    nothing, *_ = compute_stabilities([replace(leaderboard, rows=tuple(noise))])
    assert abs(nothing.tau) < 0.4


def test_a_choice_that_changes_nothing_keeps_the_order_and_one_that_turns_scores_about_turns_it(leaderboards):
    leaderboard = leaderboards[0]
    metrics = leaderboard.record.metrics | dict.fromkeys(
        ("f1-at-half", "best-f1"), leaderboard.record.metrics["top-mask-f1"]
    )
    rows = []
    for row in leaderboard.models:
        known = row.estimates["top_mask_f1"]
        turned = replace(known, value=1 - known.value, draws=1 - known.draws)
        rows.append(replace(row, estimates={"top_mask_f1": known, "f1_at_half": known, "best_f1": turned}))
    changed = replace(leaderboard, record=leaderboard.record.model_copy(update={"metrics": metrics}), rows=tuple(rows))
    half, best = compute_stabilities([changed])
    assert half.change.startswith("top_mask_f1: thresholded at half")
    assert (half.tau, half.low, half.high) == pytest.approx((1, 1, 1))
    assert (best.tau, best.low, best.high) == pytest.approx((-1, -1, -1))


def test_figures_are_drawn_and_the_table_is_whole(leaderboards, ranked, tmp_path):
    leaderboard = leaderboards[0]
    found = [compute_agreements(each) for each in leaderboards]
    critical_difference_figure(leaderboard, compute_ranks(ranked), tmp_path / "ranks.png")
    agreement_figure(leaderboard, found[0], tmp_path / "agreement.png")
    for name in ("ranks.png", "agreement.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    stable = compute_stabilities(leaderboards)
    lines = list(csv.DictReader(agreement_csv(leaderboards, found, stable).splitlines()))
    assert len(lines) == len(found[0]) + len(found[1]) + len(stable)
    assert {line["method"] for line in lines} == {"grad-cam", "gradient"}


def test_a_sample_of_the_pairs_of_very_many_models_gives_their_tau():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(600, 3))
    other = one + rng.normal(size=(600, 3))
    known = [kendalltau(one[:, draw], other[:, draw]).statistic for draw in range(3)]
    assert kendall_taus(one, other) == pytest.approx(known, abs=0.01)
