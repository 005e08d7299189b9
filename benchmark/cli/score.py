"""`score`: scores maps from elsewhere."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import (
    DATA,
    MODELS,
    SCORING,
    DataDirectory,
    ImageDirectory,
    Layout,
    Limit,
    MaxMemory,
    Split,
    Trust,
    console,
)
from benchmark.cli.changes import collect_changes
from benchmark.leaderboard.synthetic import STAMP
from benchmark.runtime.terminal import styled


def score(  # noqa: PLR0913 - the options of a command line
    maps: Annotated[
        Path,
        typer.Argument(
            metavar="MAPS",
            help="Directory of maps: <image>.npy (or npz, png, tif, jpg, safetensors) or <class>/<image>.npy. Or one "
            "file with an array per image.",
        ),
    ],
    *,
    data: DataDirectory = None,
    layout: Layout = None,
    image_dir: ImageDirectory = None,
    split: Split = None,
    limit: Limit = None,
    preset: Annotated[
        str, typer.Option(help="The table to add a row to. Default: quick, all at 96 px.", rich_help_panel=DATA)
    ] = "quick",
    image_size: Annotated[
        int | None,
        typer.Option("--image-size", help="Side in pixels at which maps are scored.", min=8, rich_help_panel=SCORING),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the row. Default: the name of MAPS.", rich_help_panel=MODELS)
    ] = None,
    method: Annotated[
        str, typer.Option(help="What made the maps, such as lime. Shown in the row.", rich_help_panel=MODELS)
    ] = "unknown",
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Predictions of the model: columns image and predicted, or a probability per class.",
            rich_help_panel=MODELS,
        ),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="The network: an architecture, or an entry file. It then predicts, and faithfulness is scored.",
            rich_help_panel=MODELS,
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights of --architecture, .safetensors. An entry may name its own.",
            rich_help_panel=MODELS,
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The network as an ONNX file, with --normalization.", rich_help_panel=MODELS),
    ] = None,
    normalization: Annotated[
        str | None,
        typer.Option(
            help="Input of the ONNX file: unit for [0, 1], signed for [-1, 1], bytes for [0, 255], or imagenet.",
            rich_help_panel=MODELS,
        ),
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option(help="Output of the ONNX file: logits or probabilities. Default: logits.", rich_help_panel=MODELS),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="For one array of all maps: columns image and, if needed, row and class.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    negative: Annotated[
        str,
        typer.Option(help="Negative values: refuse, zero or absolute.", rich_help_panel=SCORING),
    ] = "refuse",
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            metavar="",
            help="Score only the images that have a map. The row is not ranked with others.",
            rich_help_panel=SCORING,
        ),
    ] = False,
    max_memory: MaxMemory = 8,
    trust: Trust = False,
) -> None:
    """Score saliency maps that were made elsewhere, with or without their model."""
    from benchmark.data.identifying import find_published  # noqa: PLC0415
    from benchmark.data.load import Source  # noqa: PLC0415
    from benchmark.experiments.external_maps import ScoreRequest  # noqa: PLC0415
    from benchmark.leaderboard.build import rebuild  # noqa: PLC0415
    from benchmark.submission.external_network import NetworkOptions, score_with_network  # noqa: PLC0415

    request = ScoreRequest(
        maps=maps,
        source=Source(directory=data, layout=layout, images=image_dir),
        name=name or _row_name(maps),
        method=method,
        preset=preset,
        changes=collect_changes(limit=limit, image_size=image_size),
        split=split,
        index=index,
        predictions=predictions,
        negative=negative,
        allow_missing=allow_missing,
    )
    network = NetworkOptions(
        architecture=architecture,
        checkpoint=checkpoint,
        onnx=onnx,
        normalization=normalization,
        answers=answers,
        max_memory=max_memory,
        trust=trust,
    )
    with console.status("scoring") as status:
        scored = score_with_network(request, network, status.update)
        status.update("writing the leaderboard")
        table = rebuild(scored.directory)[0]
    for note in scored.notes:
        console.print(f"note: {note}")
    _show_row(scored, table)
    if scored.record.synthetic:
        console.print(STAMP, style="bold")
    console.print(f"Leaderboard  {scored.directory / 'leaderboard.md'}")
    for line in [] if scored.record.synthetic else find_published(scored.directory, scored.record.classes):
        console.print(styled("warning:", "yellow"), f"{line}; rename images and maps before you publish")


def _row_name(maps: Path) -> str:
    """Returns the name of a directory or file as the name of a row."""
    return maps.absolute().stem.lower().replace(" ", "-")


def _show_row(scored: Any, table: Any) -> None:
    """Prints the headline scores of the row and of the baselines."""
    record = scored.record
    rows = (
        table.rows
        if scored.in_table
        else next(other.rows for other in table.other_protocols if other.record.protocol == record.protocol)
    )
    own = next(row for row in rows if (row.name, row.regime) == (record.architecture, record.regime))
    columns = [table.column(name) for name in ("map_f1", "sparsity", "roc_auc")]
    for row in [own, *(row for row in rows if not row.is_model)]:
        values = [row.finite_estimate(column) for column in columns]
        cells = [
            f"{column.title} {value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
            for column, value in zip(columns, values, strict=True)
            if value is not None
        ]
        console.print(f"{row.label}: {', '.join(cells)}" if cells else row.label)
