"""Differences between a table and an earlier one."""

import csv
import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.escaping import unescape_csv
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.export.csv import OTHER_PROTOCOL

Table = dict[tuple[str, str], dict[str, str]]
"""Lines of a leaderboard.csv by name and regime."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A changed score of a row.

    Attributes:
        label: The row.
        column: The score.
        before: Earlier value.
        after: Current value.
        beyond: Whether each value is outside the other's interval.
    """

    label: str
    column: Column
    before: float
    after: float
    beyond: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TableDiff:
    """The differences between two tables.

    Attributes:
        new: Rows of the current table only.
        gone: Rows of the earlier table only.
        moves: Changed scores: those beyond their intervals first, then by size of the change.
        scores: Number of scores in both tables.
        ranks: Models with a changed rank: label, earlier rank, current rank.
    """

    new: tuple[str, ...]
    gone: tuple[str, ...]
    moves: tuple[Move, ...]
    scores: int
    ranks: tuple[tuple[str, int, int], ...]

    @property
    def beyond(self) -> tuple[Move, ...]:
        """Scores that changed beyond their intervals."""
        return tuple(move for move in self.moves if move.beyond)


def load_earlier_table(source: str, directory: Path) -> Table:
    """Loads an earlier table: a CSV file, or a git revision of the directory's leaderboard.csv.

    Raises:
        UserError: The source is neither, or has no leaderboard.
    """
    if Path(source).is_file():
        text = Path(source).read_text(encoding="utf-8")
    elif source.startswith("-"):
        # git would read it as an option.
        raise UserError(f"--diff {source}: neither a file nor a git revision")
    else:
        command = ["git", "-C", str(directory.resolve()), "show", f"{source}:./leaderboard.csv"]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=60)  # noqa: S603 - no shell
        except (OSError, subprocess.TimeoutExpired):
            raise UserError(f"--diff {source}: no such file, and git does not run") from None
        if done.returncode:
            raise UserError(f"--diff {source}: no such file, and git has no {directory.name}/leaderboard.csv for it")
        text = done.stdout.decode("utf-8", errors="replace")
    return parse_table(text, source)


def parse_table(text: str, source: str) -> Table:
    """Parses the text of a leaderboard.csv.

    Raises:
        UserError: The text is no leaderboard.csv.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or not {"name", "regime", "kind"} <= set(rows[0]):
        raise UserError(f"--diff {source}: no table of a leaderboard")
    models = [row for row in rows if row["kind"] != OTHER_PROTOCOL]
    return {(unescape_csv(row["name"]), unescape_csv(row["regime"])): row for row in models}


def diff_tables(before: Table, after: Table, columns: Sequence[Column] = COLUMNS) -> TableDiff:
    """Compares two tables, row by row and column by column. Columns of only one of them are ignored."""
    shared = [key for key in after if key in before]
    moves, scores = [], 0
    for key in shared:
        for column in columns:
            earlier, current = (_parse_estimate(table[key], column.name) for table in (before, after))
            if earlier is None or current is None:
                continue
            scores += 1
            if earlier[0] != current[0]:
                beyond = not (earlier[1] <= current[0] <= earlier[2] or current[1] <= earlier[0] <= current[2])
                move = Move(label=_label(key), column=column, before=earlier[0], after=current[0], beyond=beyond)
                moves.append(move)
    moves.sort(key=lambda move: (not move.beyond, -abs(move.after - move.before)))
    earlier_ranks, current_ranks = (_ranks(table, shared) for table in (before, after))
    return TableDiff(
        new=tuple(_label(key) for key in after if key not in before),
        gone=tuple(_label(key) for key in before if key not in after),
        moves=tuple(moves),
        scores=scores,
        ranks=tuple(
            (label, earlier_ranks[label], rank) for label, rank in current_ranks.items() if earlier_ranks[label] != rank
        ),
    )


def format_diff(diff: TableDiff, source: str) -> list[str]:
    """Returns lines for people: the counts, then changes beyond the intervals, then rows and ranks."""
    counts = f"{len(diff.moves)} of {diff.scores} scores changed, {len(diff.beyond)} of them beyond their intervals."
    lines = [f"Since {source}: {counts}"]
    lines += [
        f"beyond: {move.label}, {move.column.title}: {move.before:.3f} -> {move.after:.3f}" for move in diff.beyond
    ]
    lines += [f"new: {label}" for label in diff.new] + [f"gone: {label}" for label in diff.gone]
    lines += [f"rank: {label}: {before} -> {after}" for label, before, after in diff.ranks]
    return lines


def _parse_estimate(row: dict[str, str], column: str) -> tuple[float, float, float] | None:
    """Returns value and interval; None where one is absent."""
    try:
        value, low, high = (float(row[column + part]) for part in ("", "_low", "_high"))
    except (KeyError, ValueError, TypeError):
        return None
    return value, low, high


def _ranks(table: Table, shared: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Returns the rank of each model among those of both tables, in the order of the table."""
    models = [key for key in table if key in set(shared) and table[key]["kind"] == "model"]
    return {_label(key): rank for rank, key in enumerate(models, start=1)}


def _label(key: tuple[str, str]) -> str:
    return "/".join(part for part in key if part)
