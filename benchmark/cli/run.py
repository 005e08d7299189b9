"""`run`: trains, explains, scores and ranks."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import (
    DATA,
    EXECUTION,
    MODELS,
    OUTPUT,
    Aggregation,
    Alignment,
    Attributes,
    Autoattack,
    BatchSize,
    DataDirectory,
    Device,
    Epochs,
    Eps,
    GridStride,
    ImageDirectory,
    ImageSize,
    Layout,
    Limit,
    Methods,
    Metrics,
    Pseudonyms,
    Regimes,
    Seeds,
    Split,
    SplitGroups,
    Weights,
    console,
)
from benchmark.cli.changes import change_preset, collect_changes
from benchmark.errors import UserError
from benchmark.leaderboard.synthetic import STAMP
from benchmark.phrases import format_count
from benchmark.runtime.terminal import styled

PUBLISHED = {"Leaderboard": "leaderboard.md", "Table": "leaderboard.csv", "Records": "records", "Split": "split.csv"}
"""What a run names at its end, in the results directory."""
INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ends."""


def run(  # noqa: PLR0913 - the options of a command line
    *,
    preset: Annotated[str, typer.Option(help="Named settings, see `list presets`.")] = "quick",
    data: DataDirectory = None,
    layout: Layout = None,
    image_dir: ImageDirectory = None,
    attributes: Attributes = None,
    split: Split = None,
    split_groups: SplitGroups = False,
    pseudonyms: Pseudonyms = None,
    limit: Limit = None,
    aggregation: Aggregation = None,
    pretrain: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="A data set to train on first.", rich_help_panel=DATA)
    ] = None,
    class_map: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV with columns from,to: the class of --data for each class of --pretrain.",
            rich_help_panel=DATA,
        ),
    ] = None,
    architecture: Annotated[
        list[str] | None, typer.Option(help="Only these. Repeatable.", rich_help_panel=MODELS)
    ] = None,
    regime: Regimes = None,
    seed: Seeds = None,
    name: Annotated[
        str,
        typer.Option(
            metavar="LABEL",
            help="Label of these rows. Rows with a label join the preset's table, whatever their training settings.",
            rich_help_panel=MODELS,
        ),
    ] = "",
    entries: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            help="Directory of more entries. Their code runs in this process.",
            rich_help_panel=MODELS,
        ),
    ] = None,
    weights: Weights = None,
    epochs: Epochs = None,
    image_size: ImageSize = None,
    batch_size: BatchSize = None,
    compiled: Annotated[
        str | None,
        typer.Option(
            "--compile",
            help="torch.compile mode of the training: default or reduce-overhead. No gain on a CPU.",
            rich_help_panel=MODELS,
        ),
    ] = None,
    method: Methods = None,
    alignment: Alignment = None,
    grid_stride: GridStride = None,
    metric: Metrics = None,
    eps: Eps = None,
    autoattack: Autoattack = False,
    device: Device = None,
    engine: Annotated[
        str,
        typer.Option(
            help="local: one cell after another. ray: all cores or GPUs, or a cluster.", rich_help_panel=EXECUTION
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="A running Ray cluster, such as `auto` or host:6379.", rich_help_panel=EXECUTION),
    ] = None,
    cells_per_gpu: Annotated[
        int,
        typer.Option("--cells-per-gpu", help="Cells that share a GPU, with ray.", min=1, rich_help_panel=EXECUTION),
    ] = 1,
    train_only: Annotated[
        bool,
        typer.Option(
            "--train-only",
            metavar="",
            help="Train the models and stop. The same command without it scores them.",
            rich_help_panel=MODELS,
        ),
    ] = False,
    log: Annotated[
        str | None,
        typer.Option(help="tensorboard: write training curves to runs/logs.", rich_help_panel=OUTPUT),
    ] = None,
    publish_images: Annotated[
        bool | None,
        typer.Option(
            "--publish-images/--no-publish-images",
            metavar="",
            help="Publish pictures of test images: gallery and sheets. Default: if the license of the data allows it.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Show the cells and stop.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Train, explain, score and rank all models that are not done yet."""
    from benchmark.data.load import Source  # noqa: PLC0415
    from benchmark.execution import EngineOptions, open_engine  # noqa: PLC0415
    from benchmark.experiments.estimate import order_by_cost  # noqa: PLC0415
    from benchmark.experiments.grid import build_grid  # noqa: PLC0415
    from benchmark.experiments.jobs import RunRequest, build_jobs  # noqa: PLC0415
    from benchmark.experiments.publish import job_results_dir, up_to_date  # noqa: PLC0415
    from benchmark.experiments.storage_check import check_storage  # noqa: PLC0415

    if train_only and engine != "local":
        raise UserError("--train-only trains in this process; leave out --engine, or leave out --train-only")
    _check_effect("--class-map", class_map, "--pretrain", pretrain)
    _check_effect("--image-dir", image_dir, "--data", data)
    _check_effect("--layout", layout, "--data", data)
    if entries and engine != "local":
        raise UserError(f"--entries: --engine {engine} sends no entries to its workers; use --engine local")
    if entries:
        from benchmark.submission.entries import load_entries  # noqa: PLC0415

        load_entries(entries)
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
        compile=compiled,
        autoattack=autoattack,
        alignment=alignment,
        grid_stride=grid_stride,
    )
    settings = change_preset(preset, changes)
    cells = build_grid(settings, architecture or [], regime or [], seed or [], _check_label(name))
    with open_engine(engine, EngineOptions(address=address, cells_per_gpu=cells_per_gpu)) as workers:
        chosen_device = workers.choose_device(device)
        request = RunRequest(
            preset=settings,
            source=Source(
                directory=data,
                layout=layout,
                images=image_dir,
                attributes=attributes,
                split_groups=split_groups,
                pseudonyms=pseudonyms,
            ),
            cells=cells,
            device=chosen_device,
            bfloat16=workers.prefers_bfloat16(chosen_device),
            manifest=split,
            pretraining=Source(directory=pretrain) if pretrain else None,
            class_map=class_map,
            log=log,
            entries=entries,
        )
        jobs = build_jobs(request, console)
        check_storage(jobs)
        _show_initial_weights(jobs)
        if dry_run:
            _show_plan(jobs if train_only else order_by_cost(jobs))
        elif train_only:
            _train_models(jobs)
        elif up_to_date(jobs, pictures=publish_images):
            are = "the cell is" if len(jobs) == 1 else f"all {len(jobs)} cells are"
            console.print(f"Nothing to do: {are} done. The leaderboard is {job_results_dir(jobs[0])}.")
        else:
            _run_jobs(jobs, workers, embedded=data is None, pictures=publish_images)


def _train_models(jobs: Any) -> None:
    """Trains the models of the jobs and prints the outcome and the next step."""
    from benchmark.experiments.train_only import train_models  # noqa: PLC0415

    failures = train_models(jobs, console)
    console.print(f"{len(jobs) - len(failures)} of {format_count(len(jobs), 'model is', 'models are')} trained.")
    console.print("Next: the same command without --train-only explains and scores them.")
    _exit_after(failures)


def _show_initial_weights(jobs: Any) -> None:
    """Prints what the files of initial weights provide, and what stays random."""
    from benchmark.training.checkpoint import describe_initial_weights  # noqa: PLC0415

    shown = set()
    for job in jobs:
        architecture = job.cell.architecture
        if job.weights_path is not None and not job.done and architecture.name not in shown:
            shown.add(architecture.name)
            report = describe_initial_weights(architecture, len(job.data.classes), job.weights_path)
            console.print(f"weights of {architecture.name}: {report.describe()}")


def _run_jobs(jobs: Any, engine: Any, *, embedded: bool, pictures: bool | None = None) -> None:
    """Runs the jobs and prints the outcome, the paths of the results and the next step."""
    from benchmark.experiments.run import run_benchmark  # noqa: PLC0415

    try:
        directory, failures = run_benchmark(jobs, console, engine, pictures=pictures)
    except KeyboardInterrupt:
        finished = sum(job.done for job in jobs)
        console.print()
        console.print(f"stopped after {finished} of {format_count(len(jobs), 'cell')}; the same command continues")
        raise typer.Exit(INTERRUPTED) from None
    done = sum(job.done for job in jobs)
    if not done and all(failure.is_user_error for failure in failures):
        raise UserError(failures[0].reason)
    console.print()
    console.print(f"{done} of {format_count(len(jobs), 'cell is', 'cells are')} done." if done else "No cell finished.")
    if done:
        if jobs[0].data.synthetic:
            console.print(STAMP, style="bold")
        for title, name in PUBLISHED.items():
            console.print(f"{title:11s}  {directory / name}")
        _show_privacy(jobs[0].data, directory)
        if embedded:
            console.print("Next: do the same on your own images with `make benchmark DATA=DIRECTORY`.")
    _exit_after(failures)


def _show_privacy(data: Any, directory: Path) -> None:
    """Prints what the published names may reveal, and why there are no pictures."""
    from benchmark.data.identifying import find_published  # noqa: PLC0415
    from benchmark.experiments.pictures import has_pictures  # noqa: PLC0415

    if not has_pictures(directory):
        console.print("Pictures     none, as the license may not allow them; --publish-images adds them")
    for line in [] if data.synthetic else find_published(directory, data.classes):
        console.print(styled("warning:", "yellow"), f"{line}; --pseudonyms FILE replaces them")


def _exit_after(failures: Any) -> None:
    """Prints the failed cells and ends the program with code 1, if there are any."""
    for failure in failures:
        console.print(f"failed: {failure.cell}: {failure.reason}; see {failure.traceback}")
    if failures:
        raise typer.Exit(1)


def _check_label(name: str) -> str:
    """Returns the label of a variant.

    Raises:
        UserError: It cannot be part of a file name.
    """
    if name and not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,39}", name):
        raise UserError(f"--name {name}: use up to 40 of the characters a-z 0-9 . _ -, the first one a letter or digit")
    return name


