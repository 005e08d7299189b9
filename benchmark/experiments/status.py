"""The stored results and runs on disk."""

from pathlib import Path
from typing import Any

from benchmark.leaderboard.load.rows import group_by_model, model_name
from benchmark.storage.protocol import read_protocol
from benchmark.storage.record import Record, load_record
from benchmark.storage.results import record_files, table_dirs
from benchmark.storage.runs import cells_dir, failures_dir, runs_dir


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
    paths = record_files(directory)
    records = {path: record for path in paths if (record := _record(path))}
    rows: dict[str, list[str]] = {}
    for protocol in sorted({record.protocol for record in records.values()}):
        models = group_by_model({path: record for path, record in records.items() if record.protocol == protocol})
        rows[protocol] = sorted(map(model_name, models))
    return {
        "directory": str(directory),
        "protocol": read_protocol(directory).get("protocol"),
        "records": len(records),
        "damaged": len(paths) - len(records),
        "regimes": sorted({record.regime for record in records.values()}),
        "rows": rows,
    }


def _record(path: Path) -> Record | None:
    try:
        return load_record(path)
    except (OSError, ValueError):
        return None


def _count(directory: Path) -> int:
    return sum(not path.name.startswith(".") for path in directory.iterdir()) if directory.is_dir() else 0
