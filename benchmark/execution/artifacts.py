"""The artifacts of a cell or a baseline, for transfer from one runs directory to another."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.storage.cache import cached_file
from benchmark.storage.files import atomic_directory
from benchmark.storage.runs import runs_dir

Content = bytes | dict[str, bytes]
"""The content of a file, or of the files of a directory by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactBundle:
    """The artifacts of a finished cell or baseline.

    Attributes:
        seconds: Elapsed time.
        content: Files and directories by path, relative to the runs directory.
    """

    seconds: float
    content: dict[str, Content]


def collect_artifacts(paths: Iterable[Path], seconds: float) -> ArtifactBundle:
    """Reads artifacts, files and directories, from the runs directory."""
    root = runs_dir()
    return ArtifactBundle(seconds=seconds, content={str(path.relative_to(root)): _read(path) for path in paths})


def restore_artifacts(bundle: ArtifactBundle) -> None:
    """Writes artifacts under the same keys, each atomically. Existing ones are not replaced.

    The directory of the cell comes last, since it marks the cell as complete.
    """
    for name, content in sorted(bundle.content.items(), key=lambda item: item[0].startswith("cells/")):
        path = runs_dir() / name
        if path.exists():
            continue
        if isinstance(content, bytes):
            with cached_file(path) as temporary:
                temporary.write_bytes(content)
        else:
            with atomic_directory(path) as directory:
                for file, data in content.items():
                    (directory / file).write_bytes(data)


def _read(path: Path) -> Content:
    return path.read_bytes() if path.is_file() else {file.name: file.read_bytes() for file in sorted(path.iterdir())}
