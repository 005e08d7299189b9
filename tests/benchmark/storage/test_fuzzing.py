"""A short run of the fuzzer: no damage is silent, none ends in a traceback."""

import pytest

from tests.benchmark.storage.fuzzing import DERIVED, fuzz


@pytest.mark.slow
def test_damage_is_repaired_or_named():
    outcomes = fuzz(2 * len(DERIVED), seed=3)
    assert {outcome for _, outcome in outcomes} <= {"repaired", "named", "unnoticed"}
    assert sum(outcomes.values()) == 2 * len(DERIVED)
