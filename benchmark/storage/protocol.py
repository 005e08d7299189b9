"""The protocol of the tables of a results directory, and the keys of their records."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.storage.files import write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.results import PROTOCOL_FILE


def write_protocol(
    directory: Path, protocol: str, in_tables: Sequence[str] = (), files: Mapping[str, str] | None = None
) -> None:
    """Writes the protocol of a results directory and the keys of the records in its tables.

    A run writes it without keys before the records change, and with keys once the tables are complete. So after a
    killed run, old tables do not count as new ones.

    Args:
        directory: The results directory.
        protocol: The protocol.
        in_tables: Keys of the records in the tables.
        files: SHA-256 of the tables and of what they were computed from, by name.
    """
    content = {"protocol": protocol, "in_tables": sorted(in_tables), "files": dict(sorted((files or {}).items()))}
    write_text(directory / PROTOCOL_FILE, json.dumps(content) + "\n")


def read_protocol(directory: Path) -> dict[str, Any]:
    """Reads what :func:`write_protocol` wrote. Empty if the file is missing or damaged."""
    path = directory / PROTOCOL_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict) or not isinstance(content.get("protocol"), str):
        return {}
    keys, files = content.get("in_tables", []), content.get("files", {})
    is_valid = isinstance(keys, list) and all(isinstance(key, str) for key in keys) and isinstance(files, dict)
    return content if is_valid else {}


def accept_file(directory: Path, name: str) -> None:
    """Stores the digest of a file that was changed on purpose, if there is a digest of it."""
    content = read_protocol(directory)
    if name in content.get("files", {}):
        files = content["files"] | {name: file_digest(directory / name)}
        write_protocol(directory, content["protocol"], content.get("in_tables", ()), files)


def is_changed(directory: Path, name: str) -> bool:
    """Whether a file of a results directory differs from what the tables were computed from. False if unknown."""
    digest = read_protocol(directory).get("files", {}).get(name)
    path = directory / name
    return digest is not None and not (path.is_file() and file_digest(path) == digest)
