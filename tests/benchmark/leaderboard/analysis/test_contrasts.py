"""Regimes against standard training: which rows are compared."""

from dataclasses import replace

import pytest

from benchmark.leaderboard.analysis.contrasts import compute_contrasts
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from tests.benchmark.leaderboard.made_results import make_results


@pytest.fixture(scope="module")
def leaderboard(tmp_path_factory):
    """Two networks, standard and adversarial."""
    directory = make_results(tmp_path_factory.mktemp("made") / "made" / "quick", images=24, architectures=2, regimes=2)
    return build_tables(read_results(directory))[0]


def compared(leaderboard, regimes):
    """Which regime is compared with which, where the rows have other regimes."""
    rows = [replace(row, regime=regime) for row, regime in zip(leaderboard.models, regimes, strict=True)]
    rows = [replace(row, name="net") for row in rows]
    return {(found.regime, found.base) for found in compute_contrasts(replace(leaderboard, rows=tuple(rows)))}


def test_each_regime_is_compared_with_standard_training_of_its_variant(leaderboard):
    assert compared(leaderboard, ["standard", "adversarial", "standard+imagenet", "adversarial+imagenet"]) == {
        ("adversarial", "standard"),
        ("adversarial+imagenet", "standard+imagenet"),
        ("standard+imagenet", "standard"),
    }


def test_without_standard_training_of_its_variant_there_is_nothing_to_compare_with(leaderboard):
    assert compared(leaderboard, ["standard", "adversarial+imagenet", "adversarial+other", "pgd-l2+imagenet"]) == set()
