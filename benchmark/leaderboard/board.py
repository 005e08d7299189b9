"""The leaderboard of one data set and preset: every row with its estimates."""

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.diagnosis.measures import positive_class
from benchmark.errors import UserError
from benchmark.leaderboard.columns import COLUMNS, Evidence
from benchmark.leaderboard.statistics import Estimate, estimate, image_weights, rank_intervals
from benchmark.record import Record, load_record

MARKER = "protocol.json"
RANKED_BY = "fuzzy_f1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A model (over its seeds) or a yardstick.

    Attributes:
        name: Name of the architecture or the yardstick.
        regime: Name of the regime; empty for a yardstick.
        title: How people are told of the regime; its name unless that would claim too much.
        adversarial: Whether the regime trains on attacked images.
        seeds: The training seeds.
        estimates: By name of the column; a row lacks what it cannot have.
        rank: Interval of its rank among the models, by F1; None for a yardstick.
    """

    name: str
    regime: str
    title: str
    adversarial: bool
    seeds: tuple[int, ...]
    estimates: dict[str, Estimate]
    rank: tuple[int, int] | None = None

    @property
    def is_model(self) -> bool:
        """Whether a model made it."""
        return bool(self.regime)


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """A table before it is written.

    Attributes:
        record: Any of its records, for what they share.
        method: The saliency method.
        rows: Models, best F1 first, then yardsticks.
        problems: One line for each record that is left out.
        positive: Of two classes the one that counts as positive; empty where there are more.
    """

    record: Record
    method: str
    positive: str
    rows: tuple[Row, ...]
    problems: tuple[str, ...]

    @property
    def models(self) -> tuple[Row, ...]:
        """The rows that models made."""
        return tuple(row for row in self.rows if row.is_model)


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What lies in a results folder.

    Attributes:
        folder: The folder.
        protocol: Of the latest run; only records of it stand in one table.
        records: By path of the record, sorted.
        problems: One line for each record that cannot be used.
    """

    folder: Path
    protocol: str
    records: dict[Path, Record]
    problems: tuple[str, ...]


def read_published(folder: Path) -> Published:
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
    records, problems = {}, []
    for path in sorted((folder / "records").glob("[!.]*.json")):
        try:
            record = load_record(path)
        except ValueError:
            problems.append(f"{path.name}: no record of this schema")
            continue
        if not all(_beside(path, what).is_file() for what in ("scores", "predictions")):
            problems.append(f"{path.name}: its scores or predictions are missing")
        elif record.protocol == protocol:
            records[path] = record
        else:
            problems.append(f"{path.name}: made under another protocol; run it again")
    if not records:
        raise UserError(f"{folder} holds no record that can be used; run `python -m benchmark run` again")
    return Published(folder=folder, protocol=protocol, records=records, problems=tuple(problems))


def board_of(published: Published, method: str) -> Board:
    """All rows for one saliency method."""
    record = next(iter(published.records.values()))
    predictions = {path: pd.read_parquet(_beside(path, "predictions")) for path in published.records}
    first = next(iter(predictions.values()))
    images = list(first["image"])
    weights = image_weights(list(first["group"]))
    members: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path, each in published.records.items():
        members[each.architecture, each.regime].append(path)
    models = []
    for (architecture, regime), paths in members.items():
        evidence = [
            Evidence(
                images=images,
                classes=record.classes,
                scores=_of_method(pd.read_parquet(_beside(path, "scores")), method),
                predictions=predictions[path],
            )
            for path in paths
        ]
        row = Row(
            name=architecture,
            regime=regime,
            title=published.records[paths[0]].regime_title or regime,
            adversarial=published.records[paths[0]].adversarial,
            seeds=tuple(sorted(published.records[path].seed for path in paths)),
            estimates=_estimates(evidence, weights),
        )
        models.append(row)
    rows = (*_ranked(models), *_yardsticks(published.folder, method, images, record, weights))
    positive = record.classes[positive_class(first["label"].to_numpy())] if len(record.classes) == 2 else ""
    return Board(record=record, method=method, positive=positive, rows=rows, problems=published.problems)


def _beside(record: Path, what: str) -> Path:
    return record.with_name(f"{record.stem}.{what}.parquet")


def _of_method(frame: pd.DataFrame, method: str) -> pd.DataFrame:
    return frame[frame["method"].isin([method, ""])]


def _estimates(evidence: list[Evidence], weights: NDArray[np.float64]) -> dict[str, Estimate]:
    found = {}
    for column in COLUMNS:
        ratios = [known for each in evidence if (known := column.of(each)) is not None]
        if ratios:
            found[column.name] = estimate(ratios, weights)
    return found


def _ranked(models: list[Row]) -> list[Row]:
    """Best F1 first, each with the interval of its rank; models without an F1 last."""

    def worth(row: Row) -> float:
        known = row.estimates.get(RANKED_BY)
        return known.value if known and np.isfinite(known.value) else -np.inf

    models = sorted(models, key=lambda row: (-worth(row), row.name, row.regime))
    if not models or not np.isfinite(worth(models[-1])):
        return models
    draws = np.stack([row.estimates[RANKED_BY].draws for row in models])
    ranks = rank_intervals(draws, higher_is_better=True)
    return [replace(row, rank=(int(best), int(worst))) for row, (best, worst) in zip(models, ranks, strict=True)]


def _yardsticks(
    folder: Path, method: str, images: list[str], record: Record, weights: NDArray[np.float64]
) -> list[Row]:
    path = folder / "yardsticks.parquet"
    if not path.is_file():
        return []
    frame = _of_method(pd.read_parquet(path, filters=[("protocol", "==", record.protocol)]), method)
    rows = []
    for name in dict.fromkeys(frame["yardstick"]):
        scores = frame[frame["yardstick"] == name]
        evidence = Evidence(images=images, classes=record.classes, scores=scores, predictions=None)
        estimates = _estimates([evidence], weights)
        rows.append(Row(name=name, regime="", title="", adversarial=False, seeds=(), estimates=estimates))
    return rows
