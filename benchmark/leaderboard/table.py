"""The leaderboard of one data set and preset: every row with its estimates."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.leaderboard.columns import COLUMNS, Column, column_bounds, columns_of
from benchmark.leaderboard.load.badges import find_badge
from benchmark.leaderboard.load.cells import Of, baseline_statistics, beside, cell_statistics, grouped
from benchmark.leaderboard.load.predictions import PREDICTED, read_predictions
from benchmark.leaderboard.load.scores import METHOD, NAMES, VALUE, ScoreReader
from benchmark.leaderboard.statistics.bootstrap import (
    Estimate,
    Grouped,
    RatioStatistic,
    Resampling,
    estimates,
    resampling,
    small_sample_factor,
)
from benchmark.leaderboard.statistics.letters import letters
from benchmark.leaderboard.statistics.ranks import best_share, rank_intervals
from benchmark.leaderboard.statistics.tests import Pairs, all_pairs
from benchmark.scoring.classification import positive_class
from benchmark.storage.record import SCHEMA, Record, load_record

MARKER = "protocol.json"
RANKED_BY = "fuzzy_f1"
DEGENERATE = "tv_ratio"
"""The column that is undefined exactly where a map is constant or not finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A model (over its seeds) or a baseline.

    Attributes:
        name: Name of the architecture or the baseline.
        regime: Name of the regime; empty for a baseline.
        title: How people are told of the regime; its name unless that would claim too much.
        adversarial: Whether the regime trains on attacked images.
        seeds: The training seeds.
        estimates: By name of the column; a row lacks what it cannot have.
        rank: Interval of its rank among the models, by F1; None for a baseline.
        best: Share of the bootstrap's draws in which it ranks first; None for a baseline.
        letters: By name of a headline column: models that share a letter are not told apart by it.
        badge: Of a submission, whose word its scores are: one of :data:`benchmark.leaderboard.load.badges.BADGES`.
    """

    name: str
    regime: str
    title: str
    adversarial: bool
    seeds: tuple[int, ...]
    estimates: dict[str, Estimate]
    rank: tuple[int, int] | None = None
    best: float | None = None
    letters: dict[str, str] = field(default_factory=dict)
    badge: str = ""

    @property
    def is_model(self) -> bool:
        """Whether a model made it."""
        return bool(self.regime)

    @property
    def label(self) -> str:
        """How it is called in a line of text and on the command line."""
        return f"{self.name}/{self.regime}" if self.is_model else self.name

    @property
    def degenerate(self) -> int | None:
        """How many of its maps are constant or no numbers, over all seeds; None where there are no maps."""
        known = self.estimates.get(DEGENERATE)
        return known.undefined if known else None


@dataclass(frozen=True, kw_only=True)
class LeaderboardTable:
    """A table before it is written.

    Attributes:
        record: Any of its records, for what they share.
        method: The saliency method.
        rows: Models, best F1 first, then baselines.
        problems: One line for each record that is left out.
        missing: Names of cells that no record tells of, among the regimes and seeds that others have.
        positive: Of two classes the one that counts as positive; empty where there are more.
        groups: Number of patients, lesions or whatever is drawn whole, among the test images.
        apart: Tables of what was made under other protocols: kept, and never ranked with the rows of this one.
    """

    record: Record
    method: str
    positive: str
    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    missing: tuple[str, ...] = ()
    groups: int = 0
    apart: "tuple[LeaderboardTable, ...]" = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """What the table may show."""
        return columns_of(self.record)

    @cached_property
    def models(self) -> tuple[Row, ...]:
        """The rows that models made."""
        return tuple(row for row in self.rows if row.is_model)

    @cached_property
    def models_apart(self) -> tuple[Row, ...]:
        """The rows that models of other protocols made; their ranks and letters are among themselves."""
        return tuple(row for other in self.apart for row in other.models)

    @cached_property
    def pairs(self) -> Pairs:
        """Which models are told apart, by the column they are ranked by."""
        return all_pairs([row.estimates.get(RANKED_BY) for row in self.models])


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultsDirectory:
    """What lies in a results folder.

    Attributes:
        folder: The folder.
        protocol: Of the latest run; only records of it stand in one table.
        records: By path of the record, sorted.
        problems: One line for each record that cannot be used.
        others: Records of other protocols, likewise.
    """

    folder: Path
    protocol: str
    records: dict[Path, Record]
    problems: tuple[str, ...]
    others: dict[Path, Record] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapContext:
    """What all rows of a results folder stand on.

    Attributes:
        images: Names of the test images.
        draws: Of the bootstrap.
        positive: Of two classes the one that counts as positive; empty where there are more.
    """

    images: list[str]
    draws: Resampling
    positive: str


def read_results(folder: Path) -> ResultsDirectory:
    """The records of a results folder that belong together.

    Raises:
        UserError: There are none.
    """
    marker = folder / MARKER
    if not marker.is_file():
        raise UserError(f"{folder} holds no results; make some with `python -m benchmark run`")
    try:
        protocol = json.loads(marker.read_text(encoding="utf-8"))["protocol"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{marker} is damaged; run `python -m benchmark run` again") from None
    records: dict[Path, Record] = {}
    others: dict[Path, Record] = {}
    problems: list[str] = []
    for path in sorted((folder / "records").glob("[!.]*.json")):
        try:
            record = _usable(path)
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
            continue
        (records if record.protocol == protocol else others)[path] = record
    if not records:
        raise UserError(f"{folder} holds no record that can be used; run `python -m benchmark run` again")
    return ResultsDirectory(folder=folder, protocol=protocol, records=records, problems=tuple(problems), others=others)


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
        raise UserError(f"{published.folder} holds no record that can be used; run `python -m benchmark run` again")
    record = next(iter(used.values()))
    baselines = _baselines(published.folder, methods, record, ground)
    return tuple(
        LeaderboardTable(
            record=record,
            method=method,
            positive=ground.positive,
            rows=(*_ranked(models[method]), *baselines[method]),
            problems=tuple(problems),
            missing=_missing(used),
            groups=ground.draws.groups,
        )
        for method in methods
    )


def build_table(published: ResultsDirectory, method: str) -> LeaderboardTable:
    """All rows for one saliency method."""
    return build_tables(published, [method])[0]


def load_ratio_statistics(
    published: ResultsDirectory, method: str, label: str, ground: BootstrapContext
) -> dict[str, list[RatioStatistic]]:
    """The statistics of one model before they are averaged, by column and seed, as :func:`build_tables` takes them.

    Raises:
        ValueError: A file of the model is damaged.
    """
    found: dict[str, list[RatioStatistic]] = defaultdict(list)
    reader = ScoreReader(ground.images, [method])
    for path, record in published.records.items():
        if f"{record.architecture}/{record.regime}" == label:
            for (_, name), ratios in cell_statistics(path, record, ground.images, reader).items():
                found[name].append(ratios)
    return dict(found)


def _usable(path: Path) -> Record:
    """A record whose files are there and look whole; ValueError says what is wrong."""
    try:
        record = load_record(path)
    except (ValueError, OSError, RecursionError):
        raise ValueError("no record of this schema") from None
    if record.schema_version != SCHEMA:
        raise ValueError(f"made by another version of Loupe (schema {record.schema_version}, not {SCHEMA})")
    for what, columns in (("scores", (*NAMES, METHOD, VALUE)), ("predictions", PREDICTED)):
        file = beside(path, what)
        if not file.is_file():
            raise ValueError("its scores or predictions are missing")
        try:
            names = pq.read_schema(file).names
        except (pa.ArrowException, OSError):
            raise ValueError(f"its {what} are damaged") from None
        if absent := [name for name in columns if name not in names]:
            raise ValueError(f"its {what} lack the column {absent[0]}")
    return record


def build_bootstrap_context(published: ResultsDirectory) -> BootstrapContext:
    """What all rows stand on: the test images of the first record that can be read.

    Raises:
        UserError: None can be read.
    """
    for path, record in published.records.items():
        try:
            # Sorted, so that the order in a file shows nowhere.
            first = read_predictions(beside(path, "predictions")).sort_values("image")
        except ValueError:
            continue
        positive = record.classes[positive_class(first["label"].to_numpy())] if len(record.classes) == 2 else ""
        return BootstrapContext(images=list(first["image"]), draws=resampling(list(first["group"])), positive=positive)
    raise UserError(f"{published.folder} holds no record that can be used; run `python -m benchmark run` again")


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


def _ranked(models: list[Row]) -> list[Row]:
    """Best F1 first, each with the interval of its rank; models without an F1 last."""

    def worth(row: Row) -> float:
        known = row.estimates.get(RANKED_BY)
        return known.value if known and np.isfinite(known.value) else -np.inf

    models = sorted(models, key=lambda row: (-worth(row), row.name, row.regime))
    apart = _letters(models)
    models = [replace(row, letters=known) for row, known in zip(models, apart, strict=True)]
    if not models or not np.isfinite(worth(models[-1])):
        return models
    draws = np.stack([_spread_draws(row.estimates[RANKED_BY]) for row in models])
    ranks = rank_intervals(draws, higher_is_better=True)
    best = best_share(draws, higher_is_better=True)
    return [
        replace(row, rank=(int(first), int(last)), best=float(share))
        for row, (first, last), share in zip(models, ranks, best, strict=True)
    ]


def _letters(models: list[Row]) -> list[dict[str, str]]:
    """By headline column the groups of each model; letters follow the order of that column, a at its best end."""
    found: list[dict[str, str]] = [{} for _ in models]
    for column in COLUMNS:
        known = [place for place, row in enumerate(models) if _finite(row, column.name)]
        if column.headline and known:
            sign = 1 if column.higher_is_better is False else -1
            known.sort(key=lambda place: sign * models[place].estimates[column.name].value)
            pairs = all_pairs([models[place].estimates[column.name] for place in known])
            for place, letter in zip(known, letters(pairs.apart), strict=True):
                found[place][column.name] = letter
    return found


def _finite(row: Row, column: str) -> bool:
    return column in row.estimates and bool(np.isfinite(row.estimates[column].value))


def _spread_draws(known: Estimate) -> NDArray[np.float64]:
    """Draws as far from the value as its interval says, so that ranks are as unsure as intervals."""
    factor = small_sample_factor([known.spread])
    return known.value + (factor if np.isfinite(factor) else 1.0) * (known.draws.astype(np.float64) - known.value)


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


def _baselines(folder: Path, methods: Sequence[str], record: Record, ground: BootstrapContext) -> dict[str, list[Row]]:
    """The rows of the baselines by saliency method; those that need none stand in every table."""
    path = folder / "baselines.parquet"
    rows: dict[str, list[Row]] = {method: [] for method in methods}
    if not path.is_file():
        return rows
    bounds = column_bounds(columns_of(record))
    for method, name, statistics in baseline_statistics(path, record, ground.images, methods):
        columns = {column: [ratios] for column, ratios in statistics.items()}
        found = estimates(columns, ground.draws, row=name, bounds=bounds)
        rows[method].append(Row(name=name, regime="", title="", adversarial=False, seeds=(), estimates=found))
    return rows
