"""Finds models in all results directories, those of other protocols too."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.leaderboard.load.predictions import read_predictions
from benchmark.leaderboard.load.results import ResultsDirectory, read_results
from benchmark.leaderboard.load.rows import Model, model_name
from benchmark.registry import resolve_name
from benchmark.storage.results import sidecar_file


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundModel:
    """A model of a results directory.

    Attributes:
        published: The records of its directory and protocol.
        model: Its key there.
        short: Name such as `xception/standard`.
        long: Name with data set, preset and protocol: `dermsynth/quick:xception/standard@1a2b3c4d`.
    """

    published: ResultsDirectory
    model: Model
    short: str
    long: str

    @property
    def paths(self) -> list[Path]:
        """The paths of its records."""
        return self.published.models[self.model]

    @property
    def long_model(self) -> Model:
        """The model of the long name."""
        architecture, _, regime = self.long.rpartition("/")
        return architecture, regime


def find_models(directories: Iterable[Path]) -> list[FoundModel]:
    """Lists the models of results directories. Directories without a usable record are skipped."""
    return [found for published in read_usable(directories) for found in list_rows(published)]


def list_rows(published: ResultsDirectory) -> list[FoundModel]:
    """Lists the models of a results directory, those of its tables before those of other protocols."""
    rows = []
    for part in split_by_protocol(published):
        for model in part.models:
            short, table = model_name(model), part.directory
            long = f"{table.parent.name}/{table.name}:{short}@{part.protocol[:8]}"
            rows.append(FoundModel(published=part, model=model, short=short, long=long))
    return rows


def read_usable(directories: Iterable[Path]) -> Iterator[ResultsDirectory]:
    """Reads results directories. Those without a usable record are skipped."""
    for directory in directories:
        with suppress(UserError):
            yield read_results(directory)


def split_by_protocol(published: ResultsDirectory) -> list[ResultsDirectory]:
    """Splits a results directory into parts of one protocol, that of its tables first."""
    protocols = dict.fromkeys([published.protocol, *sorted({r.protocol for r in published.others.values()})])
    every = {**published.records, **published.others}
    return [
        replace(
            published,
            protocol=protocol,
            records={path: record for path, record in every.items() if record.protocol == protocol},
            others={},
        )
        for protocol in protocols
    ]


def join_pair(names: Sequence[str], models: Sequence[FoundModel]) -> tuple[ResultsDirectory, tuple[str, str]]:
    """Joins two models of different tables into one results directory.

    Args:
        names: Short or long names of the two.
        models: From :func:`find_models`.

    Returns:
        The records of the two models, and their long names in it.

    Raises:
        UserError: A name is unknown or ambiguous, or the models were tested on different images.
    """
    one, other = (_find(name, models) for name in names)
    if _list_test_images(one) != _list_test_images(other):
        raise UserError(f"{one.long} and {other.long} have different test images; compare models of one split")
    paths = {path: found for found in (one, other) for path in found.paths}
    joined = replace(
        one.published,
        records={path: found.published.records[path] for path, found in paths.items()},
        others={},
        problems=tuple(dict.fromkeys((*one.published.problems, *other.published.problems))),
        names={path: found.long_model for path, found in paths.items()},
    )
    return joined, (one.long, other.long)


def describe_differences(joined: ResultsDirectory, names: Sequence[str]) -> list[str]:
    """Lists the settings in which two models differ, such as `epochs: 1 and 2`."""
    paths = {model_name(model): paths for model, paths in joined.models.items()}
    one, other = (_flatten(joined.records[paths[name][0]].settings) for name in names)
    differing = sorted(field for field in one.keys() | other.keys() if one.get(field) != other.get(field))
    return [f"{field}: {one.get(field)} and {other.get(field)}" for field in differing]


def _flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Merges the settings of preset and training. Those of the training are what the preset led to."""
    parts = (settings.get(name) for name in ("preset", "training"))
    return {name: value for part in parts if isinstance(part, dict) for name, value in part.items()}


def _find(name: str, models: Sequence[FoundModel]) -> FoundModel:
    """Finds a model by its short or long name.

    Raises:
        UserError: No model or several models have the name.
    """
    matching = [found for found in models if name in {found.short, found.long}]
    if not matching:
        resolve_name(name, {found.short for found in models} | {found.long for found in models}, "model")
    if len(matching) > 1:
        raise UserError(f"{name} is the name of {len(matching)} rows; name one: {', '.join(m.long for m in matching)}")
    return matching[0]


def _list_test_images(found: FoundModel) -> list[tuple[str, int]]:
    """Lists the test images of a model with their labels, sorted.

    Raises:
        UserError: Its predictions are damaged.
    """
    path = found.paths[0]
    try:
        frame = read_predictions(sidecar_file(path, "predictions.parquet"))
    except ValueError as error:
        raise UserError(f"{found.long}: {error}; run it again") from None
    return sorted(zip(frame["image"].astype(str), frame["label"].astype(int), strict=True))
