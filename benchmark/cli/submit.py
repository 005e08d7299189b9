"""`submit`: from an entry file to its rows in the tables."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from benchmark.cli import Json, console
from benchmark.errors import UserError


def submit(  # noqa: PLR0913 - the options of a command line
    entry: Annotated[
        str | None, typer.Argument(metavar="[ENTRY]", help="An entry file, or its name in a folder of entries.")
    ] = None,
    *,
    timm: Annotated[str | None, typer.Option(help="A name of timm's, in place of an entry file.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the entry for --timm; without it timm's.")] = None,
    authors: Annotated[str, typer.Option(help="Who submits it, for --timm.")] = "",
    entries: Annotated[
        Path | None, typer.Option("--entries", help="Folder of entries; without it that of the repository.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Named settings; see `list presets`.")] = "quick",
    data: Annotated[Path | None, typer.Option(help="Folder of a data set; without it the embedded one.")] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the folder; without it chosen by its look.")] = None,
    split: Annotated[Path | None, typer.Option(help="split.csv of another run, to use its split again.")] = None,
    regime: Annotated[list[str] | None, typer.Option(help="Only these; repeat for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only these; repeat for several.", min=0)] = None,
    images: Annotated[int | None, typer.Option(help="Most images to take; 0 takes all.", min=0)] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.", min=1)] = None,
    weights: Annotated[str | None, typer.Option(help="random, pretrained, a safetensors file or a folder.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; without it the GPU if there is one.")] = None,
    network: Annotated[bool, typer.Option("--network", help="Let the entry use the network.")] = False,
    hours: Annotated[float, typer.Option(help="So long may it take.", min=0.01)] = 24,
    memory: Annotated[float, typer.Option(help="So many gigabytes may it take.", min=0.1)] = 8,
    as_json: Json = False,
) -> None:
    """Check an entry, run what is needed, write its records and the tables, and say what to send."""
    if (not entry) == (not timm):
        raise UserError("give an entry file or --timm NAME; `python -m benchmark new NAME` writes an entry")
    from benchmark.submission.entries import HOME, entry_file  # noqa: PLC0415
    from benchmark.submission.sandbox.client import worker  # noqa: PLC0415
    from benchmark.submission.sandbox.limits import GIGABYTE, Limits  # noqa: PLC0415
    from benchmark.submission.submit import (  # noqa: PLC0415
        SubmissionRejected,
        SubmissionRequest,
        describe_other_protocols,
        pull_request_files,
        submit,
    )
    from benchmark.submission.template import timm_entry  # noqa: PLC0415

    changes: dict[str, Any] = {"epochs": epochs, "weights": weights}
    changes = {key: value for key, value in changes.items() if value is not None}
    if images is not None:
        changes["images"] = images or None
    order = SubmissionRequest(
        preset=preset,
        changes=changes,
        data=data,
        layout=layout,
        split=split,
        regimes=tuple(regime or ()),
        seeds=tuple(seed or ()),
        device=device,
        network=network,
        hours=hours,
    )
    with tempfile.TemporaryDirectory() as folder:
        if timm is not None:
            own, text = timm_entry(timm, name, authors)
            path, kept = Path(folder).resolve() / f"{own}.toml", (entries or HOME) / f"{own}.toml"
            path.write_text(text, encoding="utf-8")
            path = kept.resolve() if kept.is_file() else path
        else:
            path = kept = entry_file(str(entry), entries)
        with worker() as running:
            try:
                submitted = submit(
                    path, order, running, _tell, limits=Limits(memory=int(memory * GIGABYTE), seconds=600)
                )
            except SubmissionRejected as refused:
                _refuse(refused, as_json=as_json)
                raise typer.Exit(1) from None
        if path != kept and not kept.is_file():
            from benchmark.storage.files import write_text  # noqa: PLC0415

            write_text(kept, path.read_text(encoding="utf-8"))
    lines, others = pull_request_files(submitted, kept), describe_other_protocols(submitted, preset)
    if as_json:
        told = {"folder": str(submitted.folder), "records": list(map(str, submitted.records)), "send": lines}
        warnings = [*submitted.checked.warnings, *([others] if others else [])]
        sys.stdout.write(json.dumps(told | {"warnings": warnings}, indent=1) + "\n")
        return
    for line in submitted.checked.warnings:
        console.print(f"warning: {escape(line)}", highlight=False)
    if others:
        console.print(f"note: {escape(others)}", highlight=False)
    console.print(f"Leaderboard  {submitted.folder / 'leaderboard.md'}", highlight=False)
    console.print("Put into the pull request:")
    for line in lines:
        console.print(f"  {escape(line)}", highlight=False)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _refuse(refused: Any, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"refused": refused.checked.as_json()}, indent=1) + "\n")
        return
    console.print(f"[red]refused[/] {escape(str(refused.checked.path.name))}; nothing was changed", highlight=False)
    for line in refused.checked.problems:
        console.print(f"  problem: {escape(line)}", highlight=False)
    for line in refused.checked.warnings:
        console.print(f"  warning: {escape(line)}", highlight=False)
