"""`compare`: compares two models."""

import json
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from benchmark.cli import OUTPUT, SCORING, DataDirectory, Json, Pseudonyms, console
from benchmark.errors import UserError
from benchmark.leaderboard.synthetic import MARK
from benchmark.runtime.terminal import styled

if TYPE_CHECKING:
    from benchmark.data.load import Source
    from benchmark.leaderboard.analysis.compare import Comparison
    from benchmark.leaderboard.load.results import ResultsDirectory

MAX_WIDTH = 1000
"""Maximum width of the table. A narrow terminal wraps its lines, a file does not."""


def compare(  # noqa: PLR0913 - the options of a command line
    a: Annotated[str, typer.Argument(metavar="A", help="A model, such as xception/standard.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one, such as resnet50/pgd-l2.")],
    *,
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="A results directory. Default: every one with both models."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="Name of a data set under results/.")] = None,
    preset: Annotated[str | None, typer.Option(help="Name of a preset under results/.")] = None,
    method: Annotated[
        str, typer.Option(help="Saliency method. Default: that of the main table.", rich_help_panel=SCORING)
    ] = "",
    data: DataDirectory = None,
    pseudonyms: Pseudonyms = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The figure. Default: a PNG in the results directory.", rich_help_panel=OUTPUT
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two models score by score and show the images by which they differ most.

    Rows of different tables have names with data set, preset and protocol: dermsynth/quick:xception/standard@1a2b3c4d.
    """
    from benchmark.data.load import Source  # noqa: PLC0415
    from benchmark.leaderboard.analysis.compare import compare_models  # noqa: PLC0415

    comparisons = []
    for published, names in _find_results((a, b), results, dataset, preset):
        comparison = compare_models(published, names, method)
        figure = _plot(published, comparison, Source(directory=data, pseudonyms=pseudonyms), output)
        comparisons.append(comparison.as_json() | {"picture": str(figure) if figure else None})
        if not as_json:
            for problem in published.problems:
                console.print(f"left out: {problem}")
            _show(comparison, figure)
            if names != (a, b):
                _show_differences(published, names)
    if as_json:
        sys.stdout.write(json.dumps(comparisons, indent=1) + "\n")


def _find_results(
    names: tuple[str, str], results: Path | None, data: str | None, preset: str | None
) -> "list[tuple[ResultsDirectory, tuple[str, str]]]":
    """Finds the tables with both models, or else joins two rows of different tables. Returns the names in each.

    Raises:
        UserError: There are none. The message names similar models.
    """
    from benchmark.leaderboard.load.anywhere import find_models, join_pair  # noqa: PLC0415
    from benchmark.storage.results import results_dir, table_dirs  # noqa: PLC0415

    directories = table_dirs(data or "*", preset or "*") if results is None else [results]
    if not directories:
        described = f"{data or 'any data set'}, {preset or 'any preset'}"
        raise UserError(f"{results_dir()} has no results of {described}; make some with `run`")
    models = find_models(directories)
    tables = {id(found.published): found.published for found in models}.values()
    short = {key: {found.short for found in models if id(found.published) == key} for key in map(id, tables)}
    both = [(table, names) for table in tables if set(names) <= short[id(table)]]
    if both and names[0] != names[1]:
        return both
    if names[0] == names[1]:
        raise UserError(f"{names[0]} is compared with itself; name two models")
    return [join_pair(names, models)]


def _show_differences(published: "ResultsDirectory", names: tuple[str, str]) -> None:
    """Prints the settings in which two rows of different tables differ."""
    from benchmark.leaderboard.load.anywhere import describe_differences  # noqa: PLC0415

    differences = describe_differences(published, names)
    console.print(f"The rows are of different tables. {'; '.join(differences) or 'Their settings are equal'}")


def _plot(
    published: "ResultsDirectory", comparison: "Comparison", source: "Source", output: Path | None
) -> Path | None:
    """Plots the images on which the two models differ most. None where maps or images are not available."""
    from benchmark.storage.runs import maps_dir  # noqa: PLC0415

    if not comparison.images or not maps_dir().is_dir():
        return None
    # Imports torch, which finds the data and the maps by their keys. Nothing else of this command needs it.
    from benchmark.experiments.comparison_figure import plot_comparison  # noqa: PLC0415

    slug = "-against-".join(re.sub(r"[/:@]", "-", name) for name in comparison.names)
    path = output or published.directory / f"compare-{slug}.png"
    return path if plot_comparison(published, comparison, source, path) else None


def _show(comparison: "Comparison", figure: Path | None) -> None:
    mark = [styled(f" {MARK}", "bold")] if comparison.synthetic else []
    console.print(f"{comparison.directory}, maps by {comparison.method}", *mark)
    console.print(f"A = {comparison.names[0]}, B = {comparison.names[1]}")
    from benchmark.leaderboard.analysis.summary import SINGLE_TRAININGS  # noqa: PLC0415
    from benchmark.leaderboard.export.grid import NO_INTERVAL  # noqa: PLC0415

    table = Table("score", "A", "B", "A - B", "95 % interval", "p", "p (Holm)", "effect", "n", "verdict", box=None)
    for column in comparison.columns:
        difference = column.difference
        # Below the table, a sentence says what single trainings allow.
        verdict = column.verdict.removesuffix(", in these trainings")
        table.add_row(
            column.column.heading,
            f"{column.one.value:.3f}",
            f"{column.other.value:.3f}",
            f"{difference.value:+.3f}",
            f"[{difference.low:+.3f}, {difference.high:+.3f}]" if math.isfinite(difference.low) else NO_INTERVAL,
            f"{difference.p:.2g}" if math.isfinite(difference.p) else "-",
            f"{column.adjusted:.2g}" if math.isfinite(column.adjusted) else "-",
            f"{difference.effect:+.2f}",
            f"{difference.images}/{difference.groups}",
            styled(verdict, "bold" if verdict.startswith(("A ", "B ")) else ""),
        )
    table.width = console.measure(table, options=console.options.update(width=MAX_WIDTH)).maximum
    console.print(table, crop=False)
    console.print(
        "Paired test over groups (patients, lesions) and trainings, on the images that both have. The verdict is that "
        "of the table: p (Holm) over all its pairs of models in that score, at 5 %. Effect: matched-pairs "
        "rank-biserial. n: images/groups.",
        style="dim",
    )
    if any(column.difference.scope == "trainings" for column in comparison.columns):
        console.print(SINGLE_TRAININGS)
    for pair in comparison.images:
        console.print(f"{pair.image}: {comparison.images_by} A {pair.one:.3f}, B {pair.other:.3f}")
    if figure:
        console.print(f"figure: {figure}")
    elif not comparison.images:
        console.print("no figure: the models differ on no image")
    else:
        console.print("no figure: the maps of these models are not in runs/, or the data needs --data")
