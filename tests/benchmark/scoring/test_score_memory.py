"""Scoring holds a few maps at a time, however many there are."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.storage.paths import ROOT

# Writes arrays as a run maps them, scores them by all metrics, and prints the most megabytes that the process held with
# 100 maps and with 1,000, and what it held before: beyond the scores themselves, and without the pages of the mapped
# files, which the system takes back as it likes.
MEASURE = """
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmark.scoring import score as scoring
from benchmark.data.dataset import ImageDataset
from benchmark.registry import entries
from metrics import Metric

SIDE = 48
scoring.MAX_CHUNK_PIXELS = 100 * SIDE**2


def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def mapped(folder, name, shape, dtype):
    array = np.memmap(folder / name, dtype, "w+", shape=shape)
    for start in range(0, shape[0], 20):
        part = array[start : start + 20]
        part[...] = np.random.default_rng(start).integers(0, 2, part.shape, dtype="uint8") * np.uint8(255)
    return np.memmap(folder / name, dtype, "r", shape=shape)


def written(folder, number):
    folder.mkdir()
    names = [f"c{case}" for case in range(number)]
    rows = [(case, level, "", "") for case in range(number) for level in ("image", "union")]
    data = ImageDataset(
        name="drawn", key="", synthetic=False, classes=("a", "b"), available=number, left_out=(), manifest=folder,
        images=mapped(folder, "images", (number, SIDE, SIDE, 3), "uint8"),
        samples=pd.DataFrame({"id": names, "label": 0, "group": names, "split": "test"}),
        mask_arrays=mapped(folder, "planes", (len(rows), SIDE, SIDE), "uint8"),
        references=pd.DataFrame(rows, columns=["sample", "level", "rater", "characteristic"]),
    )
    return mapped(folder, "maps", (number, SIDE, SIDE), "float16"), data


def score(maps, data):
    return scoring.score_maps(maps, data, list(entries(Metric).values()), device=torch.device("cpu"))


def watch(most, over):
    while not over.wait(0.005):
        most.append(anonymous())


def peak(maps, data):
    most, over = [], threading.Event()
    watcher = threading.Thread(target=watch, args=(most, over))
    watcher.start()
    frame = score(maps, data)
    over.set()
    watcher.join()
    assert set(frame["image"]) == set(data.samples["id"])
    # Scores are one row per image and metric: their parts, and the whole.
    return max(most) - 2 * frame.memory_usage(deep=True).sum() / 2**20


folder = Path(sys.argv[1])
score(*written(folder / "first", 2))  # what is loaded once
few, many = (written(folder / str(number), number) for number in (100, 1000))  # a chunk, and ten
before = anonymous()
print(peak(*few), peak(*many), before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its anonymous memory")
def test_ten_times_as_many_maps_take_as_much_memory(tmp_path):
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    few, many, before = map(float, done.stdout.split())
    assert few > before + 20  # megabytes, so that it was seen at all
    assert many <= 1.1 * few
