"""Builds the tables of a results directory: all rows with their estimates, a table per saliency method."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from benchmark.errors import UserError
from benchmark.leaderboard.analysis.chance import chance_of
from benchmark.leaderboard.analysis.provenance import describe_origin
from benchmark.leaderboard.analysis.rank_correlation import num_draws_for
from benchmark.leaderboard.load.badges import find_badge
from benchmark.leaderboard.load.cells import StatisticKey, baseline_statistics, cell_statistics, grouped
from benchmark.leaderboard.load.results import BootstrapContext, ResultsDirectory, build_bootstrap_context
from benchmark.leaderboard.load.rows import Model
from benchmark.leaderboard.load.scores import ScoreReader
from benchmark.leaderboard.ranking import ranked
from benchmark.leaderboard.record_columns import build_all_columns, build_columns, column_bounds
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.resampling import Grouped, Resampling
from benchmark.storage.protocol import is_changed
from benchmark.storage.record import Record
from benchmark.storage.results import BASELINES_FILE

EXTERNAL = "any method"
"""The method of a table whose maps all come from elsewhere. Each row names its own."""


def build_tables(published: ResultsDirectory, methods: Sequence[str] = ()) -> tuple[LeaderboardTable, ...]:
    """Builds a table for each saliency method. Every file is read once.

    Args:
        published: The records.
        methods: Names of the methods; by default those of the first record.

    Raises:
        UserError: No record is usable.
    """
    methods = methods or _offered_methods(published.records) or (EXTERNAL,)
    others, problems = _tables_of_other_protocols(published, methods)
    return tuple(
        replace(
            leaderboard,
            problems=(*leaderboard.problems, *problems),
            other_protocols=tuple(other for other in others if other.method == leaderboard.method),
        )
        for leaderboard in _protocol_tables(published, methods)
    )


def _offered_methods(records: Mapping[Path, Record]) -> tuple[str, ...]:
    """Returns the methods of the first record with a model; empty if all maps are from elsewhere."""
    return next((record.methods for record in records.values() if record.external_maps is None), ())


def _tables_of_other_protocols(
    published: ResultsDirectory, methods: Sequence[str]
) -> tuple[list[LeaderboardTable], list[str]]:
    """Builds a table for each other protocol and shared method. Returns them and a line for each unusable record."""
    tables: list[LeaderboardTable] = []
    problems: list[str] = []
    for protocol in sorted({record.protocol for record in published.others.values()}):
        records = {path: record for path, record in published.others.items() if record.protocol == protocol}
        offered = _offered_methods(records) or methods
        shared = [method for method in methods if method in offered]
        part = replace(published, protocol=protocol, records=records, problems=(), others={})
        try:
            leaderboards = _protocol_tables(part, shared) if shared else ()
        except UserError:
            leaderboards = ()
        tables += leaderboards
        unused = [f"{path.name}: made under another protocol, and cannot be read; run it again" for path in records]
        problems += leaderboards[0].problems if leaderboards else unused
    return tables, problems


def _protocol_tables(published: ResultsDirectory, methods: Sequence[str]) -> tuple[LeaderboardTable, ...]:
    """Builds the tables of one protocol."""
    context = build_bootstrap_context(published)
    stored = num_draws_for(len(published.models))
    context = replace(context, draws=replace(context.draws, num_stored=stored))
    models: dict[str, list[Row]] = {method: [] for method in methods}
    problems = list(published.problems)
    used: dict[Path, Record] = {}
    reader = ScoreReader(context.images, methods)
    for model, paths in published.models.items():
        records, statistics = {}, []
        for path in paths:
            try:
                ratios = cell_statistics(path, published.records[path], context.images, reader)
            except ValueError as error:
                problems.append(f"{path.name}: {error}")
                continue
            # Only the sums by group are held, and the images of one cell at a time.
            statistics.append(grouped(ratios, context.draws))
            records[path] = published.records[path]
        if not records:
            continue
        used |= records
        rows = _model_rows(list(records.values()), statistics, methods, context.draws)
        for method, row in rows.items():
            models[method].append(_named(row, model))
    if not used:
        raise UserError(f"{published.directory} holds no record that can be used; run `python -m benchmark run` again")
    first = next(iter(used.values()))
    try:
        if is_changed(published.directory, BASELINES_FILE):
            raise ValueError(f"{BASELINES_FILE} differs from what a run wrote")  # noqa: TRY301 - as other damage
        baselines = _baseline_rows(published.directory, methods, first, context)
    except (ValueError, KeyError, TypeError, OSError) as error:
        problems.append(f"{BASELINES_FILE} is damaged ({str(error).splitlines()[0][:80]}); run it again")
        baselines = {method: [] for method in methods}
    return tuple(
        LeaderboardTable(
            record=first,
            method=method,
            positive=context.positive,
            rows=(*ranked(models[method], chance_of(first)), *baselines[method]),
            problems=tuple(problems),
            missing=_missing_cells(used),
            groups=context.draws.groups,
            records=tuple(used.values()),
        )
        for method in methods
    )


def _model_rows(
    records: Sequence[Record],
    statistics: Sequence[dict[StatisticKey, Grouped]],
    methods: Sequence[str],
    draws: Resampling,
) -> dict[str, Row]:
    """Builds the row of a model by saliency method, from the statistics of its seeds. Shared ones are drawn once."""
    first = records[0]
    columns = build_all_columns(first)
    existing = set().union(*statistics)
    keys = [key for method in methods for column in columns if (key := (method, column.name)) in existing]
    seeds_by_key = {key: [seed[key] for seed in statistics if key in seed] for key in keys}
    bounds_by_name = column_bounds(columns)
    bounds = {(method, name): bounds_by_name[name] for method, name in seeds_by_key}
    # The table pools the variance between trainings, and widens all intervals then.
    row_name = f"{first.architecture}/{first.regime}"
    row_estimates = estimates(seeds_by_key, draws, row=row_name, bounds=bounds, over_trainings=False)
    return {
        method: Row(
            name=first.architecture,
            regime=first.regime,
            title=first.regime_title or first.regime,
            adversarial=first.adversarial,
            seeds=tuple(sorted(record.seed for record in records)),
            badge=find_badge(records),
            origin="; ".join(dict.fromkeys(map(describe_origin, records))),
            alignment=first.alignment,
            estimates={name: value for (of_method, name), value in row_estimates.items() if of_method == method},
        )
        for method in methods
    }


def _named(row: Row, model: Model) -> Row:
    """Names a row as its model, which may have the label of a variant. The title of its regime has the label too."""
    name, training_name = model
    label = training_name.removeprefix(row.regime)
    title = f"{row.title} ({label[1:]})" if label else row.title
    return replace(row, name=name, regime=training_name, title=title)


def _missing_cells(used: dict[Path, Record]) -> tuple[str, ...]:
    """Lists cells without a record. Every architecture is expected in the regimes and seeds that most others have."""
    trained = [record for record in used.values() if record.external_maps is None]
    existing = {(record.architecture, record.training_name, record.seed) for record in trained}
    names = sorted({name for name, _, _ in existing})
    trainings = sorted({(regime, seed) for _, regime, seed in existing})
    expected = [key for key in trainings if 2 * sum((name, *key) in existing for name in names) > len(names)]
    return tuple(
        f"{name}/{regime} (seed {seed})"
        for name, (regime, seed) in product(names, expected)
        if (name, regime, seed) not in existing
    )


def _baseline_rows(
    directory: Path, methods: Sequence[str], record: Record, context: BootstrapContext
) -> dict[str, list[Row]]:
    """Builds the rows of the baselines by saliency method. Baselines that need no method are in every table."""
    path = directory / BASELINES_FILE
    rows: dict[str, list[Row]] = {method: [] for method in methods}
    if not path.is_file():
        return rows
    bounds = column_bounds(build_columns(record))
    for method, name, statistics in baseline_statistics(path, record, context.images, methods):
        columns = {column: [ratios] for column, ratios in statistics.items()}
        row_estimates = estimates(columns, context.draws, row=name, bounds=bounds, trained=False)
        rows[method].append(Row(name=name, regime="", title="", adversarial=False, seeds=(), estimates=row_estimates))
    return rows
