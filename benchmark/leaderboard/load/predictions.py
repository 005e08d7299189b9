"""What is known of a row, read from its files once and kept as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmark.leaderboard.load.scores import Scores
from benchmark.scoring.classification import MAP_OVERLAP_PREFIX, ROBUST_PREFIX

PREDICTED = ("image", "group", "label", "predicted")


@dataclass(frozen=True, kw_only=True, slots=True)
class RowData:
    """What is known of one model or baseline.

    Attributes:
        images: Names of the test images, in the order of the bootstrap's weights.
        classes: Names of the classes.
        scores: Of the maps of one method.
        predictions: Rows of :func:`benchmark.scoring.predictions.predict_and_attack` in the order of the images;
            None for a baseline.
    """

    images: Sequence[str]
    classes: tuple[str, ...]
    scores: Scores = field(default_factory=dict)
    predictions: pd.DataFrame | None


def read_predictions(path: Path, images: Sequence[str] | None = None) -> pd.DataFrame:
    """What the table takes from the predictions of a cell, in the order of the images.

    Args:
        path: A predictions.parquet.
        images: Names of the test images; without them the rows stay as they are, with their names and groups.

    Raises:
        ValueError: The file is damaged, or is of other images.
    """
    wanted = [*PREDICTED] if images is None else [name for name in PREDICTED if name != "group"]
    try:
        names = pq.read_schema(path).names
        # The first schema of records had one attack, without a name.
        attacked = [
            name for name in names if name.startswith((ROBUST_PREFIX, MAP_OVERLAP_PREFIX)) or name == "withstood"
        ]
        absent = [name for name in PREDICTED if name not in names]
        table = None if absent else pq.read_table(path, columns=wanted + attacked, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} is damaged ({str(error).splitlines()[0][:80]})") from None
    if table is None:
        raise ValueError(f"{path.name} lacks the column {absent[0]}")
    named = table["image"]
    if not len(named) or len(pc.unique(named)) != len(named):
        raise ValueError("names of images that are missing or stand twice")
    if images is None:
        return table.to_pandas()
    places = pc.index_in(named.cast(pa.string()), value_set=pa.array(images, pa.string()))
    if len(named) != len(images) or places.null_count:
        raise ValueError("other test images than those of the other records")
    order = np.argsort(places.to_numpy(), kind="stable")
    frame = table.drop_columns("image").to_pandas()
    return frame if (np.diff(order) == 1).all() else frame.iloc[order].reset_index(drop=True)
