"""Files and directories that appear whole or not at all."""

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

DAY = 24 * 60 * 60
TMP_PREFIX = ".loupe-"
"""What the names of half-written files begin with: nothing else is ever removed."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and nothing when it does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{TMP_PREFIX}{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be written ({error.strerror}); free it or choose another place"
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
    """A temporary directory that becomes `path` when the block ends well.

    Another process may have made `path` meanwhile: its directory stays, since equal keys mean equal content.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{TMP_PREFIX}{path.name}."))
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be written ({error.strerror}); free it or choose another place"
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
    """Removes what killed runs left half written a day ago or earlier; a younger one may have a living owner."""
    yesterday = time.time() - DAY
    ours = f"{TMP_PREFIX}*"
    places = [
        *runs_dir().glob(f"*/{ours}"),
        *runs_dir().glob(f"data/*/{ours}"),
        *results_dir().glob(f"*/*/**/{ours}"),
    ]
    for path in places:
        with suppress(FileNotFoundError):  # its owner may finish just now
            if path.stat().st_mtime < yesterday:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
