"""Every path under runs/: trained models, maps and caches, all of which can be made again."""

import os
from collections.abc import Iterator
from pathlib import Path

from benchmark.storage.paths import ROOT


def runs_dir() -> Path:
    """The directory of all that a run caches. The variable LOUPE_RUNS moves it."""
    return Path(os.environ.get("LOUPE_RUNS", ROOT / "runs"))


def model_dir(model_key: str) -> Path:
    """Weights and history of a trained model."""
    return runs_dir() / "models" / model_key


def model_histories() -> Iterator[Path]:
    """The history of each trained model."""
    return runs_dir().glob("models/*/training.json")


def training_state_file(model_key: str) -> Path:
    """State of a training that is not finished."""
    return runs_dir() / "training" / f"{model_key}.pt"


def training_log_dir(cell: str, model_key: str) -> Path:
    """Curves of a training, for other programs."""
    return runs_dir() / "logs" / f"{cell.replace('/', '-')}-{model_key}"


def sent_weights_file(sha256: str) -> Path:
    """Initial weights that another machine sent."""
    return runs_dir() / "weights" / f"{sha256}.safetensors"


def maps_dir() -> Path:
    """The maps of all models."""
    return runs_dir() / "maps"


def maps_file(key: str) -> Path:
    """The maps of one model by one method."""
    return maps_dir() / f"{key}.npy"


def predictions_file(key: str) -> Path:
    """The predictions of one model, as the images are and under attack."""
    return runs_dir() / "predictions" / f"{key}.parquet"


def baseline_file(key: str) -> Path:
    """The scores of one part of the baselines."""
    return runs_dir() / "baselines" / f"{key}.parquet"


def cell_dir(key: str) -> Path:
    """What a finished cell leaves: its record, scores and predictions."""
    return runs_dir() / "cells" / key


def cells_dir() -> Path:
    """All finished cells."""
    return runs_dir() / "cells"


def cell_records() -> Iterator[Path]:
    """The record of each finished cell."""
    return runs_dir().glob("cells/*/record.json")


def failures_dir() -> Path:
    """The tracebacks of all cells that failed."""
    return runs_dir() / "failed"


def failure_file(key: str) -> Path:
    """The traceback of a cell that failed."""
    return failures_dir() / f"{key}.txt"


def decoded_dir(key: str) -> Path:
    """Decoded images and reference masks of a data set."""
    return runs_dir() / "data" / key


def synthetic_dir(key: str) -> Path:
    """The embedded synthetic data set, rendered."""
    return runs_dir() / "data" / f"dermsynth-{key}" / "dermsynth"


def split_file(key: str) -> Path:
    """The split of a data set, drawn once."""
    return runs_dir() / "splits" / f"{key}.csv"


def digest_file(key: str) -> Path:
    """SHA-256 of the files of a data set."""
    return runs_dir() / "digests" / f"{key}.json"


def quarantine_file(key: str) -> Path:
    """The files of a data set that are left out."""
    return runs_dir() / "quarantine" / f"{key}.json"


def geometry_file(key: str) -> Path:
    """Where the cells of a network's grid lie on the image."""
    return runs_dir() / "geometry" / f"{key}.json"
