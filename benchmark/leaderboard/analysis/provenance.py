"""What was done: initial weights, earlier stages, split, look-alike images, and the command that repeats it."""

import shlex
from collections.abc import Sequence
from contextlib import suppress

from benchmark.config.options import changed_options
from benchmark.config.presets import load_preset
from benchmark.errors import UserError
from benchmark.storage.record import ExternalMaps, Record

MAX_NAMED_MODELS = 5
"""Maximum number of models that a note names."""
SPLITS = {
    "official": "The split is the data set's own.",
    "not the official one": "The split is NOT the official one of the data set. Published numbers do not compare.",
    "given": "The split was given in a file.",
    "drawn": "The data set has no split of its own. It was drawn by group, stratified by class.",
}
"""Explains each origin of a split."""


def describe_origin(record: Record) -> str:
    """Says what a model started from and what it was trained on before, whatever the preset says."""
    if record.external_maps is not None:
        return f"maps made elsewhere, from {record.external_maps.source}"
    if record.submission and (checkpoint := record.submission.checkpoint):
        return f"trained elsewhere on {checkpoint['trained_on']}, from {checkpoint['source']}"
    stages = record.provenance.stages if record.provenance else ()
    earlier = [f"{stage.regime} training on {stage.train} images of {stage.dataset}" for stage in stages]
    if not record.provenance and (start := record.settings["training"].get("start")):
        earlier = [f"{start['regime']} training on {start['train']} images of {start['data']}"]
    return ", then ".join([_describe_weights(record), *earlier])


def _describe_weights(record: Record) -> str:
    settings = record.settings
    known = record.provenance.weights if record.provenance else ""
    # Records of older versions have the key of the first stage's model in place of its initial weights.
    weights = known or settings["preset" if "start" in settings["training"] else "training"]["weights"]
    if weights == "random":
        return "random weights"
    if weights == "pretrained":
        return "published weights with a new classifier"
    training = record.training
    loaded = f" ({training.loaded} tensors)" if training.loaded else ""
    random = f", random {', '.join(training.random)}" if training.random else ""
    return f"weights of {str(weights).rpartition('/')[2] if not known else weights}{loaded}{random}"


def describe_duplicates(record: Record) -> str:
    """Says how many test images look like training images; empty for maps made elsewhere."""
    if record.external_maps is not None:
        return ""
    count = record.provenance.near_duplicates if record.provenance else None
    if count is None:
        return "Nobody looked for test images that look like training images."
    if not count:
        return "No test image looks like a training image."
    look = "looks" if count == 1 else "look"
    return f"{count} of {record.images['test']} test images {look} like training images. Scores may be too high."


def describe_split(record: Record) -> str:
    """Says where the split comes from; empty for records of older versions."""
    return SPLITS.get(record.provenance.split, "") if record.provenance else ""


def provenance_notes(records: Sequence[Record]) -> list[str]:
    """Returns sentences on what was done for the models of a table: where they start, the split, and look-alikes."""
    models: dict[str, list[str]] = {}
    for record in records:
        label = f"{record.architecture}/{record.training_name}"
        labels = models.setdefault(describe_origin(record), [])
        if label not in labels:
            labels.append(label)
    notes = [f"{_name_models(labels)}: {origin}." for origin, labels in models.items()]
    for describe in (describe_split, describe_duplicates):
        texts = dict.fromkeys(text for record in records if (text := describe(record)))
        notes += texts if len(texts) == 1 else [f"{text} (some models)" for text in texts]
    return notes


def _name_models(labels: Sequence[str]) -> str:
    if len(labels) > MAX_NAMED_MODELS:
        return f"{len(labels)} models"
    return ", ".join(labels)


def _name_network(maps: ExternalMaps) -> list[str]:
    """Returns the options that name the network behind maps from elsewhere."""
    if maps.normalization:
        return ["--onnx", maps.network, "--normalization", maps.normalization, "--answers", maps.answers]
    return ["--architecture", maps.network, "--checkpoint", "FILE"]


def repeat_command(records: Sequence[Record]) -> str:
    """Returns the command that repeats the trainings of a model, with every option that differs from the preset.

    Args:
        records: Records of the model, one per seed.
    """
    first = records[0]
    parts = ["python", "-m", "benchmark"]
    if (maps := first.external_maps) is not None:
        parts += ["score", maps.source, "--data", "DIRECTORY", "--preset", first.preset]
        parts += _name_network(maps) if maps.network else []
        return shlex.join([*parts, "--name", first.architecture, "--method", maps.method])
    if first.submission is not None:
        parts += ["submit", f"entries/{first.submission.entry}", "--preset", first.preset]
    else:
        parts += ["run", "--preset", first.preset, "--architecture", first.architecture]
    parts += ["--regime", first.regime]
    parts += [part for record in records for part in ("--seed", str(record.seed))]
    parts += ["--name", first.variant] if first.variant else []
    with suppress(UserError):  # a preset of another version: its settings have no options here
        parts += changed_options(load_preset(first.settings["preset"]))
    return shlex.join([*parts, *(first.provenance.options if first.provenance else ())])
