"""Making the tables of a results directory: every row with its estimates, a table for each saliency method."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from benchmark.errors import UserError
from benchmark.leaderboard.load.badges import find_badge
from benchmark.leaderboard.load.cells import Of, baseline_statistics, cell_statistics, grouped
from benchmark.leaderboard.load.results import BootstrapContext, ResultsDirectory, build_bootstrap_context
from benchmark.leaderboard.load.scores import ScoreReader
from benchmark.leaderboard.ranking import ranked
from benchmark.leaderboard.record_columns import column_bounds, columns_of
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.resampling import Grouped, Resampling
from benchmark.storage.record import Record


def build_tables(published: ResultsDirectory, methods: Sequence[str] = ()) -> tuple[LeaderboardTable, ...]:
    """All rows, a board for each saliency method; every file is read once.

    Args:
        published: The records.
        methods: Names of the methods; none takes those of the first record.

    Raises:
        UserError: No record can be used.
    """
    methods = methods or next(iter(published.records.values())).methods
    apart, problems = _apart(published, methods)
    return tuple(
        replace(
            leaderboard,
            problems=(*leaderboard.problems, *problems),
            apart=tuple(each for each in apart if each.method == leaderboard.method),
        )
        for leaderboard in _boards(published, methods)
    )


def _apart(published: ResultsDirectory, methods: Sequence[str]) -> tuple[list[LeaderboardTable], list[str]]:
    """A board for each other protocol and method that it shares, and a line for each record that cannot be used."""
    found: list[LeaderboardTable] = []
    problems: list[str] = []
    for protocol in sorted({record.protocol for record in published.others.values()}):
        records = {path: record for path, record in published.others.items() if record.protocol == protocol}
        shared = [method for method in methods if method in next(iter(records.values())).methods]
        part = replace(published, protocol=protocol, records=records, problems=(), others={})
        try:
            leaderboards = _boards(part, shared) if shared else ()
        except UserError:
            leaderboards = ()
        found += leaderboards
        unused = [f"{path.name}: made under another protocol, and cannot be read; run it again" for path in records]
        problems += leaderboards[0].problems if leaderboards else unused
    return found, problems


def _boards(published: ResultsDirectory, methods: Sequence[str]) -> tuple[LeaderboardTable, ...]:
    """The boards of one protocol."""
    ground = build_bootstrap_context(published)
    members: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path, each in published.records.items():
        members[each.architecture, each.regime].append(path)
    models: dict[str, list[Row]] = {method: [] for method in methods}
    problems = list(published.problems)
    used: dict[Path, Record] = {}
    reader = ScoreReader(ground.images, methods)
    for paths in members.values():
        records, found = {}, []
        for path in paths:
            try:
                ratios = cell_statistics(path, published.records[path], ground.images, reader)
            except ValueError as error:
                problems.append(f"{path.name}: {error}")
                continue
            found.append(grouped(ratios, ground.draws))
            records[path] = published.records[path]
        used |= records
        for method, row in _rows(list(records.values()), found, methods, ground.draws).items() if records else ():
            models[method].append(row)
    if not used:
        raise UserError(f"{published.directory} holds no record that can be used; run `python -m benchmark run` again")
    record = next(iter(used.values()))
    baselines = _baselines(published.directory, methods, record, ground)
    return tuple(
        LeaderboardTable(
            record=record,
            method=method,
            positive=ground.positive,
            rows=(*ranked(models[method]), *baselines[method]),
            problems=tuple(problems),
            missing=_missing(used),
            groups=ground.draws.groups,
        )
        for method in methods
    )


def _rows(
    records: Sequence[Record],
    found: Sequence[dict[Of, Grouped]],
    methods: Sequence[str],
    draws: Resampling,
) -> dict[str, Row]:
    """A model from the records of its seeds, by saliency method; what the methods share is drawn once."""
    first = records[0]
    listed = columns_of(first)
    columns = {
        (method, column.name): seeds
        for method in methods
        for column in listed
        if (seeds := [each[method, column.name] for each in found if (method, column.name) in each])
    }
    known_bounds = column_bounds(listed)
    bounds = {(method, name): known_bounds[name] for method, name in columns}
    known = estimates(columns, draws, row=f"{first.architecture}/{first.regime}", bounds=bounds)
    return {
        method: Row(
            name=first.architecture,
            regime=first.regime,
            title=first.regime_title or first.regime,
            adversarial=first.adversarial,
            seeds=tuple(sorted(record.seed for record in records)),
            badge=find_badge(records),
            estimates={name: each for (of, name), each in known.items() if of == method},
        )
        for method in methods
    }


def _missing(used: dict[Path, Record]) -> tuple[str, ...]:
    """Cells without a record: every architecture is expected in the regimes and seeds that most others have."""
    there = {(record.architecture, record.regime, record.seed) for record in used.values()}
    names = sorted({name for name, _, _ in there})
    ways = sorted({(regime, seed) for _, regime, seed in there})
    usual = [way for way in ways if 2 * sum((name, *way) in there for name in names) > len(names)]
    return tuple(
        f"{name}/{regime} (seed {seed})"
        for name, (regime, seed) in product(names, usual)
        if (name, regime, seed) not in there
    )


def _baselines(
    directory: Path, methods: Sequence[str], record: Record, ground: BootstrapContext
) -> dict[str, list[Row]]:
    """The rows of the baselines by saliency method; those that need none stand in every table."""
    path = directory / "baselines.parquet"
    rows: dict[str, list[Row]] = {method: [] for method in methods}
    if not path.is_file():
        return rows
    bounds = column_bounds(columns_of(record))
    for method, name, statistics in baseline_statistics(path, record, ground.images, methods):
        columns = {column: [ratios] for column, ratios in statistics.items()}
        found = estimates(columns, ground.draws, row=name, bounds=bounds)
        rows[method].append(Row(name=name, regime="", title="", adversarial=False, seeds=(), estimates=found))
    return rows
