"""How cost grows with images, cells, classes, resolution and architectures.

    python -m tests.performance.growth [PART ...]

measures each point in a process of its own and writes results/performance/growth.md; the parts that are not named stay
as they were. All data are SYNTHETIC: records and scores of made-up networks, images of noise, networks of random
weights. What is timed is the work alone, not the making of its inputs; the memory is the process's highest, inputs and
libraries included.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from architectures import Architecture
from benchmark.data.dataset import ImageDataset
from benchmark.data.duplicates import near_duplicates
from benchmark.data.splits import split
from benchmark.leaderboard.build import rebuild
from benchmark.registry import entries
from benchmark.runtime.device import retain_freed_memory
from benchmark.runtime.environment import environment
from benchmark.saliency.compute import compute_maps
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.scoring.score import score_maps
from benchmark.scoring.selection import select_metrics
from benchmark.storage.files import write_text
from benchmark.storage.paths import ROOT
from benchmark.storage.results import results_dir
from datasets import Sample
from tests.benchmark.leaderboard.made_results import make_results
from tests.performance.measuring import PeakMemory, load
from tests.performance.report import duration
from tests.performance.steps import lines as step_lines
from tests.performance.steps import stepwise

CPU = torch.device("cpu")
BATCH, STEPS = 16, 2
SEEDS, DISTINCT = 5, 11
"""Seeds of a model of the tables, and how many cells have files of their own: the others are links to these."""
PATIENCE = 2400
LEGEND = """\
SYNTHETIC data throughout: made-up records, images of noise, networks of random weights. Written by
`python -m tests.performance.growth`, never by hand. Each point ran in a process of its own with one thread; *time* is
that of the work alone, *memory* the highest of the process, its inputs and libraries included.
"""
BY_STEP = "tables-steps"
"""The part that tells the steps of the tables apart."""
EVEN = 1.15
"""Exponents up to this are called linear: times of a shared machine scatter by a tenth."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points along one quantity.

    Attributes:
        title: What is done.
        work: Name of the function that does it.
        along: Name of its argument that grows.
        points: Of that argument.
        fixed: The other arguments.
    """

    title: str
    work: str
    along: str
    points: tuple[Any, ...]
    fixed: dict[str, Any]


def tables(directory: Path, *, images: int, cells: int, classes: int = 6) -> Callable[[], object]:
    """All tables, figures and the page from the records; a few distinct files of scores serve them all."""
    regimes = min(10, max(1, cells // SEEDS // 10))
    made = {"architectures": max(1, cells // SEEDS // regimes), "regimes": regimes, "seeds": SEEDS}
    results = make_results(directory / "made" / "quick", images=images, classes=classes, distinct=DISTINCT, **made)
    return lambda: rebuild(results)


def tables_stepwise(directory: Path, *, images: int, cells: int) -> Callable[[], object]:
    """The same, with the time of each step."""
    tables(directory, images=images, cells=cells)
    return lambda: stepwise(directory / "made" / "quick")


def splitting(_folder: Path, *, images: int) -> Callable[[], object]:
    """A split by patients, three images each, stratified by six classes."""
    samples = [
        Sample(id=f"i{number}", image=None, diagnosis=f"class{number // 3 % 6}", group=f"p{number // 3}")
        for number in range(images)
    ]
    return lambda: split(samples, 3, 8)


def duplicates(_folder: Path, *, images: int) -> Callable[[], object]:
    """Near-duplicates between the two thirds that are learned from and the others, their hashes known."""
    hashes = np.random.default_rng(0).integers(0, 2**64, images, dtype=np.uint64)
    return lambda: near_duplicates(hashes[: 2 * images // 3], hashes[2 * images // 3 :])


def training(_folder: Path, *, architecture: str, side: int = 96, classes: int = 6) -> Callable[[], object]:
    """Forward, backward and update of 16 images, twice."""
    model = entries(Architecture)[architecture].build(classes).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    images = torch.rand(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % classes

    def steps() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()

    steps()
    return steps


def drawing(_folder: Path, *, images: int, side: int = 96, architecture: str = "mobilenet") -> Callable[[], object]:
    """Grad-CAM maps."""
    entry = entries(Architecture)[architecture]
    model = entry.build(6).to(memory_format=torch.channels_last).eval()
    pixels = torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8)
    classes = torch.arange(images) % 6
    return lambda: compute_maps(model, entry.target_layer, pixels, classes, GRAD_CAM)


def made_data(images: int, side: int, learned: int = 0) -> ImageDataset:
    """Images of noise with one merged mask and its union each; the first ones are for training, the rest for tests."""
    random = np.random.default_rng(0)
    planes = np.zeros((2 * images, side, side), dtype=np.uint8)
    planes[:, side // 4 : side // 2, side // 4 : side // 2] = 255
    levels = {"sample": np.repeat(np.arange(images), 2), "level": ["image", "union"] * images}
    split = ["train"] * learned + ["test"] * (images - learned)
    samples = {"id": [f"i{n}" for n in range(images)], "label": 0, "group": "", "split": split}
    return ImageDataset(
        name="made",
        key="",
        synthetic=True,
        classes=("a", "b"),
        available=images,
        left_out=(),
        manifest=Path(),
        images=random.integers(0, 256, (images, side, side, 3), dtype=np.uint8),
        samples=pd.DataFrame(samples),
        mask_arrays=planes,
        references=pd.DataFrame(levels).assign(rater="", characteristic=""),
    )


def scoring(_folder: Path, *, images: int, side: int = 96) -> Callable[[], object]:
    """All metrics that are cheap and ask no model, against one merged mask and its union per image."""
    data = made_data(images, side)
    maps = np.random.default_rng(1).random((images, side, side), dtype=np.float32).astype(np.float16)
    return lambda: score_maps(maps, data, select_metrics(()), device=CPU)


WORK = {work.__name__: work for work in (tables, tables_stepwise, splitting, duplicates, training, drawing, scoring)}
ELEVEN = tuple(name for name, entry in entries(Architecture).items() if not entry.predicts_masks)
PARTS = {
    "tables-cells": Series(
        title="Tables from records of 2,000 test images, two saliency methods, five seeds a model",
        work="tables",
        along="cells",
        points=(100, 300, 1000),
        fixed={"images": 2000},
    ),
    "tables-records": Series(
        title="Tables from records of 82 test images, two saliency methods, five seeds a model",
        work="tables",
        along="cells",
        points=(300, 1000, 3000),
        fixed={"images": 82},
    ),
    "tables-images": Series(
        title="Tables from 20 records, two saliency methods, five seeds a model",
        work="tables",
        along="images",
        points=(1000, 10_000, 100_000),
        fixed={"cells": 20},
    ),
    "tables-large": Series(
        title="Tables from records of 100,000 test images, two saliency methods, five seeds a model",
        work="tables",
        along="cells",
        points=(20, 1000),
        fixed={"images": 100_000},
    ),
    "tables-classes": Series(
        title="Tables from 50 records of 2,000 test images",
        work="tables",
        along="classes",
        points=(2, 8, 32, 128),
        fixed={"images": 2000, "cells": 50},
    ),
    "split": Series(
        title="The split of a data set", work="splitting", along="images", points=(1000, 10_000, 100_000), fixed={}
    ),
    "duplicates": Series(
        title="Near-duplicates across the split",
        work="duplicates",
        along="images",
        points=(1000, 10_000, 100_000),
        fixed={},
    ),
    "training-architectures": Series(
        title=f"{STEPS} training steps of {BATCH} images of 96 px",
        work="training",
        along="architecture",
        points=ELEVEN,
        fixed={},
    ),
    "training-resolution": Series(
        title=f"{STEPS} training steps of {BATCH} images, MobileNet",
        work="training",
        along="side",
        points=(96, 128, 160, 224),
        fixed={"architecture": "mobilenet"},
    ),
    "training-classes": Series(
        title=f"{STEPS} training steps of {BATCH} images of 96 px, MobileNet",
        work="training",
        along="classes",
        points=(2, 16, 128, 1024),
        fixed={"architecture": "mobilenet"},
    ),
    "drawing-images": Series(
        title="Grad-CAM maps of 96 px, MobileNet",
        work="drawing",
        along="images",
        points=(64, 256, 1024),
        fixed={},
    ),
    "scoring-images": Series(
        title="Scores of maps of 96 px, all cheap metrics",
        work="scoring",
        along="images",
        points=(64, 256, 1024),
        fixed={},
    ),
    "scoring-resolution": Series(
        title="Scores of 64 maps, all cheap metrics",
        work="scoring",
        along="side",
        points=(96, 128, 160, 224),
        fixed={"images": 64},
    ),
}


STEPWISE = ({"cells": 200, "images": 2000}, {"cells": 20, "images": 100_000})
"""Of many cells and of many images, where the time of the tables is told apart by step."""


def measured(work: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Seconds and highest memory of one point, in this process, with what the work itself tells of them."""
    torch.set_num_threads(1)
    retain_freed_memory()
    with tempfile.TemporaryDirectory() as directory:
        ready = WORK[work](Path(directory), **arguments)
        memory, begun = PeakMemory(CPU), time.perf_counter()
        told = ready()
        seconds = time.perf_counter() - begun
        found = {"seconds": seconds, "bytes": (memory.bytes() or 0) + (memory.start or 0)}
        return found | (told if work == tables_stepwise.__name__ and isinstance(told, dict) else {})


