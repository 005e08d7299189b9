"""Exports the maps of a model as files that other programs read, and that `score` reads back."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.load import Source
from benchmark.errors import UserError
from benchmark.escaping import frame_csv
from benchmark.experiments.cached_maps import load_cached_maps
from benchmark.experiments.cell_reliance import list_test_names
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.storage.files import atomic_file, write_text
from benchmark.storage.record import Record
from benchmark.storage.results import find_split_file, sidecar_file
from benchmark.storage.runs import maps_dir

OPACITY = 0.6
"""Opacity of the map in an overlay."""
PREDICTIONS = "predictions.csv"

Pixels = NDArray[np.uint8]


def _save_npy(values: NDArray[np.float16], _image: Pixels, path: Path) -> None:
    np.save(path, values.astype(np.float32))


def _save_png(values: NDArray[np.float16], _image: Pixels, path: Path) -> None:
    Image.fromarray(np.rint(values.astype(np.float64) * 255).astype(np.uint8)).save(path)


def _save_overlay(values: NDArray[np.float16], image: Pixels, path: Path) -> None:
    Image.fromarray(overlay(image, values)).save(path)


FORMATS: dict[str, tuple[str, Callable[[NDArray[np.float16], Pixels, Path], None]]] = {
    "npy": (".npy", _save_npy),
    "png": (".png", _save_png),
    "overlay": (".png", _save_overlay),
}
"""Suffix and writer by format. npy: float32, exact. png: gray, rounded to 8 bits. overlay: a picture for people."""


def overlay(image: Pixels, values: NDArray[np.floating]) -> Pixels:
    """Draws a map (H, W) in [0, 1] over an image (H, W, 3), uint8, which becomes gray."""
    gray = image.mean(axis=2, keepdims=True)
    colors = mpl.colormaps["inferno"](np.nan_to_num(values.astype(np.float64)))[..., :3] * 255
    return np.rint((1 - OPACITY) * gray + OPACITY * colors).astype(np.uint8)


def export_maps(  # noqa: PLR0917 - what to export, and where
    published: ResultsDirectory, record_path: Path, method: str, source: Source, form: str, directory: Path
) -> int:
    """Writes one file per test image, named after the image, and a table of the predictions.

    Args:
        published: Results directory with the record.
        record_path: Path of the record of the model.
        method: The saliency method.
        source: The data set.
        form: One of :data:`FORMATS`.
        directory: Where to write.

    Returns:
        The number of maps.

    Raises:
        UserError: The maps are not in the runs, or belong to other data.
    """
    record = published.records[record_path]
    cached = load_cached_maps(record, method, source, find_split_file(published.directory, published.protocol))
    if cached is None:
        name = f"{record.architecture}/{record.training_name}"
        raise UserError(
            f"{maps_dir()} has no maps of {name} by {method} for this --data and this code; run or submit it again "
            "with them, or set LOUPE_RUNS to the directory of its run"
        )
    data, maps = cached
    suffix, save = FORMATS[form]
    names = list_test_names(data)
    for name, row, values in zip(names, data.test, maps, strict=True):
        with atomic_file(directory / f"{name}{suffix}") as temporary:
            save(values, np.asarray(data.images[row]), temporary)
    write_text(directory / PREDICTIONS, frame_csv(_predictions(record, record_path)))
    return len(names)


def _predictions(record: Record, record_path: Path) -> pd.DataFrame:
    """Builds the table that `score --predictions` reads: image, predicted, and a probability per class."""
    frame = pd.read_parquet(sidecar_file(record_path, "predictions.parquet"))
    columns = {name: frame[f"p{index}"] for index, name in enumerate(record.classes) if f"p{index}" in frame}
    predicted = [record.classes[index] for index in frame["predicted"]]
    return pd.DataFrame({"image": frame["image"], "predicted": predicted} | columns)
