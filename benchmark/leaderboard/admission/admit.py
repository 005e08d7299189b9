"""Admits the records of a results directory: the one function through which all commands read them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import pandas as pd

from benchmark.config.presets import Preset, load_preset
from benchmark.errors import UserError
from benchmark.leaderboard.admission.bounds import MAX_TEXT_BYTES, require_bounded, require_regular
from benchmark.leaderboard.admission.facts import Trust, read_trust
from benchmark.leaderboard.admission.fields import MAPS_ONLY, REMEDY, check_fields, check_stranger
from benchmark.leaderboard.admission.predictions import check_predictions, compare_predictions, read_predictions_frame
from benchmark.leaderboard.admission.scores import ScoreTable, check_scores, compare_scores, read_scores
from benchmark.storage.hashing import file_digest
from benchmark.storage.house import TableFacts
from benchmark.storage.ledger import Ledger, read_ledger
from benchmark.storage.record import MAX_BYTES, Record, load_record
from benchmark.storage.results import RECORDS, record_files, sidecar_file
from benchmark.storage.upgrade import SCHEMA

SIDECARS = ("scores.parquet", "predictions.parquet", "curves.parquet", "classification.csv")
SELF_REPORTED, VERIFIED = "self-reported", "verified"
SCORING = (
    *(
        "image_size",
        "aggregation",
        "methods",
        "metrics",
        "alignment",
        "grid_stride",
        "num_perturbed",
        "perturbation_steps",
    ),
    *("num_attacked", "attack_steps", "attack_eps", "apgd_steps", "autoattack", "num_map_attacked"),
)
"""Fields of a preset that every record of a protocol shares."""
TRAINING = ("weights", "epochs", "batch_size", "patience", "small_size", "full_size_epochs")
"""Fields that all but labeled variants share."""


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The records of a results directory.

    Attributes:
        records: Those that may enter tables, in the order of their paths. Their badges are those of the ledger.
        refused: One reason or more for each other record, by path.
    """

    records: dict[Path, Record]
    refused: dict[Path, tuple[str, ...]]


@dataclass(kw_only=True)
class _Candidate:
    """A record on its way.

    Attributes:
        path: Its file.
        record: Its content, with the badge of the ledger.
        is_made: Whether a run published it here.
        is_verified: Whether the ledger has it.
        problems: Reasons against it.
    """

    path: Path
    record: Record
    is_made: bool
    is_verified: bool
    problems: list[str] = field(default_factory=list)
    frame: pd.DataFrame | None = None
    scores: ScoreTable | None = None


def admit(directory: Path) -> Admission:
    """Reads and checks all records of a results directory.

    What a record says of the data, the metrics and the protocol is compared with what the harness wrote, so that no
    record can change it. A record that a run published here is only checked for damage and contradictions.

    Raises:
        UserError: A file of the harness is damaged.
    """
    return _admit(directory, _signature(directory))


def admit_record(path: Path) -> tuple[Record | None, tuple[str, ...]]:
    """Checks one record, together with the others of its results directory.

    Returns:
        The record, or None and the reasons against it.
    """
    if path.parent.name != RECORDS:
        return _admit_alone(path)
    admission = admit(path.parent.parent)
    path = next((known for known in (*admission.records, *admission.refused) if known.name == path.name), path)
    return admission.records.get(path), admission.refused.get(path, ())


def _admit_alone(path: Path) -> tuple[Record | None, tuple[str, ...]]:
    """Checks a record without a results directory for contradictions."""
    trust = Trust(directory=path.parent, protocol="", house=None, split=None, in_tables=frozenset())
    candidate = _load(path, trust, {})
    if isinstance(candidate, str):
        return None, (candidate,)
    _check_files(candidate, None)
    return (None if candidate.problems else candidate.record), tuple(candidate.problems)


