"""`run`: train, explain, score and rank."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import console
from benchmark.config.presets import PRESETS, Preset
from benchmark.errors import UserError
from benchmark.registry import resolve_name


def run(  # noqa: PLR0913 - the options of a command line
    *,
    preset: Annotated[str, typer.Option(help="Named settings; see `list presets`.")] = "quick",
    data: Annotated[Path | None, typer.Option(help="Folder of a data set; without it the embedded one.")] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the folder; without it chosen by its look.")] = None,
    images_folder: Annotated[
        Path | None, typer.Option("--images-folder", help="Images of a data set that comes without, matched by name.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="split.csv of another run, to use its split again.")] = None,
    merge: Annotated[str | None, typer.Option(help="How raters become one; see `list merges`.")] = None,
    pretrain: Annotated[Path | None, typer.Option(help="Folder of a data set to train on first.")] = None,
    class_map: Annotated[
        Path | None, typer.Option(help="CSV with from,to: classes of --pretrain and of the data that match.")
    ] = None,
    architecture: Annotated[list[str] | None, typer.Option(help="Only these; repeat for several.")] = None,
    regime: Annotated[list[str] | None, typer.Option(help="Only these; repeat for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only these; repeat for several.", min=0)] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Saliency methods, the first one for the main table; repeat for several.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Dear metrics beside the cheap ones; repeat for several, `all` of ours, or quantus:NAME."),
    ] = None,
    images: Annotated[int | None, typer.Option(help="Most images to take; 0 takes all.", min=0)] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.", min=1)] = None,
    side: Annotated[int | None, typer.Option(help="Side of images and maps in pixels.", min=96)] = None,
    batch: Annotated[int | None, typer.Option(help="Images per training step.", min=2)] = None,
    eps: Annotated[
        list[float] | None,
        typer.Option(help="L2 budget of the attacks that measure robustness, at 224 px; repeat for several."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="random, pretrained, a safetensors file or a folder of them.")
    ] = None,
    autoattack: Annotated[
        bool, typer.Option("--autoattack", help="Measure robustness by AutoAttack too; needs its authors' package.")
    ] = False,
    compiled: Annotated[
        str | None,
        typer.Option(
            "--compile",
            help="default or reduce-overhead: torch compiles the training. No gain on a CPU; try it on a GPU.",
        ),
    ] = None,
    alignment: Annotated[
        str | None,
        typer.Option(help="receptive-field: maps of a grid lie where its cells look; none: stretched, as others do."),
    ] = None,
    log: Annotated[str | None, typer.Option(help="tensorboard: write curves of the training to runs/logs.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; without it the GPU if there is one.")] = None,
    entries: Annotated[
        Path | None, typer.Option("--entries", help="Folder of more entries; their code runs in this process.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local: cells in turn; ray: on all cores or GPUs, or a cluster.")
    ] = "local",
    address: Annotated[str | None, typer.Option(help="Ray cluster that runs, such as `auto` or host:6379.")] = None,
    cells_per_gpu: Annotated[int, typer.Option("--cells-per-gpu", help="Cells that share a GPU, with ray.", min=1)] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the cells and stop.")] = False,
) -> None:
    """Train, explain, score and rank what is not done yet."""
    from benchmark.data.load import Source  # noqa: PLC0415
    from benchmark.execution import EngineOptions, open_engine  # noqa: PLC0415
    from benchmark.experiments.grid import plan  # noqa: PLC0415
    from benchmark.experiments.jobs import RunRequest, build_jobs  # noqa: PLC0415
    from benchmark.experiments.publish import job_results_dir, up_to_date  # noqa: PLC0415

    if entries:
        from benchmark.submission.entries import load_folder  # noqa: PLC0415

        load_folder(entries)
    changes: dict[str, Any] = {"images": images, "epochs": epochs, "weights": weights, "merge": merge}
    changes |= {"methods": tuple(method or ()) or None, "metrics": tuple(metric or ()) or None}
    changes |= {"side": side, "batch": batch, "attack_eps": tuple(eps or ()) or None, "autoattack": autoattack or None}
    changes |= {"compile": compiled, "alignment": alignment}
    settings = _preset(preset, {name: value for name, value in changes.items() if value is not None})
    cells = plan(settings, architecture or [], regime or [], seed or [])
    with open_engine(engine, EngineOptions(address=address, cells_per_gpu=cells_per_gpu)) as workers:
        where = workers.choose_device(device)
        request = RunRequest(
            preset=settings,
            source=Source(folder=data, layout=layout, images=images_folder),
            cells=cells,
            device=where,
            bfloat16=workers.bfloat16_pays(where),
            manifest=split,
            pretraining=Source(folder=pretrain) if pretrain else None,
            class_map=class_map,
            log=log,
        )
        jobs = build_jobs(request, console)
        if dry_run:
            _show_plan(jobs)
        elif up_to_date(jobs):
            console.print(
                f"Nothing to do: all {len(jobs)} cells are done. The leaderboard is {job_results_dir(jobs[0])}."
            )
        else:
            _carry_out(jobs, workers, embedded=data is None)


def _carry_out(jobs: Any, engine: Any, *, embedded: bool) -> None:
    """Runs the jobs and says what came of it, where it is and what to do next."""
    from benchmark.experiments.run import carry_out  # noqa: PLC0415

    folder, failures = carry_out(jobs, console, engine)
    done = sum(job.done for job in jobs)
    if not done and all(failure.is_user_error for failure in failures):
        raise UserError(failures[0].reason)
    console.print(f"\n{done} of {len(jobs)} cells are done." if done else "\nNo cell came to an end.")
    if done:
        if jobs[0].data.synthetic:
            console.print("[bold]SYNTHETIC DATA[/]: no number says anything of patients.")
        console.print(f"Leaderboard  {folder / 'leaderboard.md'}\nTable        {folder / 'leaderboard.csv'}")
        console.print(f"Records      {folder / 'records'}\nSplit        {folder / 'split.csv'}")
        if embedded:
            console.print("Next: the same on your own images, `make benchmark DATA=folder`.")
    for failure in failures:
        console.print(f"failed: {failure.cell}: {failure.reason}; see {failure.traceback}", highlight=False)
    if failures:
        raise typer.Exit(1)


def _preset(name: str, changes: dict[str, Any]) -> Preset:
    """A preset with other settings; of images, 0 stands for all."""
    if "merge" in changes:
        from benchmark.registry import select  # noqa: PLC0415
        from datasets import Aggregation  # noqa: PLC0415

        select(Aggregation, [changes["merge"]])
    if "methods" in changes:
        from benchmark.registry import select  # noqa: PLC0415
        from benchmark.saliency import Method  # noqa: PLC0415

        select(Method, changes["methods"])
    if "metrics" in changes:
        from benchmark.scoring.selection import select_metrics  # noqa: PLC0415

        select_metrics(changes["metrics"])
    if "images" in changes:
        changes["images"] = changes["images"] or None
    known = PRESETS[resolve_name(name, PRESETS, "preset")]
    try:
        return replace(known, **changes)
    except ValueError as error:
        raise UserError(f"--{error}") from None


def _show_plan(jobs: Any) -> None:
    """The cells, what is left to do and what that will cost."""
    from benchmark.experiments.estimate import forecast  # noqa: PLC0415

    for job in jobs:
        console.print(f"{'done' if job.done else 'to do':6s} {job.cell.name}", highlight=False)
    todo = sum(not job.done for job in jobs)
    console.print(f"{len(jobs)} cells: {len(jobs) - todo} done, {todo} to do")
    cost = forecast(jobs)
    judged = todo - len(cost.unknown)
    if judged:
        minutes, megabytes = max(1, round(cost.seconds / 60)), round(cost.bytes / 1e6)
        console.print(
            f"about {minutes} min and {megabytes} MB under runs for {judged} of them, judged by earlier records; "
            "within a factor of two",
            highlight=False,
        )
    if cost.unknown:
        console.print(f"no earlier record tells how long {len(cost.unknown)} take, such as {cost.unknown[0]}")
