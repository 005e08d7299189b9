"""A table holds little more than the draws of the bootstrap and the sums of one model, however many rows a file has."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.storage.paths import ROOT

# Makes the boards of three models with 1.2 million rows of scores each, and prints in bytes what the process held
# before, the most that it held, and what the draws of the bootstrap take; then the number of rows.
MEASURE = """
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.leaderboard.load import scores
from benchmark.leaderboard.tables import build_tables
from benchmark.leaderboard.load.results import build_bootstrap_context, read_results
from benchmark.runtime.device import release_memory
from tests.benchmark.leaderboard.made_results import make_results

scores.BATCH = 50_000


def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


def watch(most, over):
    while not over.wait(0.005):
        most.append(anonymous())


directory = Path(sys.argv[1])
# What is loaded once.
build_tables(read_results(make_results(directory / "first" / "quick", images=50, architectures=1)))
published = read_results(
    make_results(directory / "large" / "quick", images=8000, architectures=3, regimes=1, distinct=1)
)
# What was freed goes back to the system. Else the tables take it again, and the process does not grow.
pa.default_memory_pool().release_unused()
release_memory()
before, most, over = anonymous(), [], threading.Event()
watcher = threading.Thread(target=watch, args=(most, over))
watcher.start()
boards = build_tables(published)
over.set()
watcher.join()
assert len(boards[0].models) == 3
rows = pq.read_metadata(next((directory / "large" / "quick" / "records").glob("*.scores.parquet"))).num_rows
print(before, max(most), build_bootstrap_context(published).draws.weights.nbytes, rows)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its anonymous memory")
def test_of_a_file_of_scores_little_is_held(tmp_path):
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    before, most, weights, rows = map(int, done.stdout.split())
    assert rows > 10**6
    assert most > before + weights / 2  # so that it was seen at all
    # It is 118 a row, and 166 if a file is decoded whole.
    assert most - before - weights < 145 * rows
