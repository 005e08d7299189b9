"""`data`: look at a data set, or render the synthetic one."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli import ImageDirectory, Json, Layout, console
from benchmark.errors import UserError
from benchmark.leaderboard.synthetic import MARK

if TYPE_CHECKING:
    from benchmark.data.checks import DataReport

SHOWN = 20
"""So many lines of each kind are shown; JSON has all."""

app = typer.Typer(help="Check a data set, or render the synthetic one.", no_args_is_help=True)


@app.command(epilog="Example: python -m benchmark data check ~/isic2018 --quarantine")
def check(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A data set.")],
    *,
    layout: Layout = None,
    image_dir: ImageDirectory = None,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", metavar="", help="From now on, leave out the files that have problems.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Count what is there and list every problem with its remedy. Exit code 1 if there are problems left."""
    from benchmark.data.checks import check_dataset  # noqa: PLC0415
    from benchmark.data.exclusion import exclude  # noqa: PLC0415
    from benchmark.data.load import Source, load_index  # noqa: PLC0415
    from benchmark.runtime.progress import progress  # noqa: PLC0415

    data = load_index(Source(directory=directory, layout=layout, images=image_dir))
    with progress(Console(stderr=True), "decoding") as report:
        found = check_dataset(data, report)
    place = exclude(data, found.problems) if quarantine and found.problems else None
    if as_json:
        problems = [{"file": str(each.file), "problem": each.what, "remedy": each.remedy} for each in found.problems]
        told = found.facts | {"problems": problems, "alike": found.alike, "quarantine": place and str(place)}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        _show(found)
        if place:
            console.print(f"Quarantined: {len(found.problems)} problems, listed in {place}. Remove it to undo.")
        elif found.problems:
            console.print("Next: fix them, or leave them out with --quarantine.")
        else:
            console.print(
                f"No problems. Next: python -m benchmark run --data {escape(str(directory))}", highlight=False
            )
    if found.problems and not quarantine:
        raise typer.Exit(1)


@app.command(epilog="Example: python -m benchmark data synthesize ~/dermsynth --num-images 600")
def synthesize(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A new directory.")],
    *,
    num_images: Annotated[int, typer.Option("--num-images", help="Number of images.", min=24)] = 240,
) -> None:
    """Render synthetic clinical photographs with masks of three raters, in the layout of DermXDB."""
    from datasets import dermsynth  # noqa: PLC0415

    try:
        with console.status(f"rendering {num_images} images"):
            dermsynth.render(directory, images=num_images)
    except ValueError as error:
        raise UserError(str(error)) from None
    console.print(f"{num_images} images ({MARK}): {directory}\nNext: python -m benchmark data check {directory}")


def _show(found: "DataReport") -> None:
    for name, value in found.facts.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            many = f" and {len(value) - SHOWN} more" if len(value) > SHOWN else ""
            told = ", ".join(f"{key} {count:,}" for key, count in list(value.items())[:SHOWN])
            console.print(f"{title:42s}{escape(told) or '-'}{many}", highlight=False)
        elif isinstance(value, list):
            _show_lines(title, value)
        else:
            console.print(f"{title:42s}{escape(str(value))}", highlight=False)
    _show_lines("look alike", [f"{one} and {other}" for one, other in found.alike])
    _show_lines("[red]problems[/]", [str(problem) for problem in found.problems])


def _show_lines(title: str, lines: list[str]) -> None:
    if lines:
        console.print(f"{title}: {len(lines)}")
        for line in lines[:SHOWN]:
            console.print(f"  {escape(line)}", highlight=False)
        if len(lines) > SHOWN:
            console.print(f"  and {len(lines) - SHOWN} more; --json lists all")
