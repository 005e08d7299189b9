"""`status`: shows results and runs on disk."""

import json
import sys

from benchmark.cli import Json, console
from benchmark.phrases import format_count


def status(*, as_json: Json = False) -> None:
    """Show existing results and the disk space of the runs."""
    from benchmark.experiments.status import status as collect_status  # noqa: PLC0415

    state = collect_status()
    if as_json:
        sys.stdout.write(json.dumps(state, indent=1) + "\n")
        return
    for result in state["results"]:
        damaged = f", {result['damaged']} refused" if result["damaged"] else ""
        records = format_count(result["records"], "record")
        console.print(f"{result['directory']}: {records}{damaged}, {', '.join(result['regimes'])}")
        for line in [*result["refused"], *filter(None, [result.get("problem")])]:
            console.print(f"  left out: {line}")
        for protocol, rows in result["rows"].items():
            note = "" if protocol == result["protocol"] else " (another protocol)"
            console.print(f"  {protocol[:8]}{note}: {format_count(len(rows), 'row')}, {', '.join(rows)}")
    if not state["results"]:
        console.print("no results yet; make some with `make benchmark`")
    runs = state["runs"]
    cells = format_count(runs["cells"], "cell")
    console.print(f"{runs['directory']}: {cells} done, {runs['failed']} failed, {runs['gigabytes']:.1f} GB")
