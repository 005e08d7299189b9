"""`baselines`: scores of trivial maps and of the raters themselves on the masks of a data set."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmark.cli import DATA, Json, Layout, console
from benchmark.leaderboard.synthetic import STAMP
from benchmark.runtime.terminal import Terminal


def baselines(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="A data set with masks. Images are not needed.")
    ],
    *,
    layout: Layout = None,
    aggregation: Annotated[
        str,
        typer.Option(help="How the masks of several raters become one, see `list aggregations`.", rich_help_panel=DATA),
    ] = "additive_max",
    as_json: Json = False,
) -> None:
    """Score trivial maps and raters against the masks. Needs no image and no model."""
    from benchmark.baselines.masks import mask_baselines  # noqa: PLC0415
    from benchmark.data.load import Source, load_index  # noqa: PLC0415
    from benchmark.registry import select  # noqa: PLC0415
    from benchmark.runtime.progress import progress  # noqa: PLC0415
    from datasets import Aggregation  # noqa: PLC0415

    rater_aggregation = select(Aggregation, [aggregation])[0]
    data = load_index(Source(directory=directory, layout=layout))
    with progress(Terminal(stderr=True), "scoring") as report:
        rows = mask_baselines(data, rater_aggregation, report)
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    if data.synthetic:
        console.print(STAMP, style="bold")
    console.print(f"{data.name} ({data.layout}), masks aggregated by {aggregation}, scored at their original size")
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="left" if name in {"baseline", "level"} else "right")
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)
