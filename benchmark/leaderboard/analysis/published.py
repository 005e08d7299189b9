"""Compares our results with published ones."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmark.errors import UserError
from benchmark.escaping import csv_text, escape_markdown
from benchmark.leaderboard.analysis.contrasts import BASE
from benchmark.leaderboard.column import Column
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.export.csv import data_name
from benchmark.leaderboard.export.grid import markdown
from benchmark.leaderboard.synthetic import STAMP
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.registry import resolve_name
from benchmark.statistics.bootstrap import Estimate
from benchmark.statistics.intervals import LEVEL
from benchmark.statistics.tests import ALPHA

TABLES_DIR = Path(__file__).parent / "published_tables"
MIN_ARCHITECTURES = 3
"""Minimum number of common architectures. With fewer there is no order to compare."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedTable:
    """A published table.

    Attributes:
        name: Its name on the command line.
        sources: The publications.
        differences: Differences of its protocol from ours.
        values: By name of the set, column and architecture: value and standard deviation (0 if unknown).
    """

    name: str
    sources: tuple[str, ...]
    differences: tuple[str, ...]
    values: dict[tuple[str, str], dict[str, tuple[float, float]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedAgreement:
    """One column of ours compared with a published one.

    Attributes:
        set_name: Name of the published set.
        column: The score.
        rows: Name of the architecture, our estimate, and the published value and standard deviation.
        tau: Kendall's rank correlation over the architectures.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided p-value of no correlation.
    """

    set_name: str
    column: Column
    rows: tuple[tuple[str, Estimate, float, float], ...]
    tau: float
    low: float
    high: float
    p: float


def load_published_table(name: str) -> PublishedTable:
    """Loads a published table by its name.

    Raises:
        UserError: The name is unknown.
    """
    paths = {path.stem: path for path in TABLES_DIR.glob("*.csv")}
    lines = paths[resolve_name(name, paths, "published table")].read_text(encoding="utf-8").splitlines()
    comments = [line[1:].strip().partition(": ") for line in lines if line.startswith("#")]
    values: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        by_architecture = values.setdefault((row["set"], row["column"]), {})
        by_architecture[row["architecture"]] = float(row["value"]), float(row["sd"] or 0)
    return PublishedTable(
        name=name,
        sources=tuple(text for kind, _, text in comments if kind == "source"),
        differences=tuple(text for kind, _, text in comments if kind == "difference"),
        values=values,
    )


def compute_published_agreements(leaderboard: LeaderboardTable, published: PublishedTable) -> list[PublishedAgreement]:
    """Compares our models of standard training with the published ones, column by column.

    Raises:
        UserError: Fewer than three architectures are in both.
    """
    rows = {row.name: row for row in leaderboard.models if row.regime == BASE}
    by_name = {column.name: column for column in leaderboard.columns}
    agreements = [
        _agreement(set_name, by_name[column], rows, values)
        for (set_name, column), values in published.values.items()
        if sum(name in rows and column in rows[name].estimates for name in values) >= MIN_ARCHITECTURES
    ]
    if not agreements:
        raise UserError(
            f"{leaderboard.record.dataset}: fewer than {MIN_ARCHITECTURES} architectures are also in {published.name}"
        )
    return agreements


def _agreement(
    set_name: str, column: Column, rows: dict[str, Row], values: dict[str, tuple[float, float]]
) -> PublishedAgreement:
    shared = [
        (name, rows[name].estimates[column.name], *values[name])
        for name in sorted(values)
        if name in rows and column.name in rows[name].estimates
    ]
    ours = np.array([estimate.value for _, estimate, _, _ in shared])
    theirs = np.array([value for _, _, value, _ in shared])
    result = kendalltau(ours, theirs)
    draws = _drawn_taus(shared)
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if np.isfinite(draws).any() else (np.nan,) * 2
    return PublishedAgreement(
        set_name=set_name,
        column=column,
        rows=tuple(shared),
        tau=float(result.statistic),
        low=float(low),
        high=float(high),
        p=float(result.pvalue),
    )


def _drawn_taus(shared: Sequence[tuple[str, Estimate, float, float]]) -> NDArray[np.float64]:
    """Computes Kendall's tau-b in each draw of our bootstrap; NaN where all values are tied.

    Published values are drawn from normal distributions with the deviations of their runs.
    """
    ours = np.stack([estimate.draws.astype(np.float64) for _, estimate, _, _ in shared])
    means, deviations = (np.array([row[index] for row in shared])[:, None] for index in (2, 3))
    theirs = means + deviations * np.random.default_rng(0).standard_normal(ours.shape)
    upper = np.triu_indices(len(shared), 1)
    signs = [np.sign(values[upper[0]] - values[upper[1]]) for values in (ours, theirs)]
    weight = np.sqrt((signs[0] != 0).sum(axis=0) * (signs[1] != 0).sum(axis=0))
    return np.divide((signs[0] * signs[1]).sum(axis=0), weight, out=np.full(weight.shape, np.nan), where=weight > 0)


def published_agreement_csv(leaderboard: LeaderboardTable, agreements: Sequence[PublishedAgreement]) -> str:
    """Returns a line per published set, column and architecture."""
    lines: list[list[object]] = [
        ["data", "method", "set", "column", "architecture", "ours", "low", "high", "published", "published_sd"]
    ]
    for agreement in agreements:
        for name, ours, value, deviation in agreement.rows:
            cells = [f"{number:.6f}" for number in (ours.value, ours.low, ours.high)]
            start = [data_name(leaderboard), leaderboard.method, agreement.set_name, agreement.column.name, name]
            lines.append([*start, *cells, value, deviation or ""])
    return csv_text(lines)


def published_agreement_markdown(
    leaderboard: LeaderboardTable, published: PublishedTable, agreements: Sequence[PublishedAgreement]
) -> str:
    """Returns a page: rank correlations, the map F1 of both, the differences of protocol, the source."""
    record = leaderboard.record
    lines = [f"# {escape_markdown(f'{record.dataset}, preset {record.preset}')}, compared with {published.name}", ""]
    if record.synthetic:
        lines += [f"> **{STAMP}** Only the order of the architectures can be compared.", ""]
    lines += [_summary(agreements), "", "## Agreement on the order of the architectures", ""]
    table = [["set", "score", "architectures", "Kendall's tau", "p"]]
    for agreement in agreements:
        tau = f"{agreement.tau:+.2f} [{agreement.low:+.2f}, {agreement.high:+.2f}]"
        num_rows, p = str(len(agreement.rows)), f"{agreement.p:.2g}"
        table.append([agreement.set_name, agreement.column.title, num_rows, tau, p])
    lines += [*markdown(table), ""]
    lines.append(
        "Intervals: our bootstrap over seeds and groups, and the standard deviation of the published runs if known."
    )
    for agreement in agreements:
        if agreement.column.name == RANKED_BY:
            title = f"## {agreement.column.title}, set {agreement.set_name}"
            lines += ["", title, "", *markdown(_value_table(agreement))]
    lines += ["", "## Differences of protocol", "", *(f"- {text}." for text in published.differences)]
    lines += ["", "## Source", "", *(f"- {text}." for text in published.sources)]
    return "\n".join(lines) + "\n"


def _summary(agreements: Sequence[PublishedAgreement]) -> str:
    first = next((agreement for agreement in agreements if agreement.column.name == RANKED_BY), agreements[0])
    if first.p < ALPHA and first.low > 0:
        verdict = "rank the architectures in similar order"
    elif first.p < ALPHA and first.high < 0:
        verdict = "rank the architectures in opposite order"
    else:
        verdict = "do not agree significantly on the order of the architectures"
    return (
        f"**By {first.column.title}, our models in standard training and the published ones (set {first.set_name}) "
        f"{verdict}: Kendall's tau {first.tau:+.2f} [{first.low:+.2f}, {first.high:+.2f}] over "
        f"{len(first.rows)} architectures, p = {first.p:.2g}.**"
    )


def _value_table(agreement: PublishedAgreement) -> list[list[str]]:
    """Returns the values and ranks of both, best published value first."""
    table = [["architecture", "published", "ours", "published rank", "our rank"]]
    by_published = sorted(agreement.rows, key=lambda row: -row[2])
    by_ours = sorted(agreement.rows, key=lambda row: -row[1].value)
    for rank, row in enumerate(by_published, start=1):
        name, estimate, value, deviation = row
        published = f"{value:.3f} ± {deviation:.3f}" if deviation else f"{value:.3f}"
        ours = f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
        table.append([name, published, ours, str(rank), str(by_ours.index(row) + 1)])
    return table
