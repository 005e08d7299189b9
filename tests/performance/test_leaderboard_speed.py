"""How fast all tables and figures are made from the records: of an ordinary study, and of a very large one."""

import resource
import time

import pytest

from benchmark.leaderboard.build import rebuild
from tests.benchmark.leaderboard.made_results import make_results


@pytest.mark.benchmark(group="leaderboard of 66 cells of 500 images, two methods")
def test_loupe(benchmark, tmp_path):
    sizes = {"images": 500, "seeds": 3} if benchmark.enabled else {"images": 20, "architectures": 3}
    directory = make_results(tmp_path / "made" / "quick", **sizes)
    leaderboards = benchmark.pedantic(rebuild, args=(directory,), rounds=3)
    assert len(leaderboards[0].models) == (22 if benchmark.enabled else 6)
    if benchmark.enabled:
        assert benchmark.stats.stats.min < 20


@pytest.mark.benchmark(group="leaderboard of 1,000 records of 2,000 images, two methods")
def test_rebuild_at_scale(benchmark, tmp_path):
    """The memory is that of the whole process, which also makes the records."""
    sizes = {"images": 20, "architectures": 2, "regimes": 3, "seeds": 2}
    if benchmark.enabled:
        sizes = {"images": 2000, "architectures": 20, "regimes": 10, "seeds": 5}
    directory = make_results(tmp_path / "made" / "quick", **sizes)
    leaderboards = benchmark.pedantic(rebuild, args=(directory,), rounds=1)
    assert len(leaderboards[0].models) == (200 if benchmark.enabled else 6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    benchmark.extra_info["peak memory, GiB"] = peak / 2**30
    if benchmark.enabled:
        assert benchmark.stats.stats.min < 120
        assert peak < 4 * 2**30


@pytest.mark.benchmark(group="leaderboard of 3,000 records of 80 images, two methods")
def test_rebuild_of_many_records(benchmark, tmp_path):
    """More models than have letters. The processor time counts, since files are read while others wait."""
    sizes = {"images": 20, "architectures": 2, "regimes": 2, "seeds": 2}
    if benchmark.enabled:
        sizes = {"images": 80, "architectures": 100, "regimes": 10, "seeds": 3, "distinct": 33}
    directory = make_results(tmp_path / "made" / "quick", **sizes)
    begun = time.process_time()
    leaderboards = benchmark.pedantic(rebuild, args=(directory,), rounds=1)
    seconds = time.process_time() - begun
    benchmark.extra_info["processor time, s"] = seconds
    assert len(leaderboards[0].models) == (1000 if benchmark.enabled else 4)
    if benchmark.enabled:
        assert not any(row.letters for row in leaderboards[0].models)
