"""`run`: train, explain, score and rank."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.commands import console
from benchmark.errors import UserError
from benchmark.presets import PRESETS, Preset
from benchmark.registry import known_name


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
        list[str] | None, typer.Option(help="Dear metrics beside the cheap ones; repeat for several, or `all`.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Most images to take; 0 takes all.", min=0)] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.", min=1)] = None,
    weights: Annotated[
        str | None, typer.Option(help="random, pretrained, a safetensors file or a folder of them.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; without it the GPU if there is one.")] = None,
    entries: Annotated[
        Path | None, typer.Option("--entries", help="Folder of more entries; their code runs in this process.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the cells and stop.")] = False,
) -> None:
    """Train, explain, score and rank what is not done yet."""
    from benchmark.data.opening import Source  # noqa: PLC0415
    from benchmark.device import choose_device  # noqa: PLC0415
    from benchmark.plan import plan  # noqa: PLC0415
    from benchmark.run import Request, make_jobs, up_to_date  # noqa: PLC0415

    if entries:
        from benchmark.submission.entries import load_folder  # noqa: PLC0415

        load_folder(entries)
    changes: dict[str, Any] = {"images": images, "epochs": epochs, "weights": weights, "merge": merge}
    changes |= {"methods": tuple(method or ()) or None, "metrics": tuple(metric or ()) or None}
    settings = _preset(preset, {name: value for name, value in changes.items() if value is not None})
    request = Request(
        preset=settings,
        source=Source(folder=data, layout=layout, images=images_folder),
        cells=plan(settings, architecture or [], regime or [], seed or []),
        device=choose_device(device),
        manifest=split,
        pretraining=Source(folder=pretrain) if pretrain else None,
        class_map=class_map,
    )
    jobs = make_jobs(request, console)
    if dry_run:
        _show_cells([(job.cell.name, job.done) for job in jobs])
    elif up_to_date(jobs):
        from benchmark.run import results_of  # noqa: PLC0415

        console.print(f"Nothing to do: all {len(jobs)} cells are done. The leaderboard is {results_of(jobs[0])}.")
    else:
        _carry_out(jobs, embedded=data is None)


def _carry_out(jobs: Any, *, embedded: bool) -> None:
    """Runs the jobs and says what came of it, where it is and what to do next."""
    from benchmark.run import carry_out  # noqa: PLC0415

    folder, failures = carry_out(jobs, console)
    done = sum(job.done for job in jobs)
    if not done and all(failure.mendable for failure in failures):
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
        from datasets import Merge  # noqa: PLC0415

        select(Merge, [changes["merge"]])
    if "methods" in changes:
        from benchmark.registry import select  # noqa: PLC0415
        from benchmark.saliency import Method  # noqa: PLC0415

        select(Method, changes["methods"])
    if "images" in changes:
        changes["images"] = changes["images"] or None
    return replace(PRESETS[known_name(name, PRESETS, "preset")], **changes)


def _show_cells(cells: list[tuple[str, bool]]) -> None:
    for name, done in cells:
        console.print(f"{'done' if done else 'to do':6s} {name}", highlight=False)
    todo = sum(not done for _, done in cells)
    console.print(f"{len(cells)} cells: {len(cells) - todo} done, {todo} to do")
