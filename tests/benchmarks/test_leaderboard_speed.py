"""How fast all tables and figures are made from the records: 66 cells of 500 images in 20 seconds at most."""

import pytest

from benchmark.leaderboard.publish import rebuild
from tests.benchmark.made_results import make_results


@pytest.mark.benchmark(group="leaderboard of 66 cells of 500 images, two methods")
@pytest.mark.slow
def test_rebuild(benchmark, tmp_path):
    folder = make_results(tmp_path / "made" / "quick", images=500, seeds=3)
    boards = benchmark.pedantic(rebuild, args=(folder,), rounds=3)
    assert len(boards[0].models) == 22
    if benchmark.stats:
        assert benchmark.stats.stats.min < 20
