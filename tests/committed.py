"""The committed tables that tests read, and the files of their records."""

import json
from pathlib import Path
from typing import Any

from benchmark.storage.paths import ROOT
from benchmark.storage.results import sidecar_file

QUICK = ROOT / "results" / "dermsynth" / "quick"
"""The table of eleven networks on rendered images, standard and adversarial, seed 0."""


def committed_record(model: str, *, directory: Path = QUICK) -> Path:
    """The record of the only training of a model, such as `xception/standard`.

    Its name ends with the start of its protocol, which a new training changes.
    """
    (path,) = (directory / "records").glob(f"{model.replace('/', '-')}-0-*.json")
    return path


def committed_sidecar(model: str, suffix: str, *, directory: Path = QUICK) -> Path:
    """Another file of that record, such as the one that ends with `scores.parquet`."""
    return sidecar_file(committed_record(model, directory=directory), suffix)


def unnamed_content(model: str) -> dict[str, Any]:
    """What that record says, but for its seal, its provenance and the identity that its file's name ends with.

    Tests change it and write it under names of their own.
    """
    content: dict[str, Any] = json.loads(committed_record(model).read_text(encoding="utf-8"))
    return {name: value for name, value in content.items() if name not in {"seal", "provenance", "identity"}}
