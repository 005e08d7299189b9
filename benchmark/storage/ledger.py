"""The ledger of verified records, next to the tables. Only the verifying command writes it."""

import json
from pathlib import Path

from pydantic import ValidationError

from benchmark.storage.files import write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.record import Verification
from benchmark.storage.results import LEDGER_FILE

Ledger = dict[str, Verification]
"""What was computed again, by the SHA-256 of the record. A record names the SHA-256 of its scores and predictions."""


def read_ledger(directory: Path) -> Ledger:
    """Reads the ledger of a results directory. A record that changed since then is not in it.

    Raises:
        ValueError: The file is damaged.
    """
    path = directory / LEDGER_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
        return {str(digest): Verification.model_validate(entry) for digest, entry in content.items()}
    except (ValueError, AttributeError, RecursionError, ValidationError):
        raise ValueError(f"{path} is damaged; restore it, or verify its records again") from None


def enter_verification(record: Path, verification: Verification) -> None:
    """Enters a record into the ledger of its results directory."""
    directory = record.parent.parent
    ledger = {**read_ledger(directory), file_digest(record): verification}
    content = {digest: entry.model_dump(mode="json") for digest, entry in sorted(ledger.items())}
    write_text(directory / LEDGER_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
