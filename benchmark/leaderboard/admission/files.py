"""Checks of the files next to a record: their digests, and what is in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.leaderboard.admission.bounds import MAX_TEXT_BYTES, require_bounded, require_regular
from benchmark.leaderboard.admission.candidate import Candidate
from benchmark.leaderboard.admission.predictions import check_predictions, read_predictions_frame
from benchmark.leaderboard.admission.scores import ScoreTable, ScoreTableReader, check_scores
from benchmark.storage.hashing import file_digest
from benchmark.storage.house import TableFacts
from benchmark.storage.record import Record
from benchmark.storage.results import find_sidecar_file, sidecar_file

SIDECARS = ("scores.parquet", "predictions.parquet", "curves.parquet", "classification.csv")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordTables:
    """The tables of a record.

    Attributes:
        predictions: One row for each test image.
        scores: Its scores.
    """

    predictions: pd.DataFrame
    scores: ScoreTable


def check_files(candidate: Candidate, facts: TableFacts | None, reader: ScoreTableReader) -> RecordTables | None:
    """Checks the files of a record, and reads them. None if one of them cannot be read.

    Args:
        candidate: The record. Its problems are added to it.
        facts: Test images of its table, if a run named them.
        reader: Reads the scores. That of the records of one protocol is much faster than a new one.
    """
    path, record = candidate.path, candidate.record
    try:
        _require_files(path, record)
        frame = read_predictions_frame(sidecar_file(path, "predictions.parquet"), record, facts)
        candidate.problems += check_predictions(record, frame, facts)
        scores = reader.read(sidecar_file(path, "scores.parquet"), len(frame))
        candidate.problems += check_scores(record, scores, list(frame["image"]))
        candidate.problems += _check_accuracy(record, frame)
    except (ValueError, KeyError, TypeError, OSError, OverflowError, MemoryError) as error:
        candidate.problems.append(str(error).splitlines()[0][:200] if str(error) else type(error).__name__)
        return None
    return RecordTables(predictions=frame, scores=scores)


def _require_files(path: Path, record: Record) -> None:
    """Requires the files of a record, with the SHA-256 that it names, before anything of them is read.

    Raises:
        ValueError: One is missing, irregular or has other bytes.
    """
    for suffix in SIDECARS[:2]:
        if not sidecar_file(path, suffix).exists():
            raise ValueError("its scores or predictions are missing")
    for suffix in SIDECARS:
        file = find_sidecar_file(path, suffix)
        if file.exists() or file.is_symlink():
            require_regular(file, *([MAX_TEXT_BYTES] if suffix.endswith(".csv") else []))
            if suffix == "curves.parquet":
                require_bounded(file)
    if surplus := set(record.files) - set(SIDECARS):
        raise ValueError(f"names the file {min(surplus)!a}, which no run writes")
    if damaged := find_damaged_file(path, record):
        raise ValueError(f"{damaged} is missing or differs from what the record says (another SHA-256); run it again")


def find_damaged_file(path: Path, record: Record) -> str | None:
    """Returns the name of a file next to a record that is missing or does not match the record's digest, if any."""
    for name, digest in record.files.items():
        file = find_sidecar_file(path, Path(name).name)
        if not file.is_file() or file_digest(file) != digest:
            return file.name
    return None


def _check_accuracy(record: Record, frame: pd.DataFrame) -> Iterator[str]:
    maps = record.external_maps
    if maps is not None and maps.predictions == "none":
        return
    accuracy = float((frame["label"].to_numpy() == frame["predicted"].to_numpy()).mean())
    reported = record.summary.get("accuracy")
    if reported is not None and not (isinstance(reported, int | float) and abs(reported - accuracy) < 1e-6):
        yield f"summary says {reported} of accuracy, its files say {accuracy:.6g}"
