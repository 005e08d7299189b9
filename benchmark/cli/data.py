"""`data`: checks a data set, or renders the synthetic one."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import Attributes, ImageDirectory, Json, Layout, SplitGroups, console
from benchmark.errors import UserError
from benchmark.leaderboard.synthetic import MARK
from benchmark.phrases import format_count
from benchmark.runtime.terminal import Terminal, styled

if TYPE_CHECKING:
    from benchmark.data.checks import DataReport

MAX_LINES = 20
"""Maximum number of printed lines of each kind. JSON has all."""

app = typer.Typer(help="Check a data set, or render the synthetic one.", no_args_is_help=True)


@app.command(epilog="Example: python -m benchmark data check ~/isic2018 --quarantine")
def check(  # noqa: PLR0913 - the options of a command line
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A data set.")],
    *,
    layout: Layout = None,
    image_dir: ImageDirectory = None,
    attributes: Attributes = None,
    split_groups: SplitGroups = False,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", metavar="", help="Exclude the files that have problems from now on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Count images and masks, and list every problem with its remedy. Exit code 1 if problems remain."""
    from benchmark.config.presets import QUICK  # noqa: PLC0415
    from benchmark.data.checks import check_dataset as check_data  # noqa: PLC0415
    from benchmark.data.checks import find_refusal  # noqa: PLC0415
    from benchmark.data.exclusion import exclude as exclude_files  # noqa: PLC0415
    from benchmark.data.load import Source, load_index  # noqa: PLC0415
    from benchmark.runtime.progress import progress  # noqa: PLC0415

    source = Source(
        directory=directory, layout=layout, images=image_dir, attributes=attributes, split_groups=split_groups
    )
    data = load_index(source)
    with progress(Terminal(stderr=True), "decoding") as report:
        result = check_data(data, report)
    excluded = exclude_files(data, result.problems) if quarantine and result.problems else None
    refusal = find_refusal(load_index(source), QUICK) if excluded else result.refusal
    if as_json:
        problems = [
            {"file": str(problem.file), "problem": problem.what, "remedy": problem.remedy}
            for problem in result.problems
        ]
        payload = result.facts | {
            "problems": problems,
            "refusal": refusal,
            "alike": result.alike,
            "quarantine": excluded and str(excluded),
        }
        sys.stdout.write(json.dumps(payload, indent=1) + "\n")
    else:
        _show(result)
        if result.facts["privacy"]:
            console.print("A run publishes them in split.csv and records; `run --pseudonyms FILE` replaces them.")
        if excluded:
            console.print(f"Excluded: {len(result.problems)} problems, listed in {excluded}. Remove that file to undo.")
        elif result.problems:
            console.print("Next: fix them, or exclude these files with --quarantine.")
        if refusal:
            console.print(styled("A run refuses this data set:", "red"), refusal)
        elif excluded or not result.problems:
            console.print(
                f"{'' if excluded else 'No problems. '}Next: python -m benchmark run --data {directory}",
            )
    if refusal or (result.problems and not quarantine):
        raise typer.Exit(1)


@app.command("import", epilog="Example: python -m benchmark data import ~/scans ~/converted --window 40,400")
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Directory with <class>/, or a COCO file next to its images.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DEST", help="A new directory, in the layout `folder`.")],
    *,
    window: Annotated[
        str | None, typer.Option(help="Center and width of the gray window, such as 40,400. Default: that of the file.")
    ] = None,
    slices: Annotated[int, typer.Option("--slices", help="Maximum number of slices of a volume.", min=1)] = 1,
) -> None:
    """Convert DICOM, NIfTI or COCO into a data set. Names of files and patients become hashes."""
    from benchmark.data.importers.convert import convert_dataset, parse_window  # noqa: PLC0415

    with console.status("converting"):
        counts, text = convert_dataset(source, target, parse_window(window), slices)
    for name, count in counts.items():
        console.print(f"{name:42s}{count:,}")
    console.print(text)
    console.print(f"Next: python -m benchmark data check {target}")


@app.command(epilog="Example: python -m benchmark data synthesize ~/dermsynth --num-images 600")
def synthesize(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A new directory.")],
    *,
    num_images: Annotated[int, typer.Option("--num-images", help="Number of images.", min=24)] = 240,
    dose: Annotated[
        float,
        typer.Option(help="Fraction of the training images of one diagnosis with the planted mark.", min=0, max=1),
    ] = 0.6,
    mark: Annotated[
        str, typer.Option(help="The planted mark. ink: hardly learned. sticker: learned in minutes.")
    ] = "ink",
) -> None:
    """Render synthetic clinical photographs with masks of three raters, in the layout of DermXDB."""
    from datasets import dermsynth  # noqa: PLC0415
    from datasets.dermsynth.plan import PlantedMark  # noqa: PLC0415

    try:
        with console.status(f"rendering {format_count(num_images, 'image')}"):
            dermsynth.render(directory, images=num_images, mark=PlantedMark(shape=mark, dose=dose))
    except ValueError as error:
        raise UserError(str(error)) from None
    console.print(f"{format_count(num_images, 'image')} ({MARK}): {directory}")
    console.print(f"Next: python -m benchmark data check {directory}")


def _show(result: "DataReport") -> None:
    for name, value in result.facts.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            more = f" and {len(value) - MAX_LINES} more" if len(value) > MAX_LINES else ""
            pairs = list(value.items())[:MAX_LINES]
            text = ", ".join(f"{key} {_format(count)}" for key, count in pairs)
            console.print(f"{title:42s}{text or '-'}{more}")
        elif isinstance(value, list):
            _show_lines(title, value)
        else:
            console.print(f"{title:42s}{value}")
    _show_lines("look alike", [f"{first} and {second}" for first, second in result.alike])
    _show_lines("problems", [str(problem) for problem in result.problems], style="red")


def _format(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else f"({value})"


def _show_lines(title: str, lines: list[str], style: str = "") -> None:
    if lines:
        console.print(styled(f"{title}:", style), str(len(lines)))
        for line in lines[:MAX_LINES]:
            console.print(f"  {line}")
        if len(lines) > MAX_LINES:
            console.print(f"  and {len(lines) - MAX_LINES} more; --json lists all")
