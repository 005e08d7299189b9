"""The marker of a results folder: the protocol that it follows, and the records that its tables were made from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.storage.files import write_text

MARKER = "protocol.json"


def write_marker(folder: Path, protocol: str, in_tables: Sequence[str] = ()) -> None:
    """Says which protocol the folder follows and the keys of the records that its tables were made from.

    Written without keys before the records change and with them once the tables are whole, so that a run that was
    killed in between does not take old tables for new ones.
    """
    write_text(folder / MARKER, json.dumps({"protocol": protocol, "in_tables": sorted(in_tables)}) + "\n")


def read_marker(folder: Path) -> dict[str, Any]:
    """What the marker of a folder says; nothing where it is absent or damaged."""
    try:
        told = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
