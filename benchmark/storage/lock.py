"""One writer at a time in a results directory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.errors import UserError
from benchmark.storage.files import require_writable

LOCK_FILE = ".lock"
NOTICE_AFTER_S = 2.0
MAX_WAIT_S = 24 * 60 * 60.0


@contextmanager
def writing(directory: Path, notify: Callable[[str], object] | None = None) -> Iterator[None]:
    """Holds the lock of a results directory, so that its records, marker and tables agree. Reentrant.

    The system releases the lock of a process that ends, even of a killed one.

    Args:
        directory: The results directory. It is created.
        notify: Called once with a line if another process holds the lock.

    Raises:
        UserError: The directory is not writable, or another process holds the lock for a day.
    """
    lock = _open_lock(directory)
    try:
        lock.acquire(timeout=NOTICE_AFTER_S)
    except Timeout:
        if notify:
            notify(f"waiting for another process that writes to {directory}")
        try:
            lock.acquire(timeout=MAX_WAIT_S)
        except Timeout:
            raise UserError(f"{directory} is locked by another process; end it and run again") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing_if_free(directory: Path) -> Iterator[bool]:
    """Holds the lock of a results directory unless another process holds it. Never waits.

    Yields:
        Whether the lock is held.

    Raises:
        UserError: The directory is not writable.
    """
    lock = _open_lock(directory)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        is_held = False
    else:
        is_held = True
    try:
        yield is_held
    finally:
        if is_held:
            lock.release()


def _open_lock(directory: Path) -> FileLock:
    require_writable(directory, "LOUPE_RESULTS")
    directory.mkdir(parents=True, exist_ok=True)
    return FileLock(directory / LOCK_FILE, is_singleton=True)
