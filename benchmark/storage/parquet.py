"""Opens and writes Parquet files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

LEVEL = 19
"""Level of zstd. It takes tenths of a second for the scores of a cell. Reading is not slower."""


@contextmanager
def open_parquet(path: Path, names: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """Opens a local Parquet file, in half of the time that PyArrow takes to find the file system of a path.

    Args:
        path: The file.
        names: Columns that are read as integer codes.

    Raises:
        OSError, pa.ArrowException, KeyError: The file is missing or damaged, or lacks one of these columns.
    """
    with pa.OSFile(str(path)) as source, pq.ParquetFile(source, read_dictionary=list(names)) as file:
        yield file


def round_fractions(frame: pd.DataFrame) -> pd.DataFrame:
    """Rounds fractions to the 24 bits of float32, and keeps their types.

    Networks compute with 24 bits. The further 29 of a double are noise, which no compression makes smaller. What
    float32 cannot hold, such as 1e300, stays as it is.
    """
    return frame.assign(**{name: _rounded(frame[name]) for name in _fractions(frame)})


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Writes a table in about a third of pandas' usual size. Fractions are rounded by :func:`round_fractions`.

    The bytes of fractions are grouped by their place in the number, where they are alike. Other columns have a
    dictionary. Nothing reads the statistics of columns. A schema of Arrow in addition to that of pandas is a sixth of a
    small file, and only categories need it.
    """
    fractions = _fractions(frame)
    round_fractions(frame).to_parquet(
        path,
        compression="zstd",
        compression_level=LEVEL,
        use_byte_stream_split=fractions,
        use_dictionary=[name for name in map(str, frame.columns) if name not in fractions],
        write_statistics=False,
        store_schema=any(isinstance(dtype, pd.CategoricalDtype) for dtype in frame.dtypes),
    )


def _fractions(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame.columns if pd.api.types.is_float_dtype(frame[name])]


def _rounded(values: "pd.Series[float]") -> "pd.Series[float]":
    """Rounds to float32 and keeps the type. Infinite values and too large or too small ones are not changed."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = values.astype(np.float32).astype(values.dtype)
    return rounded.where((rounded - values).abs() <= np.finfo(np.float32).eps * values.abs(), values)
