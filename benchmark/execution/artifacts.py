"""What a cell or a baseline leaves behind, on its way from one runs directory to another."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.storage.files import atomic_directory, atomic_file
from benchmark.storage.runs import runs_dir

Content = bytes | dict[str, bytes]
"""Of a file, or of the files of a directory by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactBundle:
    """What was left behind.

    Attributes:
        seconds: How long it took.
        content: Files and directories by their path under the runs directory.
    """

    seconds: float
    content: dict[str, Content]


def collect_artifacts(paths: Iterable[Path], seconds: float) -> ArtifactBundle:
    """Reads what was left behind here, files and directories."""
    root = runs_dir()
    return ArtifactBundle(seconds=seconds, content={str(path.relative_to(root)): _read(path) for path in paths})


def restore_artifacts(parcel: ArtifactBundle) -> None:
    """Writes the files under the same keys here; each appears whole or not at all, and what is there stays.

    The directory of the cell comes last, since it says that the rest is there.
    """
    for name, content in sorted(parcel.content.items(), key=lambda item: item[0].startswith("cells/")):
        path = runs_dir() / name
        if path.exists():
            continue
        if isinstance(content, bytes):
            with atomic_file(path) as temporary:
                temporary.write_bytes(content)
        else:
            with atomic_directory(path) as directory:
                for file, inside in content.items():
                    (directory / file).write_bytes(inside)


def _read(path: Path) -> Content:
    return path.read_bytes() if path.is_file() else {file.name: file.read_bytes() for file in sorted(path.iterdir())}
