"""SHA-256 of files, read once and remembered while the files do not change."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from benchmark.errors import UserError
from benchmark.runtime.parallel import parallel_map
from benchmark.storage.files import write_text
from benchmark.storage.hashing import content_key, file_digest
from benchmark.storage.runs import digest_file

Print = tuple[int, int, int, int]
"""What tells that a file is as it was: size, times of change (nanoseconds) and inode, as git and make do."""


def digests(root: Path, files: Iterable[Path]) -> dict[Path, str]:
    """SHA-256 of each file, from an index where size and times are as they were, else from its bytes.

    Args:
        root: The data set, which has an index of its own.
        files: The files; repeats are read once.

    Raises:
        UserError: A file cannot be read.
    """
    index = digest_file(content_key(str(root)))
    known = _load(index)
    try:
        prints = {path: _print(path) for path in dict.fromkeys(files)}
        fresh = [path for path, now in prints.items() if known.get(str(path), ((), ""))[0] != now]
        found = dict(zip(fresh, parallel_map(file_digest, fresh), strict=True))
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}); restore it or remove it") from None
    if found:
        known |= {str(path): (prints[path], digest) for path, digest in found.items()}
        write_text(index, json.dumps({path: [*stats, digest] for path, (stats, digest) in known.items()}))
    return {path: known[str(path)][1] for path in prints}


def _print(path: Path) -> Print:
    told = path.stat()
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino


def _load(index: Path) -> dict[str, tuple[Print, str]]:
    """What the index knows; nothing where it is absent or damaged, since it can be made again."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        told = json.loads(index.read_text(encoding="utf-8"))
        return {
            path: ((size, changed, touched, node), sha) for path, (size, changed, touched, node, sha) in told.items()
        }
    return {}
