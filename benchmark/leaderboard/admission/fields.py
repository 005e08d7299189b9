"""Checks of the fields of a record: names, shapes and texts, without its files."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.config.options import are_source_options
from benchmark.leaderboard.admission.catalog import find_metric, is_known
from benchmark.leaderboard.admission.text import DIGEST, HASH, LABEL, MARKUP, NAME, is_invisible, texts_of
from benchmark.storage.hashing import file_digest
from benchmark.storage.paths import ENTRIES
from benchmark.storage.record import ExternalMaps, Record, Submission
from benchmark.storage.results import record_name

COUNTS = ("available", "train", "validation", "test", "left_out", "perturbed", "attacked")
REASON = "no score: "
"""Prefix of the names in a summary whose values are texts."""
MAX_SEED = 2**63
MAPS_ONLY = "maps only"
REMEDY = "verify it with `check --mark-verified`"
"""Ends the reasons against a record that only nobody verified yet."""
Scalar = str | int | float | bool | None


def check_fields(record: Record, path: Path) -> Iterator[str]:
    """Yields a line for each field that no run writes."""
    yield from _check_file_name(record, path)
    yield from _check_hashes(record)
    yield from _check_texts(record)
    yield from _check_names(record)
    yield from _check_shapes(record)


def check_stranger(record: Record, *, is_verified: bool) -> Iterator[str]:
    """Yields a line for each reason why a record that no run published here cannot enter a table."""
    for name in ("key", "protocol"):
        if not HASH.fullmatch(getattr(record, name)):
            yield f"{name} is no hash of sixteen hexadecimal digits"
    if record.identity and not HASH.fullmatch(record.identity.ljust(16, "0")):
        yield "identity is no hash"
    yield from _check_metrics(record)
    yield from _check_markup(record)
    if record.provenance is not None and not are_source_options(record.provenance.options):
        yield "provenance.options has words that no run writes; readers copy them as a command"
    if not NAME.fullmatch(record.architecture):
        yield f"{record.architecture!a} is no name; use ASCII letters of lower case, digits, and - _ ."
    if missing := {"scores.parquet", "predictions.parquet"} - record.files.keys():
        yield f"names no SHA-256 of its {min(missing)}"
    if record.submission is None and record.external_maps is None and not is_verified:
        yield f"is of {record.architecture}, but no run published it here; {REMEDY}"
    if record.submission is not None:
        yield from _check_submission(record, record.submission)
        if "start" in record.settings.get("training", {}):
            yield "names a first training, which no submission has"


def _check_file_name(record: Record, path: Path) -> Iterator[str]:
    names = [record_name(record.architecture, record.regime, record.seed, record.identity)]
    if path.stem not in names:
        yield f"is the record of {names[0]}, but its file is {path.name}; rename the file"


def _check_hashes(record: Record) -> Iterator[str]:
    if record.external_maps is None and not DIGEST.fullmatch(record.training.sha256):
        yield "training.sha256 is no SHA-256"
    checkpoint = record.submission.checkpoint if record.submission else {}
    if checkpoint and checkpoint.get("sha256") != record.training.sha256:
        yield "the checkpoint that was evaluated is not the one that the entry names"


def _check_texts(record: Record) -> Iterator[str]:
    """Texts end up in tables, on the page and in a terminal."""
    if _is_printable(record):
        return
    content = record.model_dump(mode="json")
    if bad := next(filter(is_invisible, texts_of(content)), None):
        yield f"has the text {ascii(bad)[:80]} with control characters or direction marks"


def _is_printable(record: Record) -> bool:
    """Returns whether all texts of a record are certainly printable: one look at its JSON, as most records pass.

    JSON writes control characters with a backslash, and all others as they are.
    """
    try:
        content = record.model_dump_json()
    except ValueError:  # a text that is no Unicode
        return False
    return content.isprintable() and "\\" not in content


def _check_markup(record: Record) -> Iterator[str]:
    content = record.model_dump(mode="json")
    shown = {
        "submission": content["submission"],
        "external_maps": content["external_maps"],
        "provenance": content["provenance"],
        "environment": content["environment"],
        "training": content["training"]["random"],
        "settings": content["settings"],
        "summary": content["summary"],
        "record": [record.variant, record.regime_title, record.architecture, record.regime],
    }
    for part, values in shown.items():
        if bad := next(filter(MARKUP.search, texts_of(values)), None):
            yield f"{part}: {ascii(bad)[:80]} holds markup; write plain text in one line"


def _check_names(record: Record) -> Iterator[str]:
    """Names must be registered. Maps from elsewhere have names of their own."""
    if record.variant and not LABEL.fullmatch(record.variant):
        yield f"variant {record.variant!a} is no label"
    if record.external_maps is not None:
        yield from _check_external_names(record, record.external_maps)
        return
    if not is_known("regime", record.regime):
        yield f"regime {record.regime!r} is not registered"
    if not record.methods or len(set(record.methods)) < len(record.methods):
        yield "names no saliency method, or one twice"
    yield from (f"method {name!r} is not registered" for name in record.methods if not is_known("method", name))


def _check_external_names(record: Record, maps: ExternalMaps) -> Iterator[str]:
    """Maps from elsewhere must not pass for a model of Loupe."""
    if record.submission is not None:
        yield "is of maps from elsewhere and of a submitted entry; it can only be one of them"
    if is_known("architecture", record.architecture):
        yield f"{record.architecture} is an architecture of Loupe; give the maps another name"
    if (record.regime, record.methods) != (f"maps-{maps.method}", (maps.method,)):
        yield f"regime {record.regime!r} and methods {record.methods} are not those of maps by {maps.method}"


def _check_submission(record: Record, submission: Submission) -> Iterator[str]:
    if is_known("architecture", record.architecture):
        yield f"{record.architecture} is an architecture of this repository; a submission has a name of its own"
    if submission.entry not in {f"{record.architecture}{suffix}" for suffix in (".py", ".toml")}:
        yield f"is of {record.architecture}, but its entry is {submission.entry!a}"
    entry = ENTRIES / Path(submission.entry).name
    final = submission.withdrawn or submission.superseded_by
    if entry.is_file() and not final and file_digest(entry) != submission.sha256:
        yield f"made from another version of {ENTRIES.name}/{submission.entry}; submit it again"


def _check_shapes(record: Record) -> Iterator[str]:
    """Values that tables and cards format must have the type that a run writes."""
    if not 0 <= record.seed < MAX_SEED:
        yield f"seed {record.seed} is out of range"
    if len(record.classes) < 2 or len(set(record.classes)) < len(record.classes):
        yield "has fewer than two classes, or one twice"
    if min((record.images.get(name, -1) for name in COUNTS), default=-1) < 0:
        yield f"images lack one of {', '.join(COUNTS)}"
    if any(not isinstance(record.settings.get(part), dict) for part in ("training", "preset")):
        yield "settings lack training or preset"
    elif not _are_settings(record.settings):
        yield "settings have values of another type than a run writes"
    if not _is_environment(record.environment):
        yield "environment has values of another type than a run writes"
    numbers = [*record.seconds.values(), *record.training.losses, *record.training.validation]
    if not all(map(math.isfinite, numbers)):
        yield "has times or losses that are no numbers"
    if not _is_summary(record.summary):
        yield "summary has values that are no numbers"


def _are_settings(settings: Mapping[str, Any]) -> bool:
    budgets = settings["preset"].get("attack_eps")
    is_list = isinstance(budgets, list) and budgets and all(_is_number(value) and value > 0 for value in budgets)
    start = settings["training"].get("start", {})
    parts = [settings["preset"], {n: v for n, v in settings["training"].items() if n != "start"}, start]
    return bool(is_list) and all(isinstance(part, dict) and all(map(_is_plain, part.values())) for part in parts)


def _is_plain(value: Any) -> bool:
    return isinstance(value, Scalar) or (isinstance(value, list) and all(isinstance(item, Scalar) for item in value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_environment(environment: Mapping[str, Any]) -> bool:
    packages = environment.get("packages", {})
    others = [value for name, value in environment.items() if name != "packages"]
    return isinstance(packages, dict) and all(isinstance(value, Scalar) for value in (*packages.values(), *others))


def _is_summary(summary: Mapping[str, Any]) -> bool:
    return all(
        isinstance(value, str) if name.startswith(REASON) else value is None or _is_number(value)
        for name, value in summary.items()
    )


def _check_metrics(record: Record) -> Iterator[str]:
    """Bounds and direction are those of the registry, whatever a record says."""
    for name, metric in record.metrics.items():
        known = find_metric(name)
        if known is None:
            yield f"metric {name!a} is unknown"
        elif metric.bounds != known.bounds:
            yield f"bounds {list(metric.bounds)} of {name} are not those of the metric, {list(known.bounds)}"
        elif known.higher_is_better is not None and metric.higher_is_better != known.higher_is_better:
            yield f"{name} has the other direction"
