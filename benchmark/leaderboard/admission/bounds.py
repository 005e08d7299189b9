"""Bounds of files, checked before anything of them is read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.storage.parquet import open_parquet

MAX_FILE_BYTES = 200 * 1024**2
MAX_TEXT_BYTES = 1024**2
"""Maximum size of a CSV file next to a record."""
MAX_ROWS = 50_000_000
MAX_ROWS_PER_IMAGE = 100_000
"""Maximum number of scores of an image: methods, times metrics, times raters and characteristics."""
MAX_UNCOMPRESSED_BYTES = 4 * 1024**3
"""Maximum size of all columns as Parquet stores them, before compression."""
MAX_COLUMNS = 4096
MAX_CACHED_SCHEMA = 2**16
"""Maximum size of a serialized schema whose check is cached."""
ROW_INDEX = "__index_level_"
"""How pandas names the index of the rows of a frame that lacks some. Nothing reads it."""
MAX_CHARACTERS = 1000
"""Maximum length of a name. A dictionary stores a long one once, and a reader unfolds it in each row."""


def require_regular(path: Path, max_bytes: int = MAX_FILE_BYTES) -> None:
    """Requires a regular file of limited size that no link leads out of its directory for.

    Raises:
        ValueError: It is a pipe, a device, a directory, missing, too large, or a link to somewhere else.
    """
    if path.is_symlink() and path.resolve().parent != path.parent.resolve():
        raise ValueError(f"{path.name} is a link out of its directory; replace it by the file")
    if not path.is_file():
        raise ValueError(f"{path.name} is missing or no regular file")
    if path.stat().st_size > max_bytes:
        raise ValueError(f"{path.name} is larger than {max_bytes // 1024**2} MB")


def read_bounded(path: Path, names: list[str], max_rows: int = MAX_ROWS) -> pa.Table:
    """Reads a Parquet file whose rows and uncompressed bytes are bounded. Text becomes integer codes.

    Args:
        path: The file.
        names: Columns of text.
        max_rows: Maximum number of rows.

    Raises:
        ValueError: A bound is exceeded, a column of text is missing, or the file is damaged.
    """
    with open_bounded(path, names, max_rows) as file:
        table = file.read(use_threads=False)
    return with_short_names(path, table, names)


def require_bounded(path: Path) -> None:
    """Requires a Parquet file whose rows and uncompressed bytes are bounded, without reading it.

    Raises:
        ValueError: A bound is exceeded, or the file is damaged.
    """
    with open_bounded(path, ()):
        pass


@contextmanager
def open_bounded(path: Path, names: Sequence[str], max_rows: int = MAX_ROWS) -> Iterator[pq.ParquetFile]:
    """Opens a Parquet file whose rows and uncompressed bytes are bounded. What fails in it is named as its damage.

    Args:
        path: The file.
        names: Columns of text, which are read as integer codes.
        max_rows: Maximum number of rows.

    Raises:
        ValueError: A bound is exceeded, a column of text is missing, or the file is damaged.
    """
    require_regular(path)
    try:
        with open_parquet(path, names) as file:
            _require_bounds(path, file, max_rows)
            _require_columns(path, file.schema_arrow)
            yield file
    except KeyError as error:  # of a column that is read as a dictionary
        with open_parquet(path) as file:
            _require_bounds(path, file, max_rows)
        raise ValueError(f"its {_kind(path)} lack the column {_decoded(error.args[0])}") from None
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise ValueError(f"its {_kind(path)} are damaged ({str(error).splitlines()[0][:80]})") from None


def _require_bounds(path: Path, file: pq.ParquetFile, max_rows: int) -> None:
    metadata = file.metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    # Each number decodes to at most eight bytes, however well it is compressed.
    decoded = 8 * metadata.num_rows * metadata.num_columns
    if metadata.num_rows > max_rows:
        raise ValueError(f"{path.name} has {metadata.num_rows} rows, more than {max_rows}")
    if max(size, decoded) > MAX_UNCOMPRESSED_BYTES or metadata.num_columns > MAX_COLUMNS:
        raise ValueError(f"{path.name} unfolds to more than {MAX_UNCOMPRESSED_BYTES // 1024**3} GB")


def _require_columns(path: Path, schema: pa.Schema) -> None:
    """Requires that pandas finds each column: metadata in the file can hide one, or make reading fail."""
    content = schema.serialize().to_pybytes()
    find = _find_column_problem if len(content) <= MAX_CACHED_SCHEMA else _find_column_problem.__wrapped__
    if problem := find(content):
        raise ValueError(f"its {_kind(path)} have {problem}")


@lru_cache(maxsize=64)
def _find_column_problem(content: bytes) -> str:
    """Says what pandas makes wrong of the columns of a serialized schema. Records of one protocol share it."""
    schema = pa.ipc.read_schema(pa.py_buffer(content))
    try:
        columns = list(schema.empty_table().to_pandas().columns)
    except Exception as error:  # noqa: BLE001 - pandas trusts these metadata, and they may be anything
        return f"columns that pandas cannot read ({type(error).__name__})"
    if columns != [name for name in schema.names if not name.startswith(ROW_INDEX)]:
        return "metadata that make a column an index; write them without an index"
    return ""


def with_short_names(path: Path, table: pa.Table, names: list[str]) -> pa.Table:
    """Returns the table with dictionaries of unique, short names without empty cells."""
    for name in names:
        column = table[name]
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        column = column.unify_dictionaries().combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) and column.num_chunks else column
        if isinstance(column, pa.ChunkedArray):  # no rows
            column = pa.array([], pa.string()).dictionary_encode()
        if column.null_count:
            raise ValueError(f"its {_kind(path)} have empty cells in the column {name}")
        texts = column.dictionary.to_pylist()
        if any(not isinstance(text, str) or len(text) > MAX_CHARACTERS for text in texts):
            raise ValueError(f"its {_kind(path)} have names of more than {MAX_CHARACTERS} characters in {name}")
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def _decoded(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _kind(path: Path) -> str:
    """Returns what a file has, such as "scores"."""
    return path.name.split(".")[-2]
