"""Evaluates one entry as `run` does. The code of an entry in Python runs in boxes, the rest in this process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from architectures import Architecture
from benchmark.config.presets import PRESETS, Preset
from benchmark.data.load import Source
from benchmark.errors import UserError
from benchmark.execution.local import Local
from benchmark.experiments.grid import build_grid
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.experiments.run import run_benchmark
from benchmark.registry import resolve_name
from benchmark.runtime.terminal import Terminal
from benchmark.submission.entries import EntryFacts, known_entry
from benchmark.submission.judge.host import BoxHost, refuse_inner_methods
from benchmark.submission.request import SubmissionRequest


def evaluate(
    entry: Path, facts: dict[str, Any], request: SubmissionRequest, results: Path, host: BoxHost | None
) -> None:
    """Trains unless there is a checkpoint, computes maps, scores them, and writes records.

    The caller writes the tables.

    Args:
        entry: The entry file.
        facts: What the checks of the entry found.
        request: What to evaluate it on, and how.
        results: The results directory to write into.
        host: Runs its code. None for an entry without code.

    Raises:
        UserError: A cell failed, or an option is invalid.
    """
    preset = replace(PRESETS[resolve_name(request.preset, PRESETS, "preset")], **request.changes)
    if host is not None:
        refuse_inner_methods(preset)
    metadata = EntryFacts.model_validate(facts["metadata"])
    device = Local().choose_device(request.device)
    build = partial(host.build, metadata.target_layer, device) if host is not None else None
    known = known_entry(entry, metadata, build, pretrained=facts["pretrained"])
    with known as architecture, _results_in(results):
        try:
            _run(architecture, preset, request, device, host)
        finally:
            if host is not None:
                host.close()


def _run(
    architecture: Architecture, preset: Preset, request: SubmissionRequest, device: torch.device, host: BoxHost | None
) -> None:
    checkpoint, engine = architecture.checkpoint, Local()
    regimes = [checkpoint.regime] if checkpoint else request.regimes
    order = RunRequest(
        preset=preset,
        source=Source(directory=request.data, layout=request.layout, images=request.images),
        cells=build_grid(preset, [architecture.name], regimes, request.seeds),
        device=device,
        bfloat16=engine.prefers_bfloat16(device),
        manifest=request.split,
        host=host,
    )
    console = Terminal(stderr=True)
    _, failures = run_benchmark(build_jobs(order, console), console, engine, tables=False)
    if failures:
        raise UserError(f"{failures[0].cell}: {failures[0].reason}; see {failures[0].traceback}")


@contextmanager
def _results_in(directory: Path) -> Iterator[None]:
    """Makes a directory the results directory during the block."""
    before = os.environ.get("LOUPE_RESULTS")
    os.environ["LOUPE_RESULTS"] = str(directory)
    try:
        yield
    finally:
        os.environ.pop("LOUPE_RESULTS")
        os.environ |= {} if before is None else {"LOUPE_RESULTS": before}
