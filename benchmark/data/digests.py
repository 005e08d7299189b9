"""SHA-256 of files, cached while the files do not change."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from benchmark.errors import UserError
from benchmark.runtime.parallel import parallel_map
from benchmark.storage.cache import discard
from benchmark.storage.files import write_text
from benchmark.storage.hashing import content_key, file_digest
from benchmark.storage.runs import digest_file

Fingerprint = tuple[int, int, int, int]
"""Size, times of modification and status change (nanoseconds) and inode. Git and make detect changes the same way."""


def digests(root: Path, files: Iterable[Path]) -> dict[Path, str]:
    """Returns the SHA-256 of each file, from the cache if its fingerprint is unchanged, else from its bytes.

    Args:
        root: The data set. Each one has its own cache file.
        files: The files. Repeated files are read once.

    Raises:
        UserError: A file cannot be read.
    """
    cache_file = digest_file(content_key(str(root)))
    cached = _load(cache_file)
    try:
        fingerprints = {path: _fingerprint(path) for path in dict.fromkeys(files)}
        stale = [path for path, current in fingerprints.items() if cached.get(str(path), ((), ""))[0] != current]
        computed = dict(zip(stale, parallel_map(file_digest, stale), strict=True))
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}); restore it or remove it") from None
    if computed:
        cached |= {str(path): (fingerprints[path], digest) for path, digest in computed.items()}
        entries = {name: [*stats, digest] for name, (stats, digest) in cached.items()}
        write_text(cache_file, json.dumps({"seal": content_key(cache_file.name, entries), "files": entries}))
    return {path: cached[str(path)][1] for path in fingerprints}


def _fingerprint(path: Path) -> Fingerprint:
    stats = path.stat()
    return stats.st_size, stats.st_mtime_ns, stats.st_ctime_ns, stats.st_ino


def _load(cache_file: Path) -> dict[str, tuple[Fingerprint, str]]:
    """Loads the cache. A missing or damaged one counts as empty, since it can be rebuilt.

    The seal is inside, since the file changes. Files of earlier versions have none, and are read again.
    """
    if not cache_file.is_file():
        return {}
    with suppress(OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        content = json.loads(cache_file.read_text(encoding="utf-8"))
        if content["seal"] == content_key(cache_file.name, content["files"]):
            return {
                path: ((size, modified, changed, inode), sha)
                for path, (size, modified, changed, inode, sha) in content["files"].items()
            }
    discard(cache_file, "it does not match its seal")
    return {}
