"""Where things are stored: the only module that knows the directories of runs/ and results/."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


def runs_folder() -> Path:
    """Checkpoints, maps and caches; the variable LOUPE_RUNS moves it."""
    return Path(os.environ.get("LOUPE_RUNS", ROOT / "runs"))


def results_folder() -> Path:
    """Records and tables; the variable LOUPE_RESULTS moves it."""
    return Path(os.environ.get("LOUPE_RESULTS", ROOT / "results"))
