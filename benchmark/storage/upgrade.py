"""Records of older schemas in the words of this one.

Keys and protocols stay what they are: they stand for settings and code, not for the names of fields.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

SCHEMA = 4
PRESET_FIELDS = {
    "side": "image_size",
    "images": "limit",
    "batch": "batch_size",
    "folds": "test_folds",
    "validation": "val_folds",
    "merge": "aggregation",
    "perturbed": "num_perturbed",
    "attacked": "num_attacked",
    "map_attacked": "num_map_attacked",
}
"""Fields of a preset in schemas 1 and 2, and what they are called since."""
TRAINING_FIELDS = {"batch": "batch_size"}
"""Likewise of the settings of a training."""
METRICS = {
    "colour-variation": "color-variation",
    "colour-variation-null": "color-variation-null",
    "fuzzy-f1": "map-f1",
    "fuzzy-iou": "map-iou",
    "fuzzy-sensitivity": "map-sensitivity",
    "fuzzy-specificity": "map-specificity",
    "gini": "sparsity",
    "insertion-deletion": "faithfulness",
    "insertion-deletion-mean": "faithfulness-mean",
    "insertion-deletion-minimum": "faithfulness-minimum",
    "parameter-randomisation": "parameter-randomization",
}
"""Metrics in schemas 1 to 3, and what they are called since. Files of scores keep the names they were written with."""
RECORD_FIELDS = {"diagnosis": "classification", "recomputed": "verification"}
BADGES = {"claimed": "self-reported", "recomputed": "verified"}

Payload = dict[str, Any]


def upgrade_record(record: Payload) -> Payload:
    """A record, as JSON tells it, in the words of the newest schema; one that is of it, or of no known one, as it is.

    Raises:
        KeyError, TypeError: The record lacks what its schema has, or has it in another form.
    """
    while (step := _STEPS.get(record.get("schema_version", SCHEMA))) is not None:
        record = step(record)
    return record


def _from_1(record: Payload) -> Payload:
    """Trainings had no validation and attacks one budget."""
    rest = {name: value for name, value in record.items() if name not in {"checkpoint_sha256", "losses"}}
    losses, preset = record["losses"], record["settings"]["preset"]
    training = {
        "sha256": record["checkpoint_sha256"],
        "losses": losses,
        "validation": [],
        "best": len(losses),
        "micro_batch": preset["batch"],
        "stopped": False,
    }
    settings = record["settings"] | {"preset": preset | {"attack_eps": [preset["attack_eps"]]}}
    return rest | {"schema_version": 2, "training": training, "settings": settings, "diagnosis": {}}


def _from_2(record: Payload) -> Payload:
    """Settings had other names."""
    settings = record["settings"]
    renamed = {
        "training": _renamed(settings["training"], TRAINING_FIELDS),
        "preset": _renamed(settings["preset"], PRESET_FIELDS),
    }
    return record | {"schema_version": 3, "settings": settings | renamed}


def _from_3(record: Payload) -> Payload:
    """Metrics, fields and badges had other names, and maps of a grid were stretched."""
    settings = record["settings"]
    files = {name.replace("diagnosis.csv", "classification.csv"): value for name, value in record["files"].items()}
    changes = {
        "schema_version": 4,
        "settings": settings | {"preset": {"alignment": "none"} | settings["preset"]},
        "metrics": _renamed(record["metrics"], METRICS),
        "summary": {_summary_name(name): value for name, value in record["summary"].items()},
        "files": files,
    }
    if (submission := record.get("submission")) is not None:
        changes["submission"] = _renamed(submission, {"licence": "license"})
    if "badge" in record:
        changes["badge"] = BADGES.get(record["badge"], record["badge"])
    return _renamed(record | changes, RECORD_FIELDS)


def upgrade_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores by the names that metrics have now."""
    return scores.assign(metric=scores["metric"].astype(str).replace(METRICS))


def _summary_name(name: str) -> str:
    """As `grad-cam: map-f1 (image)`, from the names of schema 3."""
    return re.sub(r"(?<=: )[\w-]+(?= \()", lambda found: METRICS.get(found[0], found[0]), name)


def _renamed(settings: Any, names: Mapping[str, str]) -> Payload:
    if not isinstance(settings, dict):
        raise TypeError("settings are no table")
    return {names.get(name, name): value for name, value in settings.items()}


_STEPS: dict[int, Callable[[Payload], Payload]] = {1: _from_1, 2: _from_2, 3: _from_3}
