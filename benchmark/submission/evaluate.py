"""Evaluating one entry as `run` does. Runs in the child: see :mod:`benchmark.submission.sandbox.worker`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.config.presets import PRESETS
from benchmark.data.load import Source
from benchmark.errors import UserError
from benchmark.execution.local import Local
from benchmark.experiments.grid import build_grid
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.experiments.run import run_benchmark
from benchmark.registry import resolve_name
from benchmark.submission.entries import load_entry


def evaluate(entry: str, asked: dict[str, Any], results: str) -> list[str]:
    """Trains, where there is no checkpoint, draws and scores, and writes records; the tables are the parent's to make.

    Args:
        entry: Path of the entry file.
        asked: preset, changes (of its settings), data, layout, split, regimes, seeds, device.
        results: The results directory to write into.

    Returns:
        Names of the cells that came to an end.

    Raises:
        UserError: A cell failed, or what was asked for cannot be had.
    """
    os.environ["LOUPE_RESULTS"] = results
    architecture = load_entry(Path(entry))
    checkpoint = architecture.checkpoint
    preset = replace(PRESETS[resolve_name(asked["preset"], PRESETS, "preset")], **_changes(asked["changes"]))
    engine = Local()
    device = engine.choose_device(asked["device"])
    request = RunRequest(
        preset=preset,
        source=Source(directory=Path(asked["data"]) if asked["data"] else None, layout=asked["layout"]),
        cells=build_grid(
            preset, [architecture.name], [checkpoint.regime] if checkpoint else asked["regimes"], asked["seeds"]
        ),
        device=device,
        bfloat16=engine.prefers_bfloat16(device),
        manifest=Path(asked["split"]) if asked["split"] else None,
    )
    console = Console(soft_wrap=True, highlight=False)
    jobs = build_jobs(request, console)
    _, failures = run_benchmark(jobs, console, engine, tables=False)
    if failures:
        raise UserError(f"{failures[0].cell}: {failures[0].reason}; see {failures[0].traceback}")
    return [job.cell.name for job in jobs]


def _changes(told: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON says them, with tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
