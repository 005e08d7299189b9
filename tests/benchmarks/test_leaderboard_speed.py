"""How fast all tables and figures are made from the records: 66 cells of 500 images in 20 seconds at most."""

import pytest

from benchmark.leaderboard.publish import rebuild
from tests.benchmark.made_results import make_results


@pytest.mark.benchmark(group="leaderboard of 66 cells of 500 images, two methods")
def test_loupe(benchmark, tmp_path):
    sizes = {"images": 500, "seeds": 3} if benchmark.enabled else {"images": 20, "architectures": 3}
    folder = make_results(tmp_path / "made" / "quick", **sizes)
    boards = benchmark.pedantic(rebuild, args=(folder,), rounds=3)
    assert len(boards[0].models) == (22 if benchmark.enabled else 6)
    if benchmark.enabled:
        assert benchmark.stats.stats.min < 20
