"""Damages one stored file, removes what is made from it, runs again: python -m tests.benchmark.storage.fuzzing 1000

A trial is silent if published numbers differ and no line names the damage. It is a traceback if anything but an error
of the user ends it. All else is repaired or named.
"""

import gc
import io
import json
import logging
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import pandas as pd
import torch
from PIL import Image
from rich.console import Console
from torch import nn

from architectures import Architecture
from benchmark.config.presets import QUICK, Preset
from benchmark.data.load import Source
from benchmark.errors import UserError
from benchmark.execution.local import Local
from benchmark.experiments import run as run_module
from benchmark.experiments.grid import Cell
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.experiments.publish import FILES, is_published
from benchmark.leaderboard.load.results import read_results
from benchmark.registry import entries, register, select
from benchmark.storage import cache, files
from benchmark.storage.results import sidecar_file
from benchmark.training.regimes import Regime
from benchmark.training.state import CheckpointFile
from metrics import Metric

SIDE = 32
METRICS = ("map-f1", "insertion")


class Tiny(nn.Module):
    """A network that trains in a moment."""

    def __init__(self, classes: int, width: int = 4) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, width, 5, stride=4), nn.BatchNorm2d(width), nn.ReLU())
        self.classifier = nn.Linear(width, classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean(dim=(2, 3)))


TINY = Architecture(
    name="fuzzed",
    build=Tiny,
    pretrained=None,
    target_layer="features",
    input_size=SIDE,
    learning_rate=1e-2,
    quick_epochs=2,
    source="a test",
)
CHANGES = {
    "image_size": SIDE,
    "limit": None,
    "methods": ("grad-cam",),
    "num_perturbed": 1,
    "perturbation_steps": 2,
    "num_attacked": 1,
    "attack_steps": 1,
    "batch_size": 4,
}
PRESET = replace(QUICK, **CHANGES)
DERIVED = {
    "models": ("maps", "predictions", "reliance", "cells"),
    "maps": ("cells",),
    "predictions": ("cells",),
    "reliance": ("cells",),
    "data": ("models", "maps", "predictions", "reliance", "cells", "baselines"),
    "splits": ("cells",),
    "digests": ("cells",),
    "geometry": ("maps", "cells"),
    "baselines": (),
    "cells": (),
    "training": (),
    "results": (),
}
"""What is removed after a stored file is damaged, so that the damage counts."""


def write_data(root: Path) -> Path:
    """Twelve images of two classes with masks."""
    rng = np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        pixels[8:20, 8:20, number % 2] //= 2
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        mask[8:20, 8:20] = 255
        for kind, content in (("images", pixels), ("masks", mask)):
            path = root / kind / ("a", "b")[number % 2] / f"image{number}.png"
            path = root / kind / (f"image{number}.png") if kind == "masks" else path
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)
    return root


TRAININGS = (("standard", 0), ("standard", 1))
"""Regime and seed of the cells of a run."""


@contextmanager
def few_metrics() -> Iterator[None]:
    """Runs have few metrics, no pictures, and look for no near-duplicates."""
    few = mock.patch("benchmark.experiments.job.select_metrics", return_value=select(Metric, METRICS))
    with (
        few,
        mock.patch.multiple(
            run_module,
            _count_near_duplicates=lambda *_: 0,
            write_pictures=lambda *_: None,
            remove_pictures=lambda *_: None,
        ),
    ):
        yield


