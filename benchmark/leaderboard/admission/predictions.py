"""Checks of the predictions of a record against the test images of its table."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from benchmark.leaderboard.admission.bounds import ROW_INDEX, read_bounded
from benchmark.phrases import format_count
from benchmark.reliance import PREFIX
from benchmark.scoring.classification import MAP_OVERLAP_PREFIX, MASK_DICE, ROBUST_PREFIX, VANISHED_PREFIX
from benchmark.storage.house import TableFacts
from benchmark.storage.record import Record

SUM_TOLERANCE = 1e-3
"""Of the sum of probabilities in float32, generously."""
NUMBER_TOLERANCE = 1e-6
UNKNOWN = -1
"""The predicted class of maps from elsewhere whose model nobody knows."""
FRACTIONS = (ROBUST_PREFIX, VANISHED_PREFIX, MAP_OVERLAP_PREFIX)
"""Prefixes of columns with values in [0, 1], or [-1, 1] for the overlap of maps."""


def read_predictions_frame(path: Path, record: Record, facts: TableFacts | None) -> pd.DataFrame:
    """Reads the predictions of a record, at most as many rows as there are test images.

    Raises:
        ValueError: The file is damaged, or has more rows.
    """
    count = len(facts.images) if facts else record.images["test"]
    table = read_bounded(path, ["image", "group"], max_rows=max(count, record.images["test"]))
    for name in ("label", "predicted"):
        if name not in table.column_names:
            raise ValueError(f"its predictions lack the column {name}")
        if not pa.types.is_integer(table[name].type):
            raise ValueError(f"its predictions have no whole numbers in {name}")
    for name in ("image", "group"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.string()))
    texts = [name for name in table.column_names if name not in {"image", "group"} and not _has_numbers(table[name])]
    if texts:
        raise ValueError(f"its predictions have no numbers in {texts[0]!a}")
    # Metadata of pandas need no reading: no column is an index, and names and types are checked.
    table = table.drop_columns([name for name in table.column_names if name.startswith(ROW_INDEX)])
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame


def _has_numbers(column: pa.ChunkedArray) -> bool:
    if pa.types.is_boolean(column.type):
        return not column.null_count
    return pa.types.is_integer(column.type) or pa.types.is_floating(column.type)


def check_predictions(record: Record, frame: pd.DataFrame, facts: TableFacts | None) -> Iterator[str]:
    """Yields a line for each contradiction within the predictions, and with the test images."""
    if len(frame) != record.images["test"] or len(set(frame["image"])) < len(frame):
        yield f"has predictions for {format_count(len(frame), 'image')}, not one for each of {record.images['test']}"
    if facts is not None:
        yield from _check_images(frame, facts)
    labels = frame["label"].to_numpy()
    if not ((labels >= 0) & (labels < len(record.classes))).all():
        yield "has labels that no class has"
        return
    yield from _check_classes(record, frame)
    yield from _check_attacks(frame)


def _check_images(frame: pd.DataFrame, facts: TableFacts) -> Iterator[str]:
    if tuple(frame["image"]) == facts.images:
        yield from _compare_truth(frame, np.array(facts.labels), np.array(facts.groups, dtype=object))
        return
    truth = pd.DataFrame({"label": facts.labels, "group": facts.groups}, index=pd.Index(facts.images))
    if set(frame["image"]) != set(facts.images):
        yield "has other test images than the data of this table"
        return
    truth = truth.loc[frame["image"]]
    yield from _compare_truth(frame, truth["label"].to_numpy(), truth["group"].to_numpy(dtype=object))


def _compare_truth(frame: pd.DataFrame, labels: NDArray[np.generic], groups: NDArray[np.object_]) -> Iterator[str]:
    if (labels != frame["label"].to_numpy()).any():
        yield "has other labels than the data of this table"
    if (groups != frame["group"].to_numpy(dtype=object)).any():
        yield "has other groups than the data of this table"


def _check_classes(record: Record, frame: pd.DataFrame) -> Iterator[str]:
    """The predicted class is the most probable one, and probabilities are a distribution."""
    maps, num_classes = record.external_maps, len(record.classes)
    if maps is not None and maps.predictions != "probabilities":
        lowest = 0 if maps.predictions == "classes" else UNKNOWN
        if not frame["predicted"].between(lowest, num_classes - 1).all():
            yield "predicts classes that the data does not have"
        return
    names = [f"p{index}" for index in range(num_classes)]
    if missing := [name for name in names if name not in frame]:
        yield f"its predictions lack the column {missing[0]}"
        return
    probabilities = np.column_stack([frame[name].to_numpy(dtype=np.float64) for name in names])
    valid = np.isfinite(probabilities).all() and (probabilities >= 0).all()
    if not (valid and np.allclose(probabilities.sum(axis=1), 1, atol=SUM_TOLERANCE)):
        yield "has probabilities that are negative, not finite, or do not add up to 1"
    elif (probabilities.argmax(axis=1) != frame["predicted"].to_numpy()).any():
        yield "predicts other classes than its probabilities say"


def _check_attacks(frame: pd.DataFrame) -> Iterator[str]:
    """A wrong answer withstands no attack."""
    wrong = (frame["label"] != frame["predicted"]).to_numpy()
    for name in frame.columns:
        if not name.startswith(FRACTIONS):
            continue
        values = frame[name].to_numpy(dtype=np.float64)
        low = -1.0 if name.startswith(MAP_OVERLAP_PREFIX) else 0.0
        finite = values[~np.isnan(values)]
        if ((finite < low - NUMBER_TOLERANCE) | (finite > 1 + NUMBER_TOLERANCE)).any():
            yield f"{name} is out of bounds [{low:g}, 1]"
        elif name.startswith(ROBUST_PREFIX) and (~np.isin(finite, (0, 1)).all() or (values[wrong] == 1).any()):
            yield f"{name} says that a wrong answer withstood the attack, or a part of one"


def compare_predictions(frame: pd.DataFrame, reference: pd.DataFrame) -> Iterator[str]:
    """Yields a line for each column that the runs of a table lack, or that is defined on other images there."""
    ours, theirs = _measured(reference), _measured(frame)
    if different := sorted(ours ^ theirs):
        yield f"the runs of this table {'have' if different[0] in ours else 'lack'} the column {different[0]!a}"
        return
    by_name = reference.set_index("image").loc[frame["image"]]
    for name in sorted(name for name in ours if name.startswith((ROBUST_PREFIX, MAP_OVERLAP_PREFIX))):
        if (_missing(frame, name) != _missing(by_name, name)).any():
            yield f"{name} is of other images than in the runs of this table"


def _measured(frame: pd.DataFrame) -> set[str]:
    """Returns the columns that every model of a table has."""
    return {name for name in frame.columns if name != MASK_DICE and not name.startswith(PREFIX)}


def _missing(frame: pd.DataFrame, name: str) -> NDArray[np.bool_]:
    return np.isnan(frame[name].to_numpy(dtype=np.float64))
