"""The stored results and runs on disk."""

from pathlib import Path
from typing import Any

from benchmark.storage.record import Record, load_record
from benchmark.storage.results import record_files, table_dirs
from benchmark.storage.runs import cells_dir, failures_dir, runs_dir


def status() -> dict[str, Any]:
    """Lists results with their records and regimes, and the content of the runs directory."""
    results = []
    for directory in table_dirs():
        paths = record_files(directory)
        records = [record for path in paths if (record := _record(path))]
        regimes = sorted({record.regime for record in records})
        damaged = len(paths) - len(records)
        results.append({"directory": str(directory), "records": len(records), "damaged": damaged, "regimes": regimes})
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


def _record(path: Path) -> Record | None:
    try:
        return load_record(path)
    except ValueError:
        return None


def _count(directory: Path) -> int:
    return sum(not path.name.startswith(".") for path in directory.iterdir()) if directory.is_dir() else 0
