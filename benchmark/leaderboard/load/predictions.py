"""The data of a row: its scores and predictions, which are read from its files once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from benchmark.leaderboard.load.score_layout import Scores
from benchmark.reliance import PREFIX
from benchmark.scoring.classification import MAP_OVERLAP_PREFIX, ROBUST_PREFIX, VANISHED_PREFIX
from benchmark.storage.parquet import open_parquet

PREDICTION_COLUMNS = ("image", "group", "label", "predicted")


@dataclass(frozen=True, kw_only=True, slots=True)
class RowData:
    """The data of one model or baseline.

    Attributes:
        images: Names of the test images, in the order of the bootstrap's weights.
        classes: Names of the classes.
        scores: Scores of the maps of one method.
        method: Name of that method.
        predictions: Rows of :func:`benchmark.scoring.predictions.predict_and_attack` in the order of the images;
            None for a baseline.
    """

    images: Sequence[str]
    classes: tuple[str, ...]
    scores: Scores = field(default_factory=dict)
    method: str = ""
    predictions: pd.DataFrame | None


def read_predictions(path: Path, images: Sequence[str] | None = None) -> pd.DataFrame:
    """Reads the columns of a cell's predictions that the table needs, in the order of the images.

    Args:
        path: A predictions.parquet.
        images: Names of the test images. By default the rows are returned in the order of the file, with their names
            and groups.

    Raises:
        ValueError: The file is damaged, or has other images.
    """
    requested = [*PREDICTION_COLUMNS] if images is None else [name for name in PREDICTION_COLUMNS if name != "group"]
    try:
        with open_parquet(path) as file:
            names = file.schema_arrow.names
            # The first schema of records had one attack, without a name.
            prefixes = ROBUST_PREFIX, VANISHED_PREFIX, MAP_OVERLAP_PREFIX, PREFIX
            attacked = [name for name in names if name.startswith(prefixes) or name == "withstood"]
            absent = [name for name in PREDICTION_COLUMNS if name not in names]
            table = None if absent else file.read(requested + attacked, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} is damaged ({str(error).splitlines()[0][:80]})") from None
    if table is None:
        raise ValueError(f"{path.name} lacks the column {absent[0]}")
    if table.num_columns > len({*requested, *attacked}):
        raise ValueError(f"{path.name} has a column twice")
    image = table["image"]
    if not len(image) or len(pc.unique(image)) != len(image):
        raise ValueError("names of images that are missing or duplicated")
    if images is None:
        return table.to_pandas()
    indices = pc.index_in(image.cast(pa.string()), value_set=pa.array(images, pa.string()))
    if len(image) != len(images) or indices.null_count:
        raise ValueError("other test images than those of the other records")
    order = np.argsort(indices.to_numpy(), kind="stable")
    frame = pd.DataFrame({name: table[name].to_numpy() for name in table.column_names if name != "image"})
    return frame if (np.diff(order) == 1).all() else frame.iloc[order].reset_index(drop=True)


def read_classes(path: Path) -> pd.DataFrame:
    """Reads the columns label and predicted of the predictions of an admitted record, in the order of the file."""
    names = ["label", "predicted"]
    with open_parquet(path) as file:
        table = file.read(names, use_threads=False)
    return pd.DataFrame({name: table[name].to_numpy() for name in names})