def apart(work: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The same in a process of its own."""
    words = ["-m", "tests.performance.growth", "--point", work, json.dumps(arguments)]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, check=True, timeout=PATIENCE, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def carried_out(series: Series) -> dict[str, Any]:
    """All points of a series with the conditions that they were measured in."""
    points = [{"at": value} | apart(series.work, series.fixed | {series.along: value}) for value in series.points]
    return conditions() | {"points": points}


def conditions() -> dict[str, Any]:
    """What a measurement is made with."""
    made_with = environment(CPU)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": made_with["commit"][:8] + (" with uncommitted changes" if made_with["uncommitted_changes"] else ""),
        "machine": f"{made_with['processor']}, {made_with['cores']} cores",
        "load": round(load(), 1),
    }


def exponent(points: list[dict[str, Any]], what: str) -> float:
    """Of the power of n by which the last step grows."""
    (before, after) = points[-2:]
    return log(after[what] / before[what]) / log(after["at"] / before["at"])


def verdict(points: list[dict[str, Any]], along: str) -> str:
    """What grows how, in words."""
    if isinstance(points[0]["at"], str):
        return ""
    power = exponent(points, "seconds") / (2 if along == "side" else 1)
    of = "pixels" if along == "side" else along
    how = "linear" if power > 1 / EVEN else "less than linear, since part of it is fixed"
    how = "**more than linear**" if power > EVEN else how
    return f"Time over the last step grows with {of} to the power of {power:.2f}: {how}."


def page(found: dict[str, Any]) -> str:
    """The tables in Markdown."""
    lines = ["# Growth of cost", "", LEGEND, *summary(found)]
    for name, series in PARTS.items():
        if name not in found:
            continue
        told = found[name]
        points, along = told["points"], series.along
        lines += [f"## {series.title}", ""]
        lines += [f"{told['machine']}; {told['date']}, commit {told['commit']}, load {told['load']}.", ""]
        lines += [f"| {along} | time | memory |", "|--:|--:|--:|"]
        for point in points:
            at = f"{point['at']:,}" if isinstance(point["at"], int) else point["at"]
            lines.append(f"| {at} | {duration(point['seconds'])} | {point['bytes'] / 2**30:.2f} GiB |")
        lines += ["", verdict(points, along), ""]
    if BY_STEP in found:
        told = found[BY_STEP]
        lines += ["## Where the time and the memory of the tables go", ""]
        lines += [f"{told['machine']}; {told['date']}, commit {told['commit']}, load {told['load']}, profiled.", ""]
        lines += step_lines(told["points"])
    return "\n".join(lines).rstrip() + "\n"


def summary(found: dict[str, Any]) -> list[str]:
    """What is linear and what is not, in one table; and what the largest case cost."""
    lines = ["| | along | time grows with the power | memory, first to last |", "|:--|:--|--:|--:|"]
    for name, series in PARTS.items():
        if name in found and not isinstance(series.points[0], str):
            points = found[name]["points"]
            power = exponent(points, "seconds") / (2 if series.along == "side" else 1)
            of = "pixels" if series.along == "side" else series.along
            first, last = (points[place]["bytes"] / 2**30 for place in (0, -1))
            shown = f"**{power:.2f}**" if power > EVEN else f"{power:.2f}"
            lines.append(f"| {series.title} | {of} | {shown} | {first:.2f} to {last:.2f} GiB |")
    lines += ["", "The power is that of the last step of each table: 1 is linear, less has a fixed part.", ""]
    if "tables-large" in found:
        most, images = found["tables-large"]["points"][-1], PARTS["tables-large"].fixed["images"]
        lines += [
            f"Both at once, {most['at']:,} cells ({most['at'] // SEEDS} models of {SEEDS} seeds) of {images:,} test",
            f"images, took {most['seconds'] / 60:.0f} minutes and {most['bytes'] / 2**30:.1f} GiB. Of the cells,",
            f"{DISTINCT} have files of their own and the others links to these: each cell's files are read and",
            "reckoned with anew, but from what the system keeps of files in memory, not from a disk.",
            "",
        ]
    return lines


def main(words: list[str]) -> None:
    """Measures the parts that are named, or all."""
    if words[:1] == ["--point"]:
        print(json.dumps(measured(words[1], json.loads(words[2]))))  # noqa: T201 - the answer to the parent
        return
    kept = results_dir() / "performance" / "growth.json"
    for name in words or [*PARTS, BY_STEP]:
        found = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
        if name == BY_STEP:
            points = [each | apart(tables_stepwise.__name__, each) for each in STEPWISE]
            found[name] = conditions() | {"points": points}
        else:
            found[name] = carried_out(PARTS[name])
        write_text(kept, json.dumps(found, indent=1) + "\n")
        write_text(kept.with_suffix(".md"), page(found))


if __name__ == "__main__":
    main(sys.argv[1:])
