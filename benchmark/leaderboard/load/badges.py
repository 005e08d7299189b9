"""Whose word a row's scores are: said of submissions; rows without a badge are entries of the repository."""

from collections.abc import Iterable

from benchmark.storage.record import Record

BADGES = {
    "self-reported": "Submitted with these scores. None of them was computed again from the weights yet.",
    "verified": "Submitted. A part of the test images was scored again from the weights, and agrees.",
}
"""By badge what it means."""
OWN = "an entry of this repository, no submission"


def find_badge(records: Iterable[Record]) -> str:
    """The badge of a row: of a submission the weaker one of its seeds, of the repository's own entries none."""
    told = {record.badge for record in records if record.submission is not None}
    return next((badge for badge in BADGES if badge in told), "")


def standing(record: Record) -> str:
    """Whose word the scores of a record are, in a line."""
    badge = find_badge([record])
    images = f" ({len(record.verification.images)} images)" if record.verification else ""
    return f"{badge}{images}: {BADGES[badge]}" if badge else OWN


def explained(badges: Iterable[str]) -> str:
    """What the badges that occur mean, in a few sentences; nothing where none occurs."""
    seen = set(badges)
    return " ".join(f"*{badge}*: {text}" for badge, text in BADGES.items() if badge in seen)
