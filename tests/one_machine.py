"""What a machine has once, and tests of several processes must take in turn."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Waits until no other test of this user, in whatever checkout, uses what is named."""
    with FileLock(Path(tempfile.gettempdir()) / f"loupe-tests-{what}-{os.getuid()}.lock"):
        yield
