"""Opening what comes from outside: regular files of a bounded size, and names that can be printed."""

import os
import stat
import unicodedata
from io import BufferedReader
from pathlib import Path

from datasets import BadFileError

MAX_BYTES = 1_000_000_000
"""Larger files are rejected, unless a reader sets another limit."""


def open_regular(path: Path, max_bytes: int = MAX_BYTES) -> BufferedReader:
    """Opens a regular file for reading. Links are followed. A FIFO or a device is refused without waiting for it.

    Raises:
        BadFileError: The path is not a regular file, or the file is too large.
        OSError: The file is missing or cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise not_regular(path)
    if status.st_size > max_bytes:
        os.close(handle)
        raise BadFileError(path, f"has more than {max_bytes:,} bytes", "make it smaller or remove it")
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Reads a regular file. Raises as :func:`open_regular`."""
    with open_regular(path, max_bytes) as file:
        return file.read()


def require_regular(path: Path) -> None:
    """Checks a path that a library opens by itself. Raises as :func:`open_regular`."""
    open_regular(path, max_bytes=1 << 62).close()


def not_regular(path: Path) -> BadFileError:
    """Returns the error for a FIFO, a device, a socket or a directory."""
    return BadFileError(path, "is not a regular file", "replace it with a file or remove it")


def find_name_fault(name: str) -> str | None:
    r"""Returns what makes a name unusable in tables, figures and terminals. None if nothing does.

    Example:
        >>> find_name_fault("a 1"), find_name_fault("a\n1")
        (None, 'has a control character, line separator or invisible character in its name')
    """
    if name.isascii() and name.isprintable() and name == name.strip():
        return None
    if any(unicodedata.category(character) == "Cs" for character in name):
        return "has a name that is not UTF-8"
    if any(unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} for character in name):
        return "has a control character, line separator or invisible character in its name"
    if name != name.strip():
        return "has a blank at the start or end of its name"
    return None
