"""`export-maps`: writes the maps of a model as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import DATA, OUTPUT, SCORING, DataDirectory, ImageDirectory, Layout, Pseudonyms, console
from benchmark.errors import UserError

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

    resolve_name(form, FORMATS, "format")
    published, record = find_record(model, results, seed)
    method = method or published.records[record].methods[0]
    resolve_name(method, published.records[record].methods, "method")
    source = Source(directory=data, layout=layout, images=image_dir, pseudonyms=pseudonyms)
    with console.status(f"writing {output}"):
        count = export(published, record, method, source, form, output)
    console.print(f"{output}: {count} maps of {model} by {method}, and predictions.csv")


def find_record(model: str, results: Path | None, seed: int | None) -> "tuple[ResultsDirectory, Path]":
    """Finds the results directory with a model, and the path of its record.

    Raises:
        UserError: None or several have it, or none has the seed.
    """
    from benchmark.leaderboard.load.anywhere import read_usable  # noqa: PLC0415
    from benchmark.leaderboard.load.results import read_results  # noqa: PLC0415
    from benchmark.leaderboard.load.rows import model_name  # noqa: PLC0415
    from benchmark.registry import resolve_name  # noqa: PLC0415
    from benchmark.storage.results import results_dir, table_dirs  # noqa: PLC0415

    every = [read_results(results)] if results else list(read_usable(table_dirs()))
    if not every:
        raise UserError(f"{results_dir()} has no results; make some with `run`")
    matches: dict[str, list[tuple[ResultsDirectory, Path]]] = {}
    for published in every:
        for row, paths in published.models.items():
            if published.records[paths[0]].external_maps is None:
                matches.setdefault(model_name(row), []).extend((published, path) for path in paths)
    candidates = matches[resolve_name(model, matches, "model")]
    if len(directories := sorted({published.directory for published, _ in candidates})) > 1:
        raise UserError(f"{model} is in {directories[0]} and {directories[1]}; name one with --results")
    seeds = {published.records[path].seed: (published, path) for published, path in candidates}
    if seed is not None and seed not in seeds:
        raise UserError(f"--seed {seed}: {model} has the seeds {', '.join(map(str, sorted(seeds)))}")
    return seeds[min(seeds) if seed is None else seed]
