"""Scores stored once. If they should change: python -m tests.metrics.test_golden, and say why in the commit."""

import json

import pytest

from benchmark.registry import entries
from benchmark.storage.paths import ROOT
from metrics import Metric
from tests.metrics.maps import score, seeded

STORED = ROOT / "tests" / "golden" / "metrics.json"


def scores(name):
    return score(entries(Metric)[name], seeded(4)).tolist()


@pytest.mark.parametrize("name", entries(Metric))
def test_scores_are_those_stored(name):
    stored = json.loads(STORED.read_text())
    assert scores(name) == pytest.approx(stored[name], abs=1e-6)


def test_nothing_is_stored_that_is_gone():
    assert json.loads(STORED.read_text()).keys() == entries(Metric).keys()


if __name__ == "__main__":
    STORED.write_text(json.dumps({name: scores(name) for name in entries(Metric)}, indent=1) + "\n")
