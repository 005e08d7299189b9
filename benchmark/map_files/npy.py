"""NumPy's `.npy`: one array."""

from math import prod
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from benchmark.map_files import MAX_VALUES, UNNAMED, Arrays, MapReader
from datasets import BadFileError

READ_AGAIN = "save it again with numpy.save"
PARSING = Lock()
"""Held while a header is parsed.

NumPy parses it with :mod:`ast`. In Python 3.11, threads share its count of the depth, and one of two parsers at once
may end in a SystemError.
"""


def open_npy(path: Path) -> Arrays:
    """Maps the array of a file into memory. Its values are read when they are used.

    Raises:
        ValueError: The file is damaged, or holds Python objects, which are never unpickled.
    """
    try:
        # Unlike numpy.load, this accepts nothing else under the name of such a file, such as an archive.
        with PARSING:
            return {UNNAMED: npy_format.open_memmap(path, mode="r")}
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError, MemoryError) as error:
        raise unreadable(path, error) from None


def read_stream(stream: IO[bytes], size: int) -> NDArray[Any]:
    """Reads an array from a stream, once its header declares no more than the stream holds.

    Args:
        stream: The stream, at the start of the header.
        size: Number of bytes in the stream.

    Raises:
        ValueError: The header is invalid, declares objects, or declares more values than there are or may be.
    """
    version = npy_format.read_magic(stream)
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    with PARSING:
        shape, is_fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    num_bytes = prod(shape) * dtype.itemsize
    if num_bytes > size or prod(shape[-2:]) > MAX_VALUES:
        raise ValueError(f"its header declares the shape {shape}, which is too large")
    content = stream.read(num_bytes)
    array = np.frombuffer(content, dtype=dtype, count=prod(shape))
    return array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)


def unreadable(path: Path, error: BaseException, remedy: str = READ_AGAIN) -> BadFileError:
    """Builds the error of a file that cannot be read."""
    reason = str(error).split("\n", maxsplit=1)[0][:120]
    reason = "it holds Python objects" if "object" in reason.lower() or "pickle" in reason.lower() else reason
    return BadFileError(path, f"cannot be read as maps ({reason or type(error).__name__})", remedy)


NPY = MapReader(
    name="npy",
    suffixes=frozenset({".npy"}),
    open=open_npy,
    holds="one map (H, W), or with --index one array (N, H, W) of all maps",
)
