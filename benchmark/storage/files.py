"""Atomic files and directories: they appear complete or not at all."""

import errno
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
_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Libraries report a full disk as an error of their own, without its number.
_FULL_DISK_TEXTS = (
    "no space left",
    "disk quota",
    "file too large",
    "requested and",
    "failed writing file",
    "iostream",
    "unexpected pos",
)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path that is renamed to `path` if the block succeeds, and is removed otherwise.

    Raises:
        UserError: The directory is not writable, a link leads out of it, or the disk is full.
    """
    with _naming_full_disk(path.parent):
        _make_parent(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{TMP_PREFIX}{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        with _naming_full_disk(path.parent, anything=False):
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
        UserError: The directory is not writable, a link leads out of it, or the disk is full.
    """
    with _naming_full_disk(path.parent):
        _make_parent(path)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{TMP_PREFIX}{path.name}."))
    try:
        with _naming_full_disk(path.parent, anything=False):
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
    """Removes the temporary files and directories of killed runs that are at least a day old.

    Links are neither followed nor removed: what they lead to is not ours.
    """
    cutoff = time.time() - MIN_AGE_S
    for root, depth in ((runs_dir(), 3), (results_dir(), 5)):
        for path in _find_leftovers(root, depth):
            with suppress(OSError):  # its owner may finish at the same time
                if path.lstat().st_mtime < cutoff:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _find_leftovers(directory: Path, depth: int) -> Iterator[Path]:
    """Yields the temporary files and directories in a directory, down to a depth."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name) if depth else []
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.name.startswith(TMP_PREFIX):
            yield Path(entry.path)
        elif entry.is_dir():
            yield from _find_leftovers(Path(entry.path), depth - 1)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def nearest_directory(path: Path) -> Path:
    """Returns a directory, or the nearest existing path above it."""
    return next((parent for parent in (path, *path.absolute().parents) if parent.exists()), path)


def require_writable(directory: Path, variable: str) -> None:
    """Checks that files can be written to a directory, which may not exist yet. Creates nothing.

    Args:
        directory: The directory.
        variable: The environment variable that selects it.

    Raises:
        UserError: It is not writable.
    """
    try:
        tempfile.TemporaryFile(dir=nearest_directory(directory)).close()
    except OSError as error:
        raise UserError(
            f"{directory} cannot be written ({error.strerror}); free it or choose another directory with {variable}"
        ) from None


def _make_parent(path: Path) -> None:
    """Creates the directory of a file. Refuses to follow a link out of runs/ or results/.

    Raises:
        UserError: A link leads out of the directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for root in (runs_dir(), results_dir()):
        if path.is_relative_to(root) and not path.parent.resolve().is_relative_to(root.resolve()):
            raise UserError(f"{path.parent} is a link out of {root}; replace it by a directory")


@contextmanager
def _naming_full_disk(directory: Path, *, anything: bool = True) -> Iterator[None]:
    """Turns an error of a full disk, or any other error of the system, into one that names directory and remedy.

    Raises:
        UserError: Nothing can be written.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        is_full = number in _FULL_DISK or any(text in str(error).lower() for text in _FULL_DISK_TEXTS)
        is_read_only = number == errno.EROFS
        if not is_full and not is_read_only and not (anything and isinstance(error, OSError)):
            raise
        reason = "the disk is full" if is_full else os.strerror(number or 0)
        raise UserError(
            f"{directory} cannot be written ({reason}); free it or choose another directory{_variable(directory)}"
        ) from None


def _variable(directory: Path) -> str:
    """Names the environment variable that selects a directory."""
    for root, name in ((runs_dir(), "LOUPE_RUNS"), (results_dir(), "LOUPE_RESULTS")):
        if directory.is_relative_to(root):
            return f" with {name}"
    return ""


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
