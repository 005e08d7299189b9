"""What is kept, where, and under which key: content-keyed and atomic."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmark.errors import UserError

DAY = 24 * 60 * 60
UNFINISHED = ".loupe-"
"""What the names of half-written files begin with: nothing else is ever removed."""
ROOT = Path(__file__).resolve().parent.parent


def runs_folder() -> Path:
    """Checkpoints, maps and caches; the variable LOUPE_RUNS moves it."""
    return Path(os.environ.get("LOUPE_RUNS", ROOT / "runs"))


def results_folder() -> Path:
    """Records and tables; the variable LOUPE_RESULTS moves it."""
    return Path(os.environ.get("LOUPE_RESULTS", ROOT / "results"))


def content_key(*parts: Any) -> str:
    """Sixteen hexadecimal digits that stand for the content of JSON-like values.

    Example:
        >>> content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
        True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and nothing when it does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{UNFINISHED}{path.name}.", suffix=path.suffix)
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
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends well.

    Another process may have made `path` meanwhile: its folder stays, since equal keys mean equal content.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{UNFINISHED}{path.name}."))
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
    ours = f"{UNFINISHED}*"
    places = [
        *runs_folder().glob(f"*/{ours}"),
        *runs_folder().glob(f"data/*/{ours}"),
        *results_folder().glob(f"*/*/**/{ours}"),
    ]
    for path in places:
        with suppress(FileNotFoundError):  # its owner may finish just now
            if path.stat().st_mtime < yesterday:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