def _signature(directory: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Describes the files that an admission depends on: names, sizes, times and inodes."""
    paths = [*directory.glob("*.json"), *directory.glob("*.csv"), *(directory / RECORDS).glob("*")]
    status = [(path, path.stat()) for path in sorted(paths) if path.exists()]
    return tuple((str(path), found.st_size, found.st_mtime_ns, found.st_ino) for path, found in status)


@lru_cache(maxsize=16)
def _admit(directory: Path, _signature: tuple[tuple[str, int, int, int], ...]) -> Admission:
    try:
        trust, ledger = read_trust(directory), read_ledger(directory)
    except ValueError as error:
        raise UserError(str(error)) from None
    refused: dict[Path, tuple[str, ...]] = {}
    candidates: list[_Candidate] = []
    for path in record_files(directory):
        loaded = _load(path, trust, ledger)
        if isinstance(loaded, str):
            refused[path] = (loaded,)
        else:
            candidates.append(loaded)
    by_protocol = sorted(candidates, key=lambda candidate: candidate.record.protocol)
    for protocol, part in groupby(by_protocol, key=lambda candidate: candidate.record.protocol):
        _check_protocol(list(part), trust.facts(protocol))
    for candidate in candidates:
        candidate.frame = candidate.scores = None
    refused |= {each.path: tuple(each.problems) for each in candidates if each.problems}
    # Those of runs come first: they name the settings and columns of the tables.
    accepted = sorted((each for each in candidates if not each.problems), key=lambda each: not each.is_made)
    return Admission(records={each.path: each.record for each in accepted}, refused=dict(sorted(refused.items())))


def _load(path: Path, trust: Trust, ledger: Ledger) -> _Candidate | str:
    """Loads a record whose fields and files can be read. Returns the reason if there is none."""
    try:
        require_regular(path, MAX_BYTES)
        record = load_record(path)
        digest = file_digest(path)
    except (ValueError, OSError, RecursionError) as error:
        return f"no record of schema {SCHEMA}: {str(error).splitlines()[0][:200]}"
    if record.schema_version != SCHEMA:
        return f"made by another version of Loupe (schema {record.schema_version}, not {SCHEMA})"
    verification = ledger.get(digest)
    badge = VERIFIED if verification else SELF_REPORTED
    if record.external_maps is not None:
        badge, verification = MAPS_ONLY, None
    candidate = _Candidate(
        path=path,
        # A badge is the maintainer's word. What a record says of itself is dropped.
        record=record.model_copy(update={"badge": badge, "verification": verification}),
        is_made=trust.is_made(path, record, digest),
        is_verified=verification is not None,
    )
    candidate.problems += check_fields(candidate.record, path)
    return candidate


def _check_protocol(candidates: Sequence[_Candidate], stated: TableFacts | None) -> None:
    """Checks the records of one protocol: those that runs published first, then all others against these."""
    trusted = [each for each in candidates if each.is_made and not each.problems]
    for candidate in trusted:
        _check_files(candidate, stated)
    names = _agreed_names([each.record for each in trusted if not each.problems] or [], stated)
    for candidate in trusted:
        candidate.problems += _check_facts(candidate.record, names)
    models = [each for each in trusted if each.record.external_maps is None and not each.problems]
    reference = models[0] if models else None
    facts = names or stated
    for candidate in candidates:
        if candidate.is_made:
            continue
        _check_files(candidate, stated)
        candidate.problems += _check_facts(candidate.record, facts)
        candidate.problems += check_stranger(candidate.record, is_verified=candidate.is_verified)
        if reference is not None and not candidate.problems:
            candidate.problems += _compare(candidate, reference)
    _check_settings(candidates, facts, reference)
    _check_together(candidates)


def _check_files(candidate: _Candidate, facts: TableFacts | None) -> None:
    """Checks the files of a record, and reads them."""
    path, record = candidate.path, candidate.record
    try:
        _require_files(path, record)
        candidate.frame = read_predictions_frame(sidecar_file(path, "predictions.parquet"), record, facts)
        candidate.problems += check_predictions(record, candidate.frame, facts)
        candidate.scores = read_scores(sidecar_file(path, "scores.parquet"), len(candidate.frame))
        candidate.problems += check_scores(record, candidate.scores, list(candidate.frame["image"]))
        candidate.problems += _check_accuracy(record, candidate.frame)
    except (ValueError, KeyError, TypeError, OSError, OverflowError, MemoryError) as error:
        candidate.problems.append(str(error).splitlines()[0][:200] if str(error) else type(error).__name__)


def _require_files(path: Path, record: Record) -> None:
    """Requires the files of a record, with the SHA-256 that it names, before anything of them is read.

    Raises:
        ValueError: One is missing, irregular or has other bytes.
    """
    for suffix in SIDECARS[:2]:
        if not sidecar_file(path, suffix).exists():
            raise ValueError("its scores or predictions are missing")
    for suffix in SIDECARS:
        file = sidecar_file(path, suffix)
        if file.exists() or file.is_symlink():
            require_regular(file, *([MAX_TEXT_BYTES] if suffix.endswith(".csv") else []))
            if suffix == "curves.parquet":
                require_bounded(file)
    if surplus := set(record.files) - set(SIDECARS):
        raise ValueError(f"names the file {min(surplus)!a}, which no run writes")
    if damaged := find_damaged_file(path, record):
        raise ValueError(f"{damaged} is missing or differs from what the record says (another SHA-256); run it again")


def find_damaged_file(path: Path, record: Record) -> str | None:
    """Returns the name of a file next to a record that is missing or does not match the record's digest, if any."""
    for name, digest in record.files.items():
        file = sidecar_file(path, Path(name).name)
        if not file.is_file() or file_digest(file) != digest:
            return file.name
    return None


def _check_accuracy(record: Record, frame: pd.DataFrame) -> Iterator[str]:
    maps = record.external_maps
    if maps is not None and maps.predictions == "none":
        return
    accuracy = float((frame["label"] == frame["predicted"]).mean())
    reported = record.summary.get("accuracy")
    if reported is not None and not (isinstance(reported, int | float) and abs(reported - accuracy) < 1e-6):
        yield f"summary says {reported} of accuracy, its files say {accuracy:.6g}"


def _agreed_names(records: Sequence[Record], stated: TableFacts | None) -> TableFacts | None:
    """Returns the data set of a protocol: as the harness states it, or as most records of runs say.

    Directories of earlier versions state the images alone, in their split.
    """
    if stated is not None and stated.settings:
        return stated
    votes = Counter((r.dataset, r.synthetic, r.preset, r.classes) for r in records)
    if not votes:
        return stated
    (dataset, synthetic, preset, classes), _ = votes.most_common(1)[0]
    base = stated or TableFacts(
        dataset="", synthetic=False, preset="", classes=(), images=(), labels=(), groups=(), settings={}
    )
    return base.model_copy(update={"dataset": dataset, "synthetic": synthetic, "preset": preset, "classes": classes})


def _check_facts(record: Record, facts: TableFacts | None) -> Iterator[str]:
    """What the table says of the data is not for a record to say."""
    if facts is None:
        return
    for name in ("dataset", "synthetic", "preset", "classes"):
        theirs, ours = getattr(record, name), getattr(facts, name)
        if theirs != ours:
            yield f"says {ascii(theirs)[:80]} of {name}, the data of this table {ascii(ours)[:80]}"


def _compare(candidate: _Candidate, reference: _Candidate) -> Iterator[str]:
    """Compares a record from elsewhere with one that a run published here."""
    record, own = candidate.record, reference.record
    if candidate.frame is None or candidate.scores is None or reference.frame is None or reference.scores is None:
        return
    if set(candidate.frame["image"]) != set(reference.frame["image"]):
        yield "has other test images than the runs of this table"
        return
    both = candidate.frame.merge(reference.frame, on="image", suffixes=("", "_own"))
    yield from (f"has other {name}s than the data of this table" for name in ("label", "group") if _differ(both, name))
    if record.external_maps is None:
        if record.metrics != own.metrics:
            yield "defines the metrics otherwise than the runs of this table"
        if record.methods != own.methods:
            yield "has other saliency methods than the runs of this table"
        if {name: record.images[name] for name in ("test", "perturbed", "attacked")} != {
            name: own.images[name] for name in ("test", "perturbed", "attacked")
        }:
            yield "has other numbers of images than the runs of this table"
        yield from compare_predictions(candidate.frame, reference.frame)
    elif odd := [name for name, metric in record.metrics.items() if own.metrics.get(name) != metric]:
        yield f"defines {odd[0]!a} otherwise than the runs of this table"
    yield from compare_scores(record, candidate.scores, reference.scores)


def _differ(both: pd.DataFrame, name: str) -> bool:
    return bool((both[name].to_numpy() != both[f"{name}_own"].to_numpy()).any())


def _check_settings(candidates: Sequence[_Candidate], facts: TableFacts | None, reference: _Candidate | None) -> None:
    """A protocol stands for its settings. Records from elsewhere must have those of the harness."""
    settings = facts.settings if facts and facts.settings else reference.record.settings["preset"] if reference else {}
    try:
        own = load_preset(settings) if settings else None
    except UserError:  # of an earlier version with fields that are gone
        return
    for candidate in candidates:
        if own is not None and not candidate.is_made and not candidate.problems:
            candidate.problems += _compare_settings(candidate.record, own)


def _compare_settings(record: Record, own: Preset) -> Iterator[str]:
    try:
        theirs = load_preset(record.settings["preset"])
    except (UserError, TypeError) as error:
        yield str(error)
        return
    is_trained = record.external_maps is None and not record.variant
    for name in (*SCORING, *(TRAINING if is_trained else ())):
        if getattr(theirs, name) != getattr(own, name):
            yield f"has the protocol of this table, but {getattr(theirs, name)} as {name}, not {getattr(own, name)}"


def _check_together(candidates: Sequence[_Candidate]) -> None:
    """Records must not claim the place of others: their model and seed, key or weights."""
    valid = [each for each in candidates if not each.problems]
    for candidate in valid:
        if candidate.is_made:
            continue
        others = [each for each in valid if each is not candidate]
        candidate.problems += _check_place(candidate, others)


def _check_place(candidate: _Candidate, others: Sequence[_Candidate]) -> Iterator[str]:
    record = candidate.record
    for other in others:
        # What is verified gives way to nothing that is not.
        if candidate.is_verified and not (other.is_made or other.is_verified):
            continue
        theirs = other.record
        if _row(theirs) == _row(record) and theirs.seed == record.seed:
            yield f"has the model and seed of {other.path.name}; remove one of them"
        elif _row(theirs) == _row(record) and _is_above(other, candidate):
            yield f"is not verified, unlike {other.path.name} of the same row; {REMEDY}"
        elif theirs.key == record.key:
            yield f"has the key of {other.path.name}; remove one of them"
        elif _training(theirs) != _training(record) and theirs.training.sha256 == record.training.sha256 != "":
            yield f"has the weights of {other.path.name}, which is another model, regime or seed"


def _row(record: Record) -> tuple[str, str]:
    return record.architecture, record.training_name


def _training(record: Record) -> tuple[str, str, int]:
    """Returns what weights belong to: a labeled variant may score the same ones otherwise."""
    return record.architecture, record.regime, record.seed


def _is_above(other: _Candidate, candidate: _Candidate) -> bool:
    return (other.is_made or other.is_verified) and not candidate.is_verified


def refusals(refused: Mapping[Path, Sequence[str]]) -> tuple[str, ...]:
    """Returns a line for each record that was left out, with the first reason. `check` shows all."""
    return tuple(f"{path.name}: {reasons[0]}" for path, reasons in refused.items())
