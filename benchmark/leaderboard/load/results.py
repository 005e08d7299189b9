"""What lies in a results directory: its records, and the test images that all rows stand on."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.errors import UserError
from benchmark.leaderboard.load.cells import beside, cell_statistics
from benchmark.leaderboard.load.predictions import PREDICTED, read_predictions
from benchmark.leaderboard.load.scores import METHOD, NAMES, VALUE, ScoreReader
from benchmark.scoring.classification import positive_class
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import Resampling, resampling
from benchmark.storage.protocol import read_protocol
from benchmark.storage.record import Record, load_record
from benchmark.storage.results import PROTOCOL_FILE, record_files
from benchmark.storage.upgrade import SCHEMA


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultsDirectory:
    """What lies in a results directory.

    Attributes:
        directory: The directory.
        protocol: Of the latest run; only records of it stand in one table.
        records: By path of the record, sorted.
        problems: One line for each record that cannot be used.
        others: Records of other protocols, likewise.
    """

    directory: Path
    protocol: str
    records: dict[Path, Record]
    problems: tuple[str, ...]
    others: dict[Path, Record] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapContext:
    """What all rows of a results directory stand on.

    Attributes:
        images: Names of the test images.
        draws: Of the bootstrap.
        positive: Of two classes the one that counts as positive; empty where there are more.
    """

    images: list[str]
    draws: Resampling
    positive: str


def read_results(directory: Path) -> ResultsDirectory:
    """The records of a results directory that belong together.

    Raises:
        UserError: There are none.
    """
    if not (directory / PROTOCOL_FILE).is_file():
        raise UserError(f"{directory} holds no results; make some with `python -m benchmark run`")
    if "protocol" not in (marker := read_protocol(directory)):
        raise UserError(f"{directory / PROTOCOL_FILE} is damaged; run `python -m benchmark run` again")
    protocol = marker["protocol"]
    records: dict[Path, Record] = {}
    others: dict[Path, Record] = {}
    problems: list[str] = []
    for path in record_files(directory):
        try:
            record = _usable(path)
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
            continue
        (records if record.protocol == protocol else others)[path] = record
    if not records:
        raise UserError(f"{directory} holds no record that can be used; run `python -m benchmark run` again")
    return ResultsDirectory(
        directory=directory, protocol=protocol, records=records, problems=tuple(problems), others=others
    )


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
    raise UserError(f"{published.directory} holds no record that can be used; run `python -m benchmark run` again")


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
