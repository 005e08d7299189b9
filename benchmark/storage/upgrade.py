"""Upgrades records of older schemas to the current one.

Keys and protocols do not change: they are hashes of settings and code, not of the names of fields.
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
"""Maps fields of a preset in schemas 1 and 2 to their current names."""
TRAINING_FIELDS = {"batch": "batch_size"}
"""Maps fields of the training settings in schemas 1 and 2 to their current names."""
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
"""Maps metrics in schemas 1 to 3 to their current names. Files of scores retain the old names."""
RECORD_FIELDS = {"diagnosis": "classification", "recomputed": "verification"}
BADGES = {"claimed": "self-reported", "recomputed": "verified"}

Payload = dict[str, Any]


def upgrade_record(record: Payload) -> Payload:
    """Upgrades a record, as parsed JSON, to the current schema. Current and unknown schemas are returned unchanged.

    Raises:
        KeyError, TypeError: The record lacks a field of its schema, or a field has another type.
    """
    while (step := _STEPS.get(record.get("schema_version", SCHEMA))) is not None:
        record = step(record)
    return record


def _from_1(record: Payload) -> Payload:
    """Adds validation to the training. Attacks had one budget."""
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
    """Renames settings."""
    settings = record["settings"]
    renamed = {
        "training": _rename_keys(settings["training"], TRAINING_FIELDS),
        "preset": _rename_keys(settings["preset"], PRESET_FIELDS),
    }
    return record | {"schema_version": 3, "settings": settings | renamed}


def _from_3(record: Payload) -> Payload:
    """Renames metrics, fields and badges. Maps of a grid were stretched."""
    settings = record["settings"]
    files = {name.replace("diagnosis.csv", "classification.csv"): value for name, value in record["files"].items()}
    changes = {
        "schema_version": 4,
        "settings": settings | {"preset": {"alignment": "none"} | settings["preset"]},
        "metrics": _rename_keys(record["metrics"], METRICS),
        "summary": {_summary_name(name): value for name, value in record["summary"].items()},
        "files": files,
    }
    if (submission := record.get("submission")) is not None:
        changes["submission"] = _rename_keys(submission, {"licence": "license"})
    if "badge" in record:
        changes["badge"] = BADGES.get(record["badge"], record["badge"])
    return _rename_keys(record | changes, RECORD_FIELDS)


def upgrade_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Renames metrics in a frame of scores to their current names."""
    return scores.assign(metric=scores["metric"].astype(str).replace(METRICS))


def _summary_name(name: str) -> str:
    """Renames the metric in a name such as `grad-cam: map-f1 (image)`."""
    return re.sub(r"(?<=: )[\w-]+(?= \()", lambda match: METRICS.get(match[0], match[0]), name)


def _rename_keys(settings: Any, names: Mapping[str, str]) -> Payload:
    if not isinstance(settings, dict):
        raise TypeError("settings are not a mapping")
    return {names.get(name, name): value for name, value in settings.items()}


_STEPS: dict[int, Callable[[Payload], Payload]] = {1: _from_1, 2: _from_2, 3: _from_3}