def _check_effect(option: str, value: Path | str | None, needed: str, condition: Path | None) -> None:
    """Refuses an option that has no effect.

    Raises:
        UserError: It is given without the one that it depends on.
    """
    if value is not None and condition is None:
        raise UserError(f"{option} has no effect without {needed}; add {needed} or leave it out")


def _show_plan(jobs: Any) -> None:
    """Prints the cells in their order, their state and the expected cost."""
    from benchmark.experiments.estimate import forecast, format_duration  # noqa: PLC0415

    for job in jobs:
        console.print(f"{'done' if job.done else 'to do':6s} {job.cell.name}")
    todo = sum(not job.done for job in jobs)
    console.print(f"{format_count(len(jobs), 'cell')}: {len(jobs) - todo} done, {todo} to do")
    for protocol in dict.fromkeys(job.protocol for job in jobs):
        console.print(f"protocol {protocol}")
    cost = forecast(jobs)
    estimated = todo - len(cost.unknown)
    if estimated:
        console.print(
            f"about {format_duration(cost.seconds)} and {round(cost.bytes / 1e6)} MB in runs/ for {estimated} of them, "
            "estimated from earlier records within a factor of three in nine of ten cells",
        )
    if cost.unknown:
        console.print(
            f"no estimate for {len(cost.unknown)} of them, such as {cost.unknown[0]}: no earlier record is similar"
        )
