"""`submit`: evaluates an entry and adds its rows to the tables."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import (
    EXECUTION,
    MODELS,
    Aggregation,
    Alignment,
    Autoattack,
    BatchSize,
    DataDirectory,
    Device,
    Entries,
    Epochs,
    Eps,
    GridStride,
    ImageDirectory,
    ImageSize,
    Json,
    Layout,
    Limit,
    MaxMemory,
    Methods,
    Metrics,
    Regimes,
    Seeds,
    Split,
    Trust,
    Weights,
    console,
)
from benchmark.cli.changes import change_preset, collect_changes
from benchmark.errors import UserError
from benchmark.runtime.terminal import styled
from datasets import printable


def submit(  # noqa: PLR0913 - the options of a command line
    entry: Annotated[
        str | None, typer.Argument(metavar="[ENTRY]", help="An entry file, or its name in a directory of entries.")
    ] = None,
    *,
    timm: Annotated[
        str | None, typer.Option(help="A timm model name, in place of an entry file.", rich_help_panel=MODELS)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the entry for --timm. Default: that of the model.", rich_help_panel=MODELS),
    ] = None,
    authors: Annotated[str, typer.Option(help="Who submits it, for --timm.", rich_help_panel=MODELS)] = "",
    entries: Entries = None,
    preset: Annotated[str, typer.Option(help="Named settings, see `list presets`.")] = "quick",
    data: DataDirectory = None,
    layout: Layout = None,
    split: Split = None,
    image_dir: ImageDirectory = None,
    limit: Limit = None,
    aggregation: Aggregation = None,
    regime: Regimes = None,
    seed: Seeds = None,
    epochs: Epochs = None,
    weights: Weights = None,
    image_size: ImageSize = None,
    batch_size: BatchSize = None,
    method: Methods = None,
    alignment: Alignment = None,
    grid_stride: GridStride = None,
    metric: Metrics = None,
    eps: Eps = None,
    autoattack: Autoattack = False,
    device: Device = None,
    network: Annotated[
        bool, typer.Option("--network", metavar="", help="Let the entry use the network.", rich_help_panel=EXECUTION)
    ] = False,
    max_hours: Annotated[
        float, typer.Option("--max-hours", help="Time limit, in hours.", min=0.01, rich_help_panel=EXECUTION)
    ] = 24,
    max_memory: MaxMemory = 8,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Check an entry, evaluate it, write its records and the tables, and list the files for the pull request."""
    if (not entry) == (not timm):
        raise UserError("give an entry file or --timm NAME; `python -m benchmark new NAME` writes an entry")
    from benchmark.submission.entries import ENTRIES_DIR, entry_file  # noqa: PLC0415
    from benchmark.submission.request import SubmissionRequest  # noqa: PLC0415
    from benchmark.submission.sandbox.client import worker  # noqa: PLC0415
    from benchmark.submission.sandbox.limits import GIGABYTE, Limits  # noqa: PLC0415
    from benchmark.submission.submit import (  # noqa: PLC0415
        SubmissionRejected,
        describe_other_protocols,
        pull_request_files,
        submit,
    )
    from benchmark.submission.template import timm_entry  # noqa: PLC0415

    changes = collect_changes(
        limit=limit,
        epochs=epochs,
        weights=weights,
        aggregation=aggregation,
        methods=method,
        metrics=metric,
        image_size=image_size,
        batch_size=batch_size,
        attack_eps=eps,
        autoattack=autoattack,
        alignment=alignment,
        grid_stride=grid_stride,
    )
    change_preset(preset, changes)
    request = SubmissionRequest(
        preset=preset,
        changes=changes,
        data=data,
        layout=layout,
        images=image_dir,
        split=split,
        regimes=tuple(regime or ()),
        seeds=tuple(seed or ()),
        device=device,
        network=network,
        hours=max_hours,
    )
    with tempfile.TemporaryDirectory() as directory:
        if timm is not None:
            entry_name, text = timm_entry(timm, name, authors)
            target = (entries or ENTRIES_DIR) / f"{entry_name}.toml"
            path = Path(directory).resolve() / target.name
            path.write_text(text, encoding="utf-8")
            path = target.resolve() if target.is_file() else path
        else:
            path = target = entry_file(str(entry), entries)
        with worker() as running:
            try:
                limits = Limits(memory=int(max_memory * GIGABYTE), seconds=600, trust=trust)
                submitted = submit(path, request, running, _notify, limits=limits)
            except SubmissionRejected as rejected:
                _show_rejection(rejected, as_json=as_json)
                raise typer.Exit(1) from None
        if path != target and not target.is_file():  # accepted: only now does the entry get its place
            from benchmark.storage.files import write_text  # noqa: PLC0415

            write_text(target, path.read_text(encoding="utf-8"))
    lines, others = pull_request_files(submitted, target), describe_other_protocols(submitted, preset)
    (_print_json if as_json else _print_lines)(submitted, lines, others)


def _print_json(submitted: Any, lines: list[str], others: str) -> None:
    payload = {"directory": str(submitted.directory), "records": list(map(str, submitted.records)), "send": lines}
    warnings = [*submitted.report.warnings, *([others] if others else [])]
    sys.stdout.write(json.dumps(payload | {"warnings": warnings}, indent=1) + "\n")


def _print_lines(submitted: Any, lines: list[str], others: str) -> None:
    for line in submitted.report.warnings:
        console.print(f"warning: {line}")
    if others:
        console.print(f"note: {others}")
    console.print(f"Leaderboard  {submitted.directory / 'leaderboard.md'}")
    console.print("Files for the pull request:")
    for line in lines:
        console.print(f"  {line}")


def _notify(line: str) -> None:
    sys.stderr.write(f"{printable(line)}\n")


def _show_rejection(rejected: Any, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"rejected": rejected.report.as_json()}, indent=1) + "\n")
        return
    console.print(styled("rejected", "red"), f"{rejected.report.path.name}; nothing was changed")
    for line in rejected.report.problems:
        console.print(f"  problem: {line}")
    for line in rejected.report.warnings:
        console.print(f"  warning: {line}")
