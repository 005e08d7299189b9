"""The cache under runs/: every file has digests, and is verified when it is used.

A file's digests are in a hidden file next to it, those of a directory in a hidden file inside. They name the path below
runs/, so that files which were exchanged do not match. Digests are of blocks, so that a large file can be checked in
parts. What does not match is removed with one line that names it, and made again.

Files of earlier versions have no digests. They are accepted and get them.
"""

import hashlib
import json
import logging
import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from benchmark.errors import UserError
from benchmark.storage.files import atomic_directory, atomic_file, write_text
from benchmark.storage.runs import runs_dir

SUMS = ".sums.json"
"""The file of digests in a directory. That of a file has the file's name in front."""
BLOCK_SIZE = 2**26
MAX_FULL_CHECK_SIZE = 2**30
"""Size in bytes up to which a file or directory is verified as a whole. Of a larger one, random blocks of this size in
total are verified at each use, and all of them if the size or the time of a file changed."""
NUM_THREADS = 4

T = TypeVar("T")
_log = logging.getLogger("loupe")
_verified: dict[Path, list[Any]] = {}


def load_or_make(path: Path, make: Callable[[Path], object], load: Callable[[Path], T]) -> T:
    """Loads a cached file. Makes it first if it is missing or damaged.

    Args:
        path: The file.
        make: Writes it to a temporary path.
        load: Reads it. It raises any error but MemoryError if the content is damaged.
    """
    if is_intact(path):
        try:
            return load(path)
        except MemoryError:  # the file is intact
            raise
        except Exception as error:  # noqa: BLE001 - damaged content may raise anything
            discard(path, _first_line(error))
    with cached_file(path) as temporary:
        make(temporary)
    return load(path)


@contextmanager
def cached_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path that becomes a cached file with digests if the block succeeds."""
    with suppress(FileNotFoundError):
        sums_file(path).unlink()
    with atomic_file(path) as temporary:
        yield temporary
    _write_sums(path, path)
    _verified[path] = _fingerprint(path)


@contextmanager
def cached_directory(path: Path) -> Iterator[Path]:
    """Yields a temporary directory that becomes a cached one with digests if the block succeeds."""
    with atomic_directory(path) as temporary:
        yield temporary
        _write_sums(path, temporary)


def is_intact(path: Path, accept: Callable[[Path], bool] = lambda _: True) -> bool:
    """Whether a cached file or directory exists and matches its digests. A damaged one is removed.

    Args:
        path: The file or directory.
        accept: Whether one without digests, of an earlier version, is used.
    """
    if not path.exists():
        if path.is_symlink():
            discard(path, "a link to nothing")
        return False
    if reason := find_damage(path, accept):
        discard(path, reason)
    return not reason


def find_damage(path: Path, accept: Callable[[Path], bool] = lambda _: True) -> str:
    """Returns why a cached file or directory is not usable. Empty if it is. Writes the digests that are missing."""
    if irregular := [file for file in _list_files(path) if not file.is_file()]:
        return f"{irregular[0].name} is no regular file"
    try:
        if _verified.get(path) == _fingerprint(path):
            return ""
        reason = _compare(path) if sums_file(path).exists() else _adopt(path, accept)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = _first_line(error)
    if not reason:
        _verified[path] = _fingerprint(path)
    return reason


def discard(path: Path, reason: str) -> None:
    """Removes a damaged file or directory and its digests, and prints a line. A link is removed, not followed.

    Raises:
        UserError: It cannot be removed.
    """
    _log.warning("%s is damaged (%s); it is made again", path, reason)
    _verified.pop(path, None)
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
            return
        with suppress(FileNotFoundError):
            sums_file(path).unlink()
        with suppress(FileNotFoundError):
            path.unlink()
    except OSError as error:
        raise UserError(f"{path} is damaged and cannot be removed ({error.strerror}); remove it") from None


def sums_file(path: Path) -> Path:
    """Returns the path of the digests of a cached file or directory."""
    return path / SUMS if path.is_dir() else path.with_name(f".{path.name}{SUMS}")


def _list_files(path: Path) -> list[Path]:
    """Lists the files of a cached directory without its digests, or the file itself."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if not file.is_dir() and file != path / SUMS)


