"""Checks a record and the files next to it, without running anything."""

from pathlib import Path
from typing import Any

from benchmark.leaderboard.admission.admit import Admission, admit_record
from benchmark.storage.record import Record, load_record

PROVENANCE = ("commit", "python", "packages", "device")


def read_record_report(path: Path, admission: Admission | None = None) -> tuple[list[str], list[str], dict[str, Any]]:
    """Returns problems, warnings and facts of a record. The problems are the reasons to leave it out of tables."""
    record, problems = admit_record(path, admission)
    if record is None:
        return list(problems), [], _facts_of_refused(path)
    return list(problems), _check_provenance(record), _facts(record)


def _facts(record: Record) -> dict[str, Any]:
    return {
        "name": record.architecture,
        "regime": record.regime,
        "seed": record.seed,
        "badge": record.badge,
        "external": bool(record.submission and record.submission.checkpoint),
    }


def _facts_of_refused(path: Path) -> dict[str, Any]:
    """Returns what a refused record says of itself. Its badge is nobody's word, so there is none."""
    try:
        return _facts(load_record(path)) | {"badge": "refused"}
    except (ValueError, OSError):
        return {}


def _check_provenance(record: Record) -> list[str]:
    missing = [name for name in PROVENANCE if not record.environment.get(name)]
    warnings = [f"has no {' and no '.join(missing)} in its environment"] if missing else []
    if record.environment.get("uncommitted_changes"):
        warnings.append("made with changes to the code that were not committed")
    return warnings
