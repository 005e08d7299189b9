"""Every path under results/: records, and the tables computed from them."""

import os
from pathlib import Path

from benchmark.storage.paths import ROOT

PROTOCOL_FILE = "protocol.json"
"""Marks a results directory. It stores the protocol of the tables and the keys of their records."""
SPLIT_FILE = "split.csv"
BASELINES_FILE = "baselines.parquet"
HOUSE_FILE = "admission.json"
"""States the data and the records that runs published, in the words of the harness."""
LEDGER_FILE = "ledger.json"
"""Lists the verified records. Only `check --mark-verified` writes it."""
RECORDS = "records"
OLDER_SUFFIXES = {"classification.csv": "diagnosis.csv"}
"""Names of files of a record in schema 2."""


def results_dir() -> Path:
    """The directory of all results. The environment variable LOUPE_RESULTS overrides it."""
    return Path(os.environ.get("LOUPE_RESULTS") or ROOT / "results")


def table_dir(dataset: str, preset: str) -> Path:
    """The directory with the records and tables of one data set and preset."""
    return results_dir() / dataset / preset


def table_dirs(dataset: str = "*", preset: str = "*") -> list[Path]:
    """Finds all directories with tables, sorted."""
    return sorted(path.parent for path in results_dir().glob(f"{dataset}/{preset}/{PROTOCOL_FILE}"))


def earlier_split_file(directory: Path, protocol: str) -> Path:
    """The path of the split of rows of another protocol, where it is not that of the tables."""
    return directory / f"split-{protocol[:8]}.csv"


def find_split_file(directory: Path, protocol: str) -> Path:
    """The path of the split of the rows of a protocol."""
    earlier = earlier_split_file(directory, protocol)
    return earlier if earlier.is_file() else directory / SPLIT_FILE


def record_file(directory: Path, architecture: str, regime: str, seed: int, identity: str = "") -> Path:
    """The path of the result record of a cell. Records of earlier versions have no identity in their name."""
    return directory / RECORDS / f"{record_name(architecture, regime, seed, identity)}.json"


def record_name(architecture: str, regime: str, seed: int, identity: str) -> str:
    """The name of a record's file without its suffix. The identity is a hash of data and settings."""
    return f"{architecture}-{regime}-{seed}" + (f"-{identity}" if identity else "")


def record_files(directory: Path) -> list[Path]:
    """Finds the result records of one table directory, sorted."""
    return sorted((directory / RECORDS).glob("[!.]*.json"))


def all_record_files(architecture: str = "[!.]*") -> list[Path]:
    """Finds the result records of all tables, or those of one architecture, sorted."""
    name = architecture if "*" in architecture else f"{architecture}-*"
    return sorted(results_dir().glob(f"*/*/{RECORDS}/{name}.json"))


def sidecar_file(record: Path, suffix: str) -> Path:
    """The path of another file of a record, such as `NAME.scores.parquet`."""
    return record.with_name(f"{record.stem}.{suffix}")


def find_sidecar_file(record: Path, suffix: str) -> Path:
    """The path of another file of a record to read, by its name in older schemas where only that exists."""
    path = sidecar_file(record, suffix)
    older = sidecar_file(record, OLDER_SUFFIXES.get(suffix, suffix))
    return older if not os.path.lexists(path) and os.path.lexists(older) else path
