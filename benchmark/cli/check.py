"""`check`: checks entries and records, and verifies reported scores."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import (
    EXECUTION,
    MODELS,
    OUTPUT,
    SCORING,
    DataDirectory,
    Entries,
    Json,
    Layout,
    MaxMemory,
    Trust,
    console,
)
from benchmark.phrases import format_count
from benchmark.runtime.terminal import Terminal, styled

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
        int | None,
        typer.Option(
            "--sample-size",
            help="Number of test images of a record to score again. 0 means all. Default: as many as find a forgery "
            "of 10 % of them with probability 0.99.",
            min=0,
            rich_help_panel=SCORING,
        ),
    ] = None,
    mark_verified: Annotated[
        bool,
        typer.Option(
            "--mark-verified",
            metavar="",
            help="Enter records whose scores were verified into the ledger next to the tables.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Time limit of an entry, in seconds.", min=1, rich_help_panel=EXECUTION)
    ] = 600,
    max_memory: MaxMemory = 8,
    trust: Trust = False,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append a summary for maintainers, in Markdown.", rich_help_panel=OUTPUT),
    ] = None,
    changed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Output of `git diff --name-status` of a pull request, for --summary.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check entries and records. Where the weights of a record are available, score a sample of its images again.

    Exit code 1 if there are problems.
    """
    from benchmark.submission.checks.parallel import check_all  # noqa: PLC0415
    from benchmark.submission.checks.report import all_problems, targets  # noqa: PLC0415
    from benchmark.submission.checks.score import RescoreOptions  # noqa: PLC0415
    from benchmark.submission.sandbox.limits import GIGABYTE, Limits  # noqa: PLC0415

    files, records = targets(words or [], entries)
    limits = Limits(seconds=timeout, memory=int(max_memory * GIGABYTE), trust=trust)
    options = RescoreOptions(
        checkpoint=checkpoint,
        data=data,
        layout=layout,
        sample_size=sample_size,
        entries=entries,
        mark_verified=mark_verified,
    )
    with Terminal(stderr=True).status("checking") as status:
        reports = check_all(files, records, limits, options, lambda name: status.update(f"checking {name}"))
    if as_json:
        sys.stdout.write(json.dumps([report.as_json() for report in reports], indent=1) + "\n")
    else:
        _show(reports, only_problems=not words)
    if summary is not None:
        _append_summary(summary, reports, changed)
    if all_problems(reports):
        raise typer.Exit(1)


def _append_summary(path: Path, reports: list["CheckReport"], changed: Path | None) -> None:
    from benchmark.submission.checks.summary import summarize_pull_request  # noqa: PLC0415

    lines = changed.read_text(encoding="utf-8", errors="replace").splitlines() if changed else []
    with path.open("a", encoding="utf-8") as file:
        file.write(summarize_pull_request(reports, lines))


def _show(reports: list["CheckReport"], *, only_problems: bool) -> None:
    """Prints reports, or only those with problems or warnings, and a summary."""
    for report in reports:
        if only_problems and not report.problems and not report.warnings:
            continue
        state = styled("failed", "red") if report.problems else styled("passed", "green")
        console.print(state, f"{report.path}{_format_facts(report)}")
        for line in report.problems:
            console.print(f"  problem: {line}")
        for line in report.warnings:
            console.print(f"  warning: {line}")
        for name, (reported, rescored, tolerance) in report.facts.get("scores", {}).items():
            console.print(
                f"  {name:42s} reported {reported:.4f}  scored again {rescored:.4f}  tolerance {tolerance:.4f}"
            )
        if finds := report.facts.get("finds"):
            console.print(f"  {finds}")
    counts = {kind: sum(report.kind == kind for report in reports) for kind in ("entry", "record")}
    failed = sum(bool(report.problems) for report in reports)
    console.print(
        f"{format_count(counts['entry'], 'entry', 'entries')}, {format_count(counts['record'], 'record')}: "
        f"{len(reports) - failed} passed, {failed} failed"
    )
    boxes = {report.facts["unconfined"] for report in reports if "unconfined" in report.facts}
    for obstacle in boxes:
        how = f"without a box: {obstacle}" if obstacle else "in a box: no network, no files of yours"
        console.print(f"entries ran {how}")


def _format_facts(report: "CheckReport") -> str:
    facts: dict[str, Any] = report.facts
    if "parameters" in facts:
        grid = " x ".join(map(str, facts.get("grid", ["?"])))
        return f" ({facts['parameters']:,} parameters, grid {grid} at 96 px)"
    return f" ({facts['badge']}{', external' if facts['external'] else ''})" if "badge" in facts else ""
