"""`check`: entries and records, looked at before they are believed."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli import EXECUTION, MODELS, OUTPUT, SCORING, DataDirectory, Entries, Json, Layout, MaxMemory, console

if TYPE_CHECKING:
    from benchmark.submission.checks.report import CheckReport


def check(  # noqa: PLR0913 - the options of a command line
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ENTRY|RECORD ...]", help="Entries, records or directories. Default: all of them."),
    ] = None,
    *,
    entries: Entries = None,
    data: DataDirectory = None,
    layout: Layout = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of a record. Default: found by SHA-256.", rich_help_panel=MODELS),
    ] = None,
    sample_size: Annotated[
        int,
        typer.Option(
            "--sample-size",
            help="Number of test images of a record to score again. 0 means all.",
            min=0,
            rich_help_panel=SCORING,
        ),
    ] = 8,
    mark_verified: Annotated[
        bool,
        typer.Option(
            "--mark-verified",
            metavar="",
            help="Write into a record that its scores were verified.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Time limit of an entry, in seconds.", min=1, rich_help_panel=EXECUTION)
    ] = 600,
    max_memory: MaxMemory = 8,
    as_json: Json = False,
) -> None:
    """Check entries and records, and score a part of the records again where their weights are at hand.

    Exit code 1 if there are problems.
    """
    from benchmark.submission.checks.parallel import check_all  # noqa: PLC0415
    from benchmark.submission.checks.report import all_problems, targets  # noqa: PLC0415
    from benchmark.submission.checks.score import RescoreOptions  # noqa: PLC0415
    from benchmark.submission.sandbox.limits import GIGABYTE, Limits  # noqa: PLC0415

    files, records = targets(words or [], entries)
    limits = Limits(seconds=timeout, memory=int(max_memory * GIGABYTE))
    evidence = RescoreOptions(
        checkpoint=checkpoint, data=data, layout=layout, images=sample_size, entries=entries, stamp=mark_verified
    )
    with Console(stderr=True).status("checking") as status:
        found = check_all(files, records, limits, evidence, lambda name: status.update(f"checking {name}"))
    if as_json:
        sys.stdout.write(json.dumps([each.as_json() for each in found], indent=1) + "\n")
    else:
        _show(found, whole=not words)
    if all_problems(found):
        raise typer.Exit(1)


def _show(found: list["CheckReport"], *, whole: bool) -> None:
    """What has problems or warnings; of a few, all."""
    for each in found:
        if whole and not each.problems and not each.warnings:
            continue
        word = "[red]refused[/]" if each.problems else "[green]fine[/]"
        console.print(f"{word} {escape(str(each.path))}{_facts(each)}", highlight=False)
        for line in each.problems:
            console.print(f"  problem: {escape(line)}", highlight=False)
        for line in each.warnings:
            console.print(f"  warning: {escape(line)}", highlight=False)
        for name, (claimed, again, may) in each.facts.get("scores", {}).items():
            console.print(f"  {name:42s} reported {claimed:.4f}  scored again {again:.4f}  tolerance {may:.4f}")
    kinds = {kind: sum(each.kind == kind for each in found) for kind in ("entry", "record")}
    bad = sum(bool(each.problems) for each in found)
    console.print(f"{kinds['entry']} entries, {kinds['record']} records: {len(found) - bad} fine, {bad} with problems")
    held = next((each.facts["confined"] for each in found if each.facts.get("confined")), None)
    if held:
        console.print(f"entries ran with network: {held['network']}, disk: {held['disk']}", highlight=False)


def _facts(each: "CheckReport") -> str:
    told: dict[str, Any] = each.facts
    if "parameters" in told:
        grid = " x ".join(map(str, told.get("grid", ["?"])))
        return f" ({told['parameters']:,} parameters, grid {grid} at 96 px)"
    return f" ({told['badge']}{', external' if told['external'] else ''})" if "badge" in told else ""
