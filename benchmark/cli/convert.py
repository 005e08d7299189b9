"""`convert`: turns a checkpoint of plain torch into safetensors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import MODELS, OUTPUT, MaxMemory, Trust, console
from benchmark.phrases import format_count, format_names

if TYPE_CHECKING:
    from benchmark.submission.convert import ConversionReport

MAX_SHOWN = 5


def convert(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A .pth, .pt or .ckpt file of a state dict or of Lightning.")
    ],
    *,
    architecture: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE", help="The network: an architecture, or an entry file.", rich_help_panel=MODELS
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The .safetensors file.", rich_help_panel=OUTPUT)],
    max_memory: MaxMemory = 8.0,
    trust: Trust = False,
) -> None:
    """Convert a checkpoint to safetensors, without running any code in it."""
    from benchmark.submission.convert import convert as convert_file  # noqa: PLC0415
    from benchmark.submission.sandbox.client import worker  # noqa: PLC0415
    from benchmark.submission.sandbox.limits import GIGABYTE, Limits  # noqa: PLC0415

    with console.status(f"reading {checkpoint}"), worker() as running:
        limits = Limits(memory=int(max_memory * GIGABYTE), seconds=600, written=64 * GIGABYTE, trust=trust)
        report = convert_file(checkpoint, architecture, output, running, limits)
    removed = f", without the prefix {report.prefix!r}" if report.prefix else ""
    console.print(f"{output}: {_count_tensors(report)}{removed}")
    for title, names in (("missing, random where it is loaded", report.missing), ("left out", report.surplus)):
        if names:
            console.print(f"{title}: {format_names(names, MAX_SHOWN)}")
    console.print(f"classes  {report.num_classes or 'unknown: it has no classifier'}")
    console.print(f"sha256   {report.sha256}")
    if report.missing:
        console.print(f"Next: train from it with `run --architecture {architecture} --weights {output}`.")
    else:
        console.print("Next: name file, sha256 and classes in an entry, as docs/submitting.md shows, and `submit` it.")


def _count_tensors(report: "ConversionReport") -> str:
    """Counts the tensors of the written file."""
    tensors = format_count(report.matched, "tensor")
    return f"{tensors}, and {report.added} of the normalization (mean, std)" if report.added else tensors
