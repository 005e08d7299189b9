"""`status`: what there is on disk."""

import json
import sys

from benchmark.cli import Json, console


def status(*, as_json: Json = False) -> None:
    """Show which results there are and how much room the runs take."""
    from benchmark.experiments.status import status as collect  # noqa: PLC0415

    found = collect()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    for result in found["results"]:
        console.print(f"{result['directory']}: {result['records']} records, {', '.join(result['regimes'])}")
    if not found["results"]:
        console.print("no results yet: `make benchmark` makes some")
    runs = found["runs"]
    console.print(
        f"{runs['directory']}: {runs['cells']} cells done, {runs['failed']} failed, {runs['gigabytes']:.1f} GB"
    )
