"""A record on its way into a table."""

from dataclasses import dataclass, field
from pathlib import Path

from benchmark.storage.record import Record


@dataclass(kw_only=True)
class Candidate:
    """A record on its way.

    Attributes:
        path: Its file.
        record: Its content, with the badge of the ledger.
        is_made: Whether a run published it here.
        is_verified: Whether the ledger has it.
        problems: Reasons against it.
    """

    path: Path
    record: Record
    is_made: bool
    is_verified: bool
    problems: list[str] = field(default_factory=list)
