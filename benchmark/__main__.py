"""The command line: words in, words out."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

from benchmark.errors import UserError
from benchmark.presets import PRESETS, Preset
from benchmark.registry import known_name

# Before torch is loaded: with its default, a thread that waits for another spins so long that a busy neighbour on
# one of two cores slows a training step tenfold; this costs 3 % on an idle machine.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

app = typer.Typer(
    help="Loupe: which network explains itself well? A benchmark of saliency maps in medical imaging. "
    "With --debug anywhere, an error shows its traceback.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
)
console = Console(soft_wrap=True)

KINDS = ("architectures", "regimes", "methods", "metrics", "datasets", "presets")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command(epilog="Example: python -m benchmark run --preset quick --data ~/isic2018 --architecture resnet50")
def run(  # noqa: PLR0913 - the options of a command line
    *,
    preset: Annotated[str, typer.Option(help="Named settings; see `list presets`.")] = "quick",
    data: Annotated[Path | None, typer.Option(help="Folder of a data set; without it the embedded one.")] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the folder; without it chosen by its look.")] = None,
    architecture: Annotated[list[str] | None, typer.Option(help="Only these; repeat for several.")] = None,
    regime: Annotated[list[str] | None, typer.Option(help="Only these; repeat for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only these; repeat for several.", min=0)] = None,
    images: Annotated[int | None, typer.Option(help="Most images to take; 0 takes all.", min=0)] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.", min=1)] = None,
    weights: Annotated[
        str | None, typer.Option(help="random, pretrained, a safetensors file or a folder of them.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; without it the GPU if there is one.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the cells and stop.")] = False,
) -> None:
    """Train, explain, score and rank what is not done yet."""
    from benchmark.device import choose_device  # noqa: PLC0415 - torch is loaded by the verbs that need it
    from benchmark.plan import plan  # noqa: PLC0415
    from benchmark.run import Request, carry_out, make_jobs, results_of, up_to_date  # noqa: PLC0415

    settings = _preset(preset, images=images, epochs=epochs, weights=weights)
    cells = plan(settings, architecture or [], regime or [], seed or [])
    request = Request(preset=settings, data=data, layout=layout, cells=cells, device=choose_device(device))
    jobs = make_jobs(request, console)
    if dry_run:
        _show_cells([(job.cell.name, job.done) for job in jobs])
        return
    if up_to_date(jobs):
        console.print(f"Nothing to do: all {len(jobs)} cells are done. The leaderboard is {results_of(jobs[0])}.")
        return
    folder, failures = carry_out(jobs, console)
    done = sum(job.done for job in jobs)
    if not done and all(failure.mendable for failure in failures):
        raise UserError(failures[0].reason)
    console.print(f"\n{done} of {len(jobs)} cells are done." if done else "\nNo cell came to an end.")
    if done:
        if jobs[0].data.synthetic:
            console.print("[bold]SYNTHETIC DATA[/]: no number says anything of patients.")
        console.print(f"Leaderboard  {folder / 'leaderboard.md'}\nTable        {folder / 'leaderboard.csv'}")
        console.print(f"Records      {folder / 'records'}")
        if data is None:
            console.print("Next: the same on your own images, `make benchmark DATA=folder`.")
    for failure in failures:
        console.print(f"failed: {failure.cell}: {failure.reason}; see {failure.traceback}", highlight=False)
    if failures:
        raise typer.Exit(1)


@app.command("list", epilog="Example: python -m benchmark list architectures --json")
def list_entries(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")], *, as_json: Json = False
) -> None:
    """Show what is registered."""
    from benchmark.catalogue import catalogue  # noqa: PLC0415

    rows = catalogue(known_name(kind, KINDS, "kind"))
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    Console().print(table)


@app.command(epilog="Example: python -m benchmark leaderboard results/dermsynth/quick")
def leaderboard(
    folder: Annotated[Path | None, typer.Argument(help="A results folder; without it all under results/.")] = None,
) -> None:
    """Rebuild tables and figures from the records."""
    from benchmark.leaderboard.board import MARKER  # noqa: PLC0415
    from benchmark.leaderboard.publish import rebuild  # noqa: PLC0415
    from benchmark.store import results_folder  # noqa: PLC0415

    folders = [folder] if folder else sorted(path.parent for path in results_folder().glob(f"*/*/{MARKER}"))
    if not folders:
        raise UserError(f"{results_folder()} holds no results; make some with `python -m benchmark run`")
    problems: list[str] = []
    for each in folders:
        with console.status(f"writing {each}"):
            boards = rebuild(each)
        console.print(f"{each / 'leaderboard.md'}: {len(boards[0].models)} models")
        problems += boards[0].problems
    for problem in problems:
        console.print(f"left out: {problem}", highlight=False)
    if problems:
        raise typer.Exit(1)


@app.command(epilog="Example: python -m benchmark status --json")
def status(*, as_json: Json = False) -> None:
    """Show which results there are and how much room the runs take."""
    from benchmark.status import status as collect  # noqa: PLC0415

    found = collect()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    for result in found["results"]:
        console.print(f"{result['folder']}: {result['records']} records, {', '.join(result['regimes'])}")
    if not found["results"]:
        console.print("no results yet: `make benchmark` makes some")
    runs = found["runs"]
    console.print(f"{runs['folder']}: {runs['cells']} cells done, {runs['failed']} failed, {runs['gigabytes']:.1f} GB")


def _preset(name: str, *, images: int | None, epochs: int | None, weights: str | None) -> Preset:
    preset = PRESETS[known_name(name, PRESETS, "preset")]
    if images is not None:
        preset = replace(preset, images=images or None)
    if epochs is not None:
        preset = replace(preset, epochs=epochs)
    return preset if weights is None else replace(preset, weights=weights)


def _show_cells(cells: list[tuple[str, bool]]) -> None:
    for name, done in cells:
        console.print(f"{'done' if done else 'to do':6s} {name}", highlight=False)
    todo = sum(not done for _, done in cells)
    console.print(f"{len(cells)} cells: {len(cells) - todo} done, {todo} to do")


def main() -> None:
    """Runs the command line; a user's mistake is one line and exit code 2."""
    words = [word for word in sys.argv[1:] if word != "--debug"] or ["--help"]
    try:
        sys.exit(app(words, prog_name="python -m benchmark", standalone_mode=False))
    except (UserError, TyperException) as error:
        if "--debug" in sys.argv:
            raise
        text = error.format_message() if isinstance(error, TyperException) else str(error)
        sys.stderr.write(f"error: {text}\n")
        sys.exit(2)
    except OSError as error:
        if "--debug" in sys.argv:
            raise
        text = f"{error.filename}: {error.strerror}; free it or choose another place" if error.filename else str(error)
        sys.stderr.write(f"error: {text}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
