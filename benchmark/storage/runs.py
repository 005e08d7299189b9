"""Every path under runs/: trained models, maps and caches, all of which can be computed again."""

import os
from collections.abc import Iterator
from pathlib import Path

from benchmark.storage.paths import ROOT


def runs_dir() -> Path:
    """The cache directory of all runs. The environment variable LOUPE_RUNS overrides it."""
    return Path(os.environ.get("LOUPE_RUNS") or ROOT / "runs")


def model_dir(model_key: str) -> Path:
    """Weights and history of a trained model."""
    return runs_dir() / "models" / model_key


def model_histories() -> Iterator[Path]:
    """The history of each trained model."""
    return runs_dir().glob("models/*/training.json")


def training_state_file(model_key: str) -> Path:
    """State of an unfinished training."""
    return runs_dir() / "training" / f"{model_key}.pt"


def training_log_dir(cell: str, model_key: str) -> Path:
    """Training curves, for TensorBoard."""
    return runs_dir() / "logs" / f"{cell.replace('/', '-')}-{model_key}"


def sent_weights_file(sha256: str) -> Path:
    """Initial weights received from another machine."""
    return runs_dir() / "weights" / f"{sha256}.safetensors"


def maps_dir() -> Path:
    """The maps of all models."""
    return runs_dir() / "maps"


def maps_file(key: str) -> Path:
    """The maps of one model by one method."""
    return maps_dir() / f"{key}.npy"


def predictions_file(key: str) -> Path:
    """The predictions of one model on clean and attacked images."""
    return runs_dir() / "predictions" / f"{key}.parquet"


def reliance_file(key: str) -> Path:
    """The reliance of one model on the regions of each image."""
    return runs_dir() / "reliance" / f"{key}.parquet"


def variants_file(key: str) -> Path:
    """The changed versions of the test images of a data set, on which reliance is measured."""
    return runs_dir() / "reliance" / f"{key}.zip"


def baseline_file(key: str) -> Path:
    """The scores of one part of the baselines."""
    return runs_dir() / "baselines" / f"{key}.parquet"


def cell_dir(key: str) -> Path:
    """The record, scores and predictions of a finished cell."""
    return runs_dir() / "cells" / key


def cells_dir() -> Path:
    """All finished cells."""
    return runs_dir() / "cells"


def cell_records() -> Iterator[Path]:
    """The record of each finished cell."""
    return runs_dir().glob("cells/*/record.json")


def failures_dir() -> Path:
    """The tracebacks of all failed cells."""
    return runs_dir() / "failed"


def failure_file(key: str) -> Path:
    """The traceback of a failed cell."""
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
    """The excluded files of a data set."""
    return runs_dir() / "quarantine" / f"{key}.json"


def geometry_file(key: str) -> Path:
    """The positions of the cells of a network's grid on the image."""
    return runs_dir() / "geometry" / f"{key}.json"
