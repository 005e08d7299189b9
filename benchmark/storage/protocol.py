"""The protocol of the tables of a results directory, and the keys of their records."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.storage.files import write_text
from benchmark.storage.results import PROTOCOL_FILE


def write_protocol(directory: Path, protocol: str, in_tables: Sequence[str] = ()) -> None:
    """Writes the protocol of a results directory and the keys of the records in its tables.

    A run writes it without keys before the records change, and with keys once the tables are complete. So after a
    killed run, old tables do not count as new ones.
    """
    write_text(directory / PROTOCOL_FILE, json.dumps({"protocol": protocol, "in_tables": sorted(in_tables)}) + "\n")


def read_protocol(directory: Path) -> dict[str, Any]:
    """Reads the protocol and the keys of the records in the tables. Empty if the file is missing or damaged."""
    try:
        content = json.loads((directory / PROTOCOL_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
