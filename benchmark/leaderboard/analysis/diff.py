"""What moved since an earlier table."""

import csv
import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.export.csv import OTHER_PROTOCOL

Table = dict[tuple[str, str], dict[str, str]]
"""Lines of a leaderboard.csv by name and regime."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One score of one row that is not what it was.

    Attributes:
        label: The row.
        column: The score.
        before: Value then.
        after: Value now.
        beyond: Whether each value lies outside the other's interval.
    """

    label: str
    column: Column
    before: float
    after: float
    beyond: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TableDiff:
    """What moved between two tables.

    Attributes:
        new: Rows that were not there.
        gone: Rows that are no longer there.
        moves: Scores that changed, the largest steps beyond their intervals first.
        scores: How many scores stand in both tables.
        ranks: Models whose place changed: label, place then, place now.
    """

    new: tuple[str, ...]
    gone: tuple[str, ...]
    moves: tuple[Move, ...]
    scores: int
    ranks: tuple[tuple[str, int, int], ...]

    @property
    def beyond(self) -> tuple[Move, ...]:
        """Scores that moved beyond their intervals."""
        return tuple(move for move in self.moves if move.beyond)


def load_earlier_table(told: str, directory: Path) -> Table:
    """The table of an earlier day: a CSV file, or a git revision of the folder's leaderboard.csv.

    Raises:
        UserError: It is neither, or no leaderboard.
    """
    if Path(told).is_file():
        text = Path(told).read_text(encoding="utf-8")
    elif told.startswith("-"):
        raise UserError(f"--diff {told}: neither a file nor a git revision")
    else:
        command = ["git", "-C", str(directory.resolve()), "show", f"{told}:./leaderboard.csv"]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=60)  # noqa: S603 - no shell
        except (OSError, subprocess.TimeoutExpired):
            raise UserError(f"--diff {told}: no such file, and git cannot be asked") from None
        if done.returncode:
            raise UserError(f"--diff {told}: no such file, and git knows no {directory.name}/leaderboard.csv of it")
        text = done.stdout.decode("utf-8", errors="replace")
    return parse_table(text, told)


def parse_table(text: str, told: str) -> Table:
    """A leaderboard.csv as text.

    Raises:
        UserError: It is none.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or not {"name", "regime", "kind"} <= set(rows[0]):
        raise UserError(f"--diff {told}: no table of a leaderboard")
    return {(row["name"], row["regime"]): row for row in rows if row["kind"] != OTHER_PROTOCOL}


def diff_tables(before: Table, after: Table, columns: Sequence[Column] = COLUMNS) -> TableDiff:
    """Compares two tables, row by row and column by column; a column that only one of them has moved nowhere."""
    shared = [key for key in after if key in before]
    moves, scores = [], 0
    for key in shared:
        for column in columns:
            known = [_numbers(table[key], column.name) for table in (before, after)]
            if known[0] is None or known[1] is None:
                continue
            scores += 1
            then, now = known[0], known[1]
            if then[0] != now[0]:
                beyond = not (then[1] <= now[0] <= then[2] or now[1] <= then[0] <= now[2])
                moves.append(Move(label=_label(key), column=column, before=then[0], after=now[0], beyond=beyond))
    moves.sort(key=lambda move: (not move.beyond, -abs(move.after - move.before)))
    places = [_places(table, shared) for table in (before, after)]
    return TableDiff(
        new=tuple(_label(key) for key in after if key not in before),
        gone=tuple(_label(key) for key in before if key not in after),
        moves=tuple(moves),
        scores=scores,
        ranks=tuple((label, places[0][label], at) for label, at in places[1].items() if places[0][label] != at),
    )


def format_diff(found: TableDiff, told: str) -> list[str]:
    """Lines for people: the counts first, then what moved beyond the intervals, then rows and places."""
    counts = f"{len(found.moves)} of {found.scores} scores moved, {len(found.beyond)} of them beyond their intervals."
    lines = [f"Since {told}: {counts}"]
    lines += [
        f"beyond: {move.label}, {move.column.title}: {move.before:.3f} -> {move.after:.3f}" for move in found.beyond
    ]
    lines += [f"new: {label}" for label in found.new] + [f"gone: {label}" for label in found.gone]
    lines += [f"place: {label}: {then} -> {now}" for label, then, now in found.ranks]
    return lines


def _numbers(row: dict[str, str], column: str) -> tuple[float, float, float] | None:
    """Value and interval; None where there is none."""
    try:
        value, low, high = (float(row[column + part]) for part in ("", "_low", "_high"))
    except (KeyError, ValueError, TypeError):
        return None
    return value, low, high


def _places(table: Table, shared: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Place of each model among those of both tables, in the order of the table."""
    models = [key for key in table if key in set(shared) and table[key]["kind"] == "model"]
    return {_label(key): place for place, key in enumerate(models, start=1)}


def _label(key: tuple[str, str]) -> str:
    return "/".join(part for part in key if part)
