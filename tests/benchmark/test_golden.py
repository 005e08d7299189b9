"""Numbers stored once: what entries compute, and the harness that they share.

If they should change, raise the version that stands in keys, so that no stored result is mistaken for a new one.
"""

import json

import pytest

from benchmark.config.presets import ENGINE_VERSION
from tests.benchmark import golden

NAMES = [name for name in golden.sources() if not name.startswith(golden.METRIC)]


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_stored(name):
    known = golden.stored()
    assert name in known, "not stored yet: python -m tests.benchmark.identities carry"
    assert golden.differ(golden.now(name), known[name]) < golden.TOLERANCE, (
        f"the numbers of {name} changed. Where the entry alone changed: "
        f"`python -m tests.benchmark.identities renew {name}`; where something that entries share did: "
        "raise ENGINE_VERSION, then `python -m tests.benchmark.golden`"
    )


def test_the_stored_numbers_are_of_this_engine_and_of_nothing_that_is_gone():
    told = json.loads(golden.STORED.read_text(encoding="utf-8"))
    assert told["engine_version"] == ENGINE_VERSION, "store the new numbers: python -m tests.benchmark.golden"
    assert told["numbers"].keys() == set(NAMES)


def test_small_changes_are_seen_and_rounding_is_not():
    assert golden.differ([1.0, 0.001], [1.0, 0.001 + 2e-4]) > golden.TOLERANCE
    assert golden.differ([1.0, 2.0], [1.0 + 9e-6, 2.0]) < golden.TOLERANCE
    assert golden.differ([1.0, float("nan")], [1.0, float("nan")]) == 0
    assert golden.differ([1.0, 0.0], [1.0, float("nan")]) == golden.differ([1.0], [1.0, 2.0]) == float("inf")
