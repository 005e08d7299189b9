"""Groups records into the rows of a table: one row per model, over its seeds."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from benchmark.storage.record import Record

Model = tuple[str, str]
"""Architecture, and regime with the label of a variant if there is one."""


def group_by_model(records: Mapping[Path, Record]) -> dict[Model, list[Path]]:
    """Groups records by model.

    Two records of one model and seed have different training settings, such as another compilation. They are rows of
    their own, labeled with the settings that differ, since a mean over them would count the seed twice.

    Args:
        records: Records of one protocol.

    Returns:
        Paths by model, in the order of the records.
    """
    models: dict[Model, list[Path]] = defaultdict(list)
    for path, record in records.items():
        models[record.architecture, record.training_name].append(path)
    rows: dict[Model, list[Path]] = {}
    for (architecture, name), paths in models.items():
        seeds = {records[path].seed for path in paths}
        if len(seeds) == len(paths):
            rows[architecture, name] = paths
            continue
        for label, part in _split_by_settings({path: records[path] for path in paths}).items():
            rows[architecture, f"{name}+{label}" if label else name] = part
    return rows


def group_by_name(names: Mapping[Path, Model]) -> dict[Model, list[Path]]:
    """Groups records whose models are given, in the order of the records."""
    models: dict[Model, list[Path]] = defaultdict(list)
    for path, model in names.items():
        models[model].append(path)
    return dict(models)


def model_name(model: Model) -> str:
    """Returns the name of a model on the command line, such as `xception/standard`."""
    return "/".join(model)


def _split_by_settings(records: Mapping[Path, Record]) -> dict[str, list[Path]]:
    """Splits records of one model by the training settings that differ. The label lists them."""
    settings = {path: _flatten(record) for path, record in records.items()}
    names = sorted({name for values in settings.values() for name in values})
    differing = [name for name in names if len({values.get(name) for values in settings.values()}) > 1]
    parts: dict[str, list[Path]] = defaultdict(list)
    for path, values in settings.items():
        label = ",".join(f"{name}={values.get(name, 'none')}" for name in differing)
        number = sum(records[other].seed == records[path].seed for other in parts[label])
        # The same settings and seed twice: another code, or a copied file. No row averages the two.
        parts[f"{label}#{number + 1}" if number else label].append(path)
    return {label: part for label, part in parts.items() if part}


def _flatten(record: Record) -> dict[str, str]:
    training = record.settings.get("training")
    return {name: "none" if value is None else json.dumps(value).strip('"') for name, value in (training or {}).items()}