def _write_sums(path: Path, content: Path) -> None:
    """Writes the digests of what is, or will be, at a path."""
    files = {str(file.relative_to(content)): _describe(file) for file in _list_files(content)}
    target = content / SUMS if content.is_dir() else sums_file(path)
    write_text(target, json.dumps({"path": _relative(path), "files": files}))


def _describe(file: Path) -> dict[str, Any]:
    stats = file.stat()
    blocks = _hash_blocks([(file, index) for index in range(_count_blocks(stats.st_size))])
    return {"size": stats.st_size, "mtime": stats.st_mtime_ns, "sha256": blocks}


def _compare(path: Path) -> str:
    """Compares a file or directory with its digests. Returns a difference, or nothing."""
    sums = json.loads(sums_file(path).read_text(encoding="utf-8"))
    if sums["path"] != _relative(path):
        return f"it is that of {sums['path']}"
    root = path if path.is_dir() else path.parent
    files = {str(file.relative_to(path)): file for file in _list_files(path)}
    if missing := sums["files"].keys() ^ files.keys():
        return f"{min(missing)} is missing or not of it"
    blocks: list[tuple[Path, int]] = []
    unchanged = True
    for name, described in sums["files"].items():
        stats = files[name].stat()
        if stats.st_size != described["size"] or len(described["sha256"]) != _count_blocks(stats.st_size):
            return f"{files[name].relative_to(root)} has another size than it was written with"
        unchanged = unchanged and stats.st_mtime_ns == described["mtime"]
        blocks += [(files[name], index) for index in range(len(described["sha256"]))]
    max_blocks = MAX_FULL_CHECK_SIZE // BLOCK_SIZE
    if unchanged and len(blocks) > max_blocks + len(files):
        blocks = random.SystemRandom().sample(blocks, max_blocks)
    for (file, index), digest in zip(blocks, _hash_blocks(blocks), strict=True):
        if sums["files"][str(file.relative_to(path))]["sha256"][index] != digest:
            return f"{file.relative_to(root)} has other bytes than it was written with"
    return ""


def _adopt(path: Path, accept: Callable[[Path], bool]) -> str:
    """Writes the digests of a file or directory of an earlier version. What a link leads to is left as it is."""
    if not accept(path):
        return "its files do not match one another"
    if path.resolve().is_relative_to(runs_dir().resolve()):
        _write_sums(path, path)
    return ""


def _hash_blocks(blocks: list[tuple[Path, int]]) -> list[str]:
    if len(blocks) < 2:
        return [_hash_block(*block) for block in blocks]
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        return list(threads.map(lambda block: _hash_block(*block), blocks))


def _hash_block(file: Path, index: int) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        stream.seek(index * BLOCK_SIZE)
        for _ in range(BLOCK_SIZE // 2**20):
            digest.update(stream.read(2**20))
    return digest.hexdigest()


def _count_blocks(size: int) -> int:
    return max(1, -(-size // BLOCK_SIZE))


def _relative(path: Path) -> str:
    return str(path.relative_to(runs_dir())) if path.is_relative_to(runs_dir()) else path.name


def _fingerprint(path: Path) -> list[Any]:
    """Returns what changes when a file of a cached file or directory, or its digests, are written or exchanged."""
    files = [file for file in [*_list_files(path), sums_file(path)] if file.exists()]
    stats = [file.stat() for file in files]
    return [
        (file, each.st_size, each.st_mtime_ns, each.st_ctime_ns, each.st_ino)
        for file, each in zip(files, stats, strict=True)
    ]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
