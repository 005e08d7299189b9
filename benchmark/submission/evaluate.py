"""Evaluates one entry as `run` does. Runs in the child: see :mod:`benchmark.submission.sandbox.worker`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.config.presets import PRESETS
from benchmark.data.load import Source
from benchmark.errors import UserError
from benchmark.execution.local import Local
from benchmark.experiments.grid import build_grid
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.experiments.run import run_benchmark
from benchmark.registry import resolve_name
from benchmark.runtime.terminal import Terminal
from benchmark.submission.entries import load_entry


def evaluate(entry: str, options: dict[str, Any], results: str) -> dict[str, list[str]]:
    """Trains unless there is a checkpoint, computes maps, scores them, and writes records.

    The tables are written by the parent.

    Args:
        entry: Path of the entry file.
        options: preset, changes (of its settings), data, layout, images, split, regimes, seeds, device.
        results: The results directory to write into.

    Returns:
        The names of the finished cells.

    Raises:
        UserError: A cell failed, or an option is invalid.
    """
    os.environ["LOUPE_RESULTS"] = results
    architecture = load_entry(Path(entry))
    checkpoint = architecture.checkpoint
    preset = replace(PRESETS[resolve_name(options["preset"], PRESETS, "preset")], **_restore_tuples(options["changes"]))
    engine = Local()
    device = engine.choose_device(options["device"])
    request = RunRequest(
        preset=preset,
        source=Source(
            directory=Path(options["data"]) if options["data"] else None,
            layout=options["layout"],
            images=Path(options["images"]) if options["images"] else None,
        ),
        cells=build_grid(
            preset, [architecture.name], [checkpoint.regime] if checkpoint else options["regimes"], options["seeds"]
        ),
        device=device,
        bfloat16=engine.prefers_bfloat16(device),
        manifest=Path(options["split"]) if options["split"] else None,
    )
    console = Terminal()
    jobs = build_jobs(request, console)
    _, failures = run_benchmark(jobs, console, engine, tables=False)
    if failures:
        raise UserError(f"{failures[0].cell}: {failures[0].reason}; see {failures[0].traceback}")
    return {"cells": [job.cell.name for job in jobs]}


def _restore_tuples(settings: dict[str, Any]) -> dict[str, Any]:
    """Turns the lists of JSON back into tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
