"""Our numbers beside published ones."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmark.errors import UserError
from benchmark.leaderboard.analysis.contrasts import BASE
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.export.csv import as_csv, data_name
from benchmark.leaderboard.export.grid import markdown
from benchmark.leaderboard.synthetic import STAMP
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.registry import resolve_name
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.intervals import LEVEL
from benchmark.statistics.tests import ALPHA

TABLES_DIR = Path(__file__).parent / "published_tables"
MIN_ARCHITECTURES = 3
"""With fewer architectures in common there is no order to compare."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedTable:
    """A published table.

    Attributes:
        name: Its name on the command line.
        sources: Where it stands.
        differences: Of its protocol from ours.
        values: By name of the set, column and architecture: value and standard deviation (0 where none is known).
    """

    name: str
    sources: tuple[str, ...]
    differences: tuple[str, ...]
    values: dict[tuple[str, str], dict[str, tuple[float, float]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedAgreement:
    """One column of ours beside a published one.

    Attributes:
        of: Name of the published set.
        column: The score.
        rows: Name of the architecture, ours, and the published value and standard deviation.
        tau: Kendall's rank correlation over the architectures.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided p-value of no correlation.
    """

    of: str
    column: Column
    rows: tuple[tuple[str, Estimate, float, float], ...]
    tau: float
    low: float
    high: float
    p: float


def load_published_table(name: str) -> PublishedTable:
    """A published table by its name.

    Raises:
        UserError: There is none of that name.
    """
    known = {path.stem: path for path in TABLES_DIR.glob("*.csv")}
    lines = known[resolve_name(name, known, "published table")].read_text(encoding="utf-8").splitlines()
    told = [line[1:].strip().partition(": ") for line in lines if line.startswith("#")]
    values: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        found = values.setdefault((row["set"], row["column"]), {})
        found[row["architecture"]] = float(row["value"]), float(row["sd"] or 0)
    return PublishedTable(
        name=name,
        sources=tuple(text for kind, _, text in told if kind == "source"),
        differences=tuple(text for kind, _, text in told if kind == "difference"),
        values=values,
    )


def compute_published_agreements(leaderboard: LeaderboardTable, published: PublishedTable) -> list[PublishedAgreement]:
    """Our models of standard training beside the published ones, column by column.

    Raises:
        UserError: Fewer than three architectures stand in both.
    """
    rows = {row.name: row for row in leaderboard.models if row.regime == BASE}
    by_name = {column.name: column for column in leaderboard.columns}
    found = [
        _agreement(of, by_name[column], rows, values)
        for (of, column), values in published.values.items()
        if sum(name in rows and column in rows[name].estimates for name in values) >= MIN_ARCHITECTURES
    ]
    if not found:
        raise UserError(
            f"{leaderboard.record.dataset}: fewer than {MIN_ARCHITECTURES} architectures stand in {published.name} too"
        )
    return found


def _agreement(
    of: str, column: Column, rows: dict[str, Row], values: dict[str, tuple[float, float]]
) -> PublishedAgreement:
    shared = [
        (name, rows[name].estimates[column.name], *values[name])
        for name in sorted(values)
        if name in rows and column.name in rows[name].estimates
    ]
    ours = np.array([known.value for _, known, _, _ in shared])
    theirs = np.array([value for _, _, value, _ in shared])
    result = kendalltau(ours, theirs)
    draws = _correlations(shared)
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if np.isfinite(draws).any() else (np.nan,) * 2
    return PublishedAgreement(
        of=of,
        column=column,
        rows=tuple(shared),
        tau=float(result.statistic),
        low=float(low),
        high=float(high),
        p=float(result.pvalue),
    )


def _correlations(shared: Sequence[tuple[str, Estimate, float, float]]) -> NDArray[np.float64]:
    """Kendall's tau in each draw of our bootstrap, with the published values as unsure as their runs."""
    ours = np.stack([known.draws.astype(np.float64) for _, known, _, _ in shared])
    means, deviations = (np.array([row[place] for row in shared])[:, None] for place in (2, 3))
    theirs = means + deviations * np.random.default_rng(0).standard_normal(ours.shape)
    upper = np.triu_indices(len(shared), 1)
    signs = [np.sign(values[upper[0]] - values[upper[1]]) for values in (ours, theirs)]
    weight = np.sqrt((signs[0] != 0).sum(axis=0) * (signs[1] != 0).sum(axis=0))
    return np.divide((signs[0] * signs[1]).sum(axis=0), weight, out=np.full(weight.shape, np.nan), where=weight > 0)


def published_agreement_csv(leaderboard: LeaderboardTable, found: Sequence[PublishedAgreement]) -> str:
    """A line per published set, column and architecture."""
    lines: list[list[object]] = [
        ["data", "method", "set", "column", "architecture", "ours", "low", "high", "published", "published_sd"]
    ]
    for each in found:
        for name, known, value, deviation in each.rows:
            numbers = [f"{number:.6f}" for number in (known.value, known.low, known.high)]
            start = [data_name(leaderboard), leaderboard.method, each.of, each.column.name, name]
            lines.append([*start, *numbers, value, deviation or ""])
    return as_csv(lines)


def published_agreement_markdown(
    leaderboard: LeaderboardTable, published: PublishedTable, found: Sequence[PublishedAgreement]
) -> str:
    """A page: rank correlations, the F1 side by side, the differences of protocol, the source."""
    lines = [f"# {leaderboard.record.dataset}, preset {leaderboard.record.preset}, beside {published.name}", ""]
    if leaderboard.record.synthetic:
        lines += [f"> **{STAMP}** The order of the architectures is all that can be compared.", ""]
    lines += [_first_words(found), "", "## Do both rank the architectures alike?", ""]
    table = [["set", "score", "architectures", "Kendall's tau", "p"]]
    for each in found:
        tau = f"{each.tau:+.2f} [{each.low:+.2f}, {each.high:+.2f}]"
        table.append([each.of, each.column.title, str(len(each.rows)), tau, f"{each.p:.2g}"])
    lines += [*markdown(table), ""]
    lines.append(
        "Intervals: our bootstrap over seeds and groups, and the spread of the published runs where it is known."
    )
    for each in found:
        if each.column.name == RANKED_BY:
            lines += ["", f"## {each.column.title}, set {each.of}", "", *markdown(_side_by_side(each))]
    lines += ["", "## Differences of protocol", "", *(f"- {text}." for text in published.differences)]
    lines += ["", "## Source", "", *(f"- {text}." for text in published.sources)]
    return "\n".join(lines) + "\n"


def _first_words(found: Sequence[PublishedAgreement]) -> str:
    first = next((each for each in found if each.column.name == RANKED_BY), found[0])
    if first.p < ALPHA and first.low > 0:
        alike = "rank the architectures alike"
    elif first.p < ALPHA and first.high < 0:
        alike = "rank them in opposite order"
    else:
        alike = "cannot be said to agree on the order"
    return (
        f"**By {first.column.title}, our models in standard training and the published ones (set {first.of}) {alike}: "
        f"Kendall's tau {first.tau:+.2f} [{first.low:+.2f}, {first.high:+.2f}] over "
        f"{len(first.rows)} architectures, p = {first.p:.2g}.**"
    )


def _side_by_side(each: PublishedAgreement) -> list[list[str]]:
    """Best published value first."""
    table = [["architecture", "published", "ours", "rank there", "rank here"]]
    rows = sorted(each.rows, key=lambda row: -row[2])
    here = sorted(each.rows, key=lambda row: -row[1].value)
    for rank, row in enumerate(rows, start=1):
        name, known, value, deviation = row
        spread = f" ± {deviation:.3f}" if deviation else ""
        ours = f"{known.value:.3f} [{known.low:.3f}, {known.high:.3f}]"
        table.append([name, f"{value:.3f}{spread}", ours, str(rank), str(here.index(row) + 1)])
    return table
