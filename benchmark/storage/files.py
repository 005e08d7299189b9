"""Atomic files and directories: they appear complete or not at all."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.errors import UserError
from benchmark.storage.results import results_dir
from benchmark.storage.runs import runs_dir

MIN_AGE_S = 24 * 60 * 60
"""Age of a temporary file in seconds from which it is removed. A younger one may belong to a live process."""
TMP_PREFIX = ".loupe-"
"""Prefix of temporary files. Nothing without it is ever removed."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path that is renamed to `path` if the block succeeds, and is removed otherwise.

    Raises:
        UserError: The directory is not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{TMP_PREFIX}{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be written ({error.strerror}); free it or choose another directory"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yields a temporary directory that is renamed to `path` if the block succeeds, and is removed otherwise.

    Another process may create `path` in the meantime. Its directory stays, since equal keys mean equal content.

    Raises:
        UserError: The directory is not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{TMP_PREFIX}{path.name}."))
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be written ({error.strerror}); free it or choose another directory"
        ) from None
    try:
        yield temporary
        temporary.chmod(0o755)
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers() -> None:
    """Removes the temporary files and directories of killed runs that are at least a day old."""
    cutoff = time.time() - MIN_AGE_S
    pattern = f"{TMP_PREFIX}*"
    leftovers = [
        *runs_dir().glob(f"*/{pattern}"),
        *runs_dir().glob(f"data/*/{pattern}"),
        *results_dir().glob(f"*/*/**/{pattern}"),
    ]
    for path in leftovers:
        with suppress(FileNotFoundError):  # its owner may finish at the same time
            if path.stat().st_mtime < cutoff:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