class Bench:
    """Runs the same two cells again and again, without figures and pages."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = write_data(directory / "tiny")
        module = ModuleType("fuzzed")
        module.__file__, module.FUZZED = __file__, TINY
        register(Architecture, module)

    def run(
        self, trainings: Sequence[tuple[str, int]] = TRAININGS, *, preset: Preset = PRESET, tables: bool = False
    ) -> None:
        """A run, with a training that stores a state at each epoch."""
        cells = [Cell(architecture=TINY, regime=select(Regime, [regime])[0], seed=seed) for regime, seed in trainings]
        request = RunRequest(
            preset=preset,
            source=Source(directory=self.data),
            cells=cells,
            device=torch.device("cpu"),
            bfloat16=False,
        )
        console = Console(file=sys.stderr if "-v" in sys.argv else io.StringIO(), quiet=True)
        with few_metrics():
            jobs = build_jobs(request, console)
            directory, failures = run_module.run_benchmark(jobs, console, Local(), tables=tables)
            for failure in failures:
                raise UserError(failure.reason) if failure.is_user_error else RuntimeError(failure.reason)
            if not all(is_published(job, directory) for job in jobs):
                raise RuntimeError("not published")

    def numbers(self) -> dict[str, str]:
        """Everything that is published, but for times."""
        content: dict[str, str] = {}
        results = self.directory / "results" / "tiny" / "quick"
        for path, record in read_results(results).records.items():
            payload = record.model_dump(
                exclude={**dict.fromkeys(("seconds", "environment", "files"), True), "training": {"seconds"}}
            )
            content[path.name] = json.dumps(payload, sort_keys=True, default=str)
            for suffix in ("scores.parquet", "predictions.parquet", "curves.parquet"):
                content[f"{path.name} {suffix}"] = pd.read_parquet(sidecar_file(path, suffix)).to_csv()
        content["baselines"] = pd.read_parquet(results / "baselines.parquet").to_csv()
        content["split"] = (results / "split.csv").read_text(encoding="utf-8")
        return content


@contextmanager
def bench_in(directory: Path) -> Iterator[Bench]:
    """Yields a bench whose runs and results are in a directory."""
    with (
        mock.patch.dict("os.environ"),
        mock.patch.dict("benchmark.registry._external", clear=True),
        mock.patch.object(files, "_flush"),
    ):
        os.environ |= {"LOUPE_RUNS": str(directory / "runs"), "LOUPE_RESULTS": str(directory / "results")}
        yield Bench(directory)
    entries.cache_clear()


def stored_files(directory: Path, kind: str) -> list[Path]:
    """The files of a kind, digests included."""
    root = directory / ("results" if kind == "results" else f"runs/{kind}")
    names = {*FILES.values(), "protocol.json", "split.csv", "baselines.parquet"}
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file()
        and (kind != "results" or any(path.name.endswith(name) for name in names))
        and path.name != ".lock"
    )


def damage(rng: random.Random, path: Path, others: list[Path]) -> str:
    """Damages a file in one of seven ways."""
    content = bytearray(path.read_bytes())
    way = rng.choice(["bit", "bit", "bit", "truncated", "empty", "zeros", "appended", "exchanged", "garbage", "link"])
    if way == "bit" and content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif way == "truncated":
        content = content[: rng.randrange(max(1, len(content)))]
    elif way == "empty":
        content = bytearray()
    elif way == "zeros" and content:
        start = rng.randrange(len(content))
        content[start : start + 64] = bytes(len(content[start : start + 64]))
    elif way == "appended":
        content += rng.randbytes(16)
    elif way == "exchanged":
        alike = [other for other in others if other != path and other.suffix == path.suffix]
        content = bytearray(rng.choice(alike).read_bytes()) if alike else content[::-1]
    elif way == "garbage":
        content = bytearray(rng.randbytes(max(1, len(content))))
    path.unlink()
    if way == "link":
        path.symlink_to(path.with_name("nowhere"))
    else:
        path.write_bytes(content)
    return way


def leave_a_state(bench: Bench) -> None:
    """Stops a training after its first epoch, with its state stored."""

    class Stopped(BaseException):
        pass

    save = CheckpointFile.save

    def saving(self, state):
        self._seconds = 0
        save(self, state)
        raise Stopped

    shutil.rmtree(bench.directory / "runs" / "models")
    for kind in DERIVED["models"]:
        shutil.rmtree(bench.directory / "runs" / kind)
    with mock.patch.object(CheckpointFile, "save", saving):
        try:
            bench.run()
        except Stopped:
            return
    raise AssertionError("no state was stored")


def fuzz(trials: int = 1000, seed: int = 0, kinds: tuple[str, ...] = tuple(DERIVED)) -> Counter[tuple[str, str]]:
    """Counts the outcomes of trials by kind of file."""
    rng, outcomes = random.Random(seed), Counter()
    logging.getLogger("loupe").propagate = False
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("loupe").addHandler(handler)
    with tempfile.TemporaryDirectory() as scratch, bench_in(Path(scratch)) as bench:
        directory = bench.directory
        bench.run()
        expected = bench.numbers()
        gc.freeze()  # each cell collects garbage, which takes longer than the cell with all that is loaded
        pristine = {name: directory / f"pristine-{name}" for name in ("runs", "results")}
        for name, copy in pristine.items():
            shutil.copytree(directory / name, copy)
        for trial in range(trials):
            kind = kinds[trial % len(kinds)]
            for name, copy in pristine.items():
                shutil.rmtree(directory / name)
                shutil.copytree(copy, directory / name)
            cache._verified.clear()
            if kind == "training":
                leave_a_state(bench)
            stored = stored_files(directory, kind)
            path = rng.choice(stored)
            before = path.read_bytes()
            way = damage(rng, path, stored)
            for derived in DERIVED[kind]:
                shutil.rmtree(directory / "runs" / derived, ignore_errors=True)
            lines.clear()
            outcome = judge(bench, expected, lines)
            if outcome == "unnoticed" and not path.is_symlink() and path.exists() and path.read_bytes() == before:
                outcome = "repaired"
            outcomes[kind, outcome] += 1
            if outcome in {"silent", "traceback"} or "-v" in sys.argv:
                sys.stderr.write(f"{outcome}: {way} of {path.relative_to(directory)}\n")
    gc.unfreeze()
    logging.getLogger("loupe").removeHandler(handler)
    logging.getLogger("loupe").propagate = True
    return outcomes


def judge(bench: Bench, expected: dict[str, str], lines: list[str]) -> str:
    """What a run makes of the damage."""
    try:
        bench.run()
        same = bench.numbers() == expected
    except UserError:
        return "named"
    except Exception as error:  # noqa: BLE001 - that is what is counted
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return "traceback"
    if same:
        return "repaired" if lines else "unnoticed"
    return "named, other numbers" if lines else "silent"


def table(outcomes: Counter[tuple[str, str]], heading: str = "stored file") -> str:
    """The outcomes as Markdown."""
    names = sorted({outcome for _, outcome in outcomes})
    lines = [f"| {heading} | tries | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for kind in dict.fromkeys(kind for kind, _ in outcomes):
        counts = [outcomes[kind, name] for name in names]
        lines.append(f"| {kind} | {sum(counts)} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "-v"]
    sys.stdout.write(table(fuzz(*map(int, words))) + "\n")
