"""The stored results and runs on disk."""

from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.leaderboard.admission.admit import admit, refusals
from benchmark.leaderboard.load.rows import group_by_model, model_name
from benchmark.storage.protocol import read_protocol
from benchmark.storage.results import table_dirs
from benchmark.storage.runs import cells_dir, failures_dir, runs_dir

_NOTHING: dict[str, Any] = {"protocol": None, "records": 0, "damaged": 0, "refused": [], "regimes": [], "rows": {}}


def status() -> dict[str, Any]:
    """Lists results with their records, rows and regimes, and the content of the runs directory."""
    results = [_describe(directory) for directory in table_dirs()]
    runs = runs_dir()
    size = sum(path.stat().st_size for path in runs.rglob("*") if path.is_file()) if runs.is_dir() else 0
    return {
        "results": results,
        "runs": {
            "directory": str(runs),
            "cells": _count(cells_dir()),
            "failed": _count(failures_dir()),
            "gigabytes": size / 1e9,
        },
    }


def _describe(directory: Path) -> dict[str, Any]:
    """Describes a results directory. Its rows are those of all protocols, by protocol."""
    try:
        admission = admit(directory)
    except UserError as error:
        return {"directory": str(directory), "problem": str(error), **_NOTHING}
    records = admission.records
    rows: dict[str, list[str]] = {}
    for protocol in sorted({record.protocol for record in records.values()}):
        models = group_by_model({path: record for path, record in records.items() if record.protocol == protocol})
        rows[protocol] = sorted(map(model_name, models))
    return {
        "directory": str(directory),
        "protocol": read_protocol(directory).get("protocol"),
        "records": len(records),
        "damaged": len(admission.refused),
        "refused": list(refusals(admission.refused)),
        "regimes": sorted({record.regime for record in records.values()}),
        "rows": rows,
    }


def _count(directory: Path) -> int:
    return sum(not path.name.startswith(".") for path in directory.iterdir()) if directory.is_dir() else 0
