"""`export-maps`: writes the maps of a model as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import DATA, MODELS, OUTPUT, SCORING, DataDirectory, ImageDirectory, Layout, Pseudonyms, console
from benchmark.errors import UserError
from benchmark.phrases import format_count

if TYPE_CHECKING:
    from benchmark.leaderboard.load.results import ResultsDirectory


def export_maps(  # noqa: PLR0913 - the options of a command line
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model of a table, such as xception/standard.")],
    *,
    output: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Where to write.", rich_help_panel=OUTPUT)],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="npy: float32, exact. png: gray, 8 bits. overlay: pictures for people.",
            rich_help_panel=OUTPUT,
        ),
    ] = "npy",
    method: Annotated[
        str, typer.Option(help="Saliency method. Default: that of the main table.", rich_help_panel=SCORING)
    ] = "",
    seed: Annotated[int | None, typer.Option(help="Training seed. Default: the first one.", min=0)] = None,
    entries: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            help="Directory with the entry of a submitted model. Its code runs in this process.",
            rich_help_panel=MODELS,
        ),
    ] = None,
    data: DataDirectory = None,
    layout: Layout = None,
    image_dir: ImageDirectory = None,
    pseudonyms: Pseudonyms = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY", help="A results directory. Default: the only one with the model.", rich_help_panel=DATA
        ),
    ] = None,
) -> None:
    """Write the saliency maps of a model as files, one per test image."""
    from benchmark.data.load import Source  # noqa: PLC0415
    from benchmark.experiments.export_maps import FORMATS  # noqa: PLC0415
    from benchmark.experiments.export_maps import export_maps as export  # noqa: PLC0415
    from benchmark.registry import resolve_name  # noqa: PLC0415
    from benchmark.submission.entries import load_submitted  # noqa: PLC0415

    resolve_name(form, FORMATS, "format")
    published, record = find_record(model, results, seed)
    method = method or published.records[record].methods[0]
    resolve_name(method, published.records[record].methods, "method")
    load_submitted(published.records[record], entries)
    source = Source(directory=data, layout=layout, images=image_dir, pseudonyms=pseudonyms)
    with console.status(f"writing {output}"):
        count = export(published, record, method, source, form, output)
    console.print(f"{output}: {format_count(count, 'map')} of {model} by {method}, and predictions.csv")


def find_record(model: str, results: Path | None, seed: int | None) -> "tuple[ResultsDirectory, Path]":
    """Finds the results directory with a model, and the path of its record.

    A row of the tables comes before rows of its name under other protocols, which have the long names of `compare`.

    Raises:
        UserError: None or several have it, or none has the seed.
    """
    from benchmark.leaderboard.load.anywhere import list_rows, read_usable  # noqa: PLC0415
    from benchmark.leaderboard.load.results import read_results  # noqa: PLC0415
    from benchmark.registry import resolve_name  # noqa: PLC0415
    from benchmark.storage.results import results_dir, table_dirs  # noqa: PLC0415

    every = [read_results(results)] if results else list(read_usable(table_dirs()))
    if not every:
        raise UserError(f"{results_dir()} has no results; make some with `run`")
    rows = [row for published in every for row in list_rows(published)]
    rows = [row for row in rows if row.published.records[row.paths[0]].external_maps is None]
    matches = [row for row in rows if model in {row.short, row.long}]
    if not matches:
        resolve_name(model, {row.short for row in rows}, "model")
    in_tables = {(published.directory, published.protocol) for published in every}
    matches = [row for row in matches if (row.published.directory, row.published.protocol) in in_tables] or matches
    if len(directories := sorted({row.published.directory for row in matches})) > 1:
        raise UserError(f"{model} is in {directories[0]} and {directories[1]}; name one with --results")
    if len(matches) > 1:
        raise UserError(f"{model} follows {len(matches)} protocols; name one: {', '.join(row.long for row in matches)}")
    seeds = {matches[0].published.records[path].seed: (matches[0].published, path) for path in matches[0].paths}
    if seed is not None and seed not in seeds:
        raise UserError(f"--seed {seed}: {model} has the seeds {', '.join(map(str, sorted(seeds)))}")
    return seeds[min(seeds) if seed is None else seed]
