"""Badges of submissions: whether the scores are self-reported or verified. Entries of the repository have no badge."""

from collections.abc import Iterable

from benchmark.phrases import format_count
from benchmark.storage.record import Record

MAPS_ONLY = "maps only"
BADGES = {
    "self-reported": "Submitted with these scores, which have not been computed again from the weights.",
    MAPS_ONLY: "Maps made elsewhere and scored here. Nothing is known of their model and its training.",
    "verified": "Submitted. A sample of the test images was scored again from the weights, and agrees.",
}
"""Meaning by badge."""
OWN = "an entry of this repository, no submission"


def find_badge(records: Iterable[Record]) -> str:
    """Returns the badge of a row, the weakest one of its seeds; empty for the repository's own entries."""
    badges = {record.badge for record in records if record.submission or record.external_maps}
    return next((badge for badge in BADGES if badge in badges), "")


def describe_badge(record: Record) -> str:
    """Describes in a line where the scores of a record are from."""
    badge = find_badge([record])
    images = f" ({format_count(len(record.verification.images), 'image')})" if record.verification else ""
    return f"{badge}{images}: {BADGES[badge]}" if badge else OWN


def explain_badges(badges: Iterable[str]) -> str:
    """Explains the badges that occur, in a few sentences; empty if none occurs."""
    present = set(badges)
    return " ".join(f"*{badge}*: {text}" for badge, text in BADGES.items() if badge in present)
