"""`compare`: two models against each other."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from benchmark.cli import OUTPUT, SCORING, DataDirectory, Json, console
from benchmark.errors import UserError
from benchmark.leaderboard.synthetic import MARK

if TYPE_CHECKING:
    from benchmark.leaderboard.analysis.compare import Comparison
    from benchmark.leaderboard.load.results import ResultsDirectory

WIDTH = 150
"""Of the table; a narrower terminal breaks its lines, and a file gets them whole."""


def compare(  # noqa: PLR0913 - the options of a command line
    a: Annotated[str, typer.Argument(metavar="A", help="A model, such as xception/standard.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one, such as resnet50/pgd-l2.")],
    *,
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="A results directory. Default: every one that holds both models."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="Name of a data set under results/.")] = None,
    preset: Annotated[str | None, typer.Option(help="Name of a preset under results/.")] = None,
    method: Annotated[
        str, typer.Option(help="Saliency method. Default: the first one of the table.", rich_help_panel=SCORING)
    ] = "",
    data: DataDirectory = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The picture. Default: a PNG in the results directory.", rich_help_panel=OUTPUT
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two models score by score and show the images by which they differ most."""
    from benchmark.leaderboard.analysis.compare import compare_models  # noqa: PLC0415

    found = []
    for published in _with_both((a, b), results, dataset, preset):
        comparison = compare_models(published, (a, b), method)
        picture = _picture(published, comparison, data, output)
        found.append(comparison.as_json() | {"picture": str(picture) if picture else None})
        if not as_json:
            _show(comparison, picture)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")


def _with_both(
    names: tuple[str, str], results: Path | None, data: str | None, preset: str | None
) -> "list[ResultsDirectory]":
    """The results directories that hold both models; the error names the nearest models of one that was asked for."""
    from benchmark.leaderboard.analysis.compare import list_models  # noqa: PLC0415
    from benchmark.leaderboard.load.results import read_results  # noqa: PLC0415
    from benchmark.registry import resolve_name  # noqa: PLC0415
    from benchmark.storage.results import results_dir, table_dirs  # noqa: PLC0415

    if results is not None:
        return [read_results(results)]
    directories = table_dirs(data or "*", preset or "*")
    if not directories:
        raise UserError(f"{results_dir()} holds no results of {data or 'any data'}, {preset or 'any preset'}")
    found = [read_results(directory) for directory in directories]
    both = [published for published in found if set(names) <= set(list_models(published))]
    if not both:
        known = {name for published in found for name in list_models(published)}
        for name in names:
            resolve_name(name, known, "model")
        raise UserError(f"no results directory holds both {names[0]} and {names[1]}; run the missing one")
    return both


def _picture(
    published: "ResultsDirectory", comparison: "Comparison", images: Path | None, out: Path | None
) -> Path | None:
    """Draws the images by which the two differ most; None where maps or images are not kept here."""
    from benchmark.storage.runs import maps_dir  # noqa: PLC0415

    if not comparison.images or not maps_dir().is_dir():
        return None
    # Only here torch is needed, to find the data and the maps by their keys.
    from benchmark.experiments.comparison_figure import plot_comparison  # noqa: PLC0415

    slug = "-against-".join(name.replace("/", "-") for name in comparison.names)
    path = out or published.directory / f"compare-{slug}.png"
    return path if plot_comparison(published, comparison, images, path) else None


def _show(comparison: "Comparison", picture: Path | None) -> None:
    stamp = f"  [bold]{MARK}[/]" if comparison.synthetic else ""
    console.print(f"{comparison.directory}, maps by {comparison.method}{stamp}")
    console.print(f"A = {comparison.names[0]}, B = {comparison.names[1]}", highlight=False)
    table = Table("score", "A", "B", "A - B", "95 % interval", "p", "p (Holm)", "effect", "n", "verdict", box=None)
    for each in comparison.columns:
        known = each.difference
        table.add_row(
            each.column.heading,
            f"{each.one.value:.3f}",
            f"{each.other.value:.3f}",
            f"{known.value:+.3f}",
            f"[{known.low:+.3f}, {known.high:+.3f}]".replace("[", r"\["),
            f"{known.p:.2g}",
            f"{each.adjusted:.2g}",
            f"{known.effect:+.2f}",
            f"{each.one.images}/{known.groups}",
            f"[bold]{each.verdict}[/]" if each.adjusted < 0.05 else each.verdict,
        )
    console.print(table, width=max(console.width, WIDTH))
    console.print(
        "Paired test over groups (patients, lesions) and seeds; the verdict is after Holm over these scores at 5 %. "
        "Effect: matched-pairs rank-biserial. n: images/groups.",
        style="dim",
    )
    for pair in comparison.images:
        console.print(f"{pair.image}: {comparison.images_by} A {pair.one:.3f}, B {pair.other:.3f}", highlight=False)
    if picture:
        console.print(f"picture: {picture}", highlight=False)
    elif not comparison.images:
        console.print("no picture: the two differ on no image")
    else:
        console.print("no picture: the maps of these models are not kept here (runs/), or the data is elsewhere")
