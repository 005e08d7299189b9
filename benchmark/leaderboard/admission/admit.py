"""Admits the records of a results directory: the one function through which all commands read them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path

from benchmark.errors import UserError
from benchmark.leaderboard.admission.bounds import require_regular
from benchmark.leaderboard.admission.candidate import Candidate
from benchmark.leaderboard.admission.comparison import check_settings, check_together, compare_with_run
from benchmark.leaderboard.admission.facts import Trust, read_trust
from benchmark.leaderboard.admission.fields import MAPS_ONLY, check_fields, check_stranger
from benchmark.leaderboard.admission.files import check_files
from benchmark.leaderboard.admission.scores import ScoreTableReader
from benchmark.storage.hashing import file_digest
from benchmark.storage.house import TableFacts
from benchmark.storage.ledger import Ledger, read_ledger
from benchmark.storage.record import MAX_BYTES, Record, load_record
from benchmark.storage.results import RECORDS, record_files
from benchmark.storage.upgrade import SCHEMA

SELF_REPORTED, VERIFIED = "self-reported", "verified"


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The records of a results directory.

    Attributes:
        records: Those that may enter tables, the ones of runs first. Their badges are those of the ledger.
        refused: One reason or more for each other record, by path.
    """

    records: dict[Path, Record]
    refused: dict[Path, tuple[str, ...]]

    @cached_property
    def _paths(self) -> dict[str, Path]:
        return {path.name: path for path in (*self.records, *self.refused)}

    def find(self, path: Path) -> tuple[Record | None, tuple[str, ...]]:
        """Returns the record of a path, or None and the reasons against it."""
        path = self._paths.get(path.name, path)
        return self.records.get(path), self.refused.get(path, ())


def admit(directory: Path) -> Admission:
    """Reads and checks all records of a results directory.

    What a record says of the data, the metrics and the protocol is compared with what the harness wrote, so that no
    record can change it. A record that a run published here is only checked for damage and contradictions.

    Raises:
        UserError: A file of the harness is damaged.
    """
    return _admit(directory, _signature(directory))


def admit_record(path: Path, admission: Admission | None = None) -> tuple[Record | None, tuple[str, ...]]:
    """Checks one record, together with the others of its results directory.

    Args:
        path: The record.
        admission: That of its results directory. Of many records, it is found once, since that looks at all files.

    Returns:
        The record, or None and the reasons against it.
    """
    if path.parent.name != RECORDS:
        return _admit_alone(path)
    return (admission or admit(path.parent.parent)).find(path)


def _admit_alone(path: Path) -> tuple[Record | None, tuple[str, ...]]:
    """Checks a record without a results directory for contradictions."""
    trust = Trust(directory=path.parent, protocol="", house=None, split=None, in_tables=frozenset())
    candidate = _load(path, trust, {})
    if isinstance(candidate, str):
        return None, (candidate,)
    check_files(candidate, None, ScoreTableReader())
    return (None if candidate.problems else candidate.record), tuple(candidate.problems)


def _signature(directory: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Describes the files that an admission depends on: names, sizes, times and inodes."""
    paths = [*directory.glob("*.json"), *directory.glob("*.csv"), *(directory / RECORDS).glob("*")]
    status = []
    for path in sorted(paths):
        with suppress(FileNotFoundError):  # another process may write here
            found = path.stat()
            status.append((str(path), found.st_size, found.st_mtime_ns, found.st_ino))
    return tuple(status)


@lru_cache(maxsize=16)
def _admit(directory: Path, _signature: tuple[tuple[str, int, int, int], ...]) -> Admission:
    try:
        trust, ledger = read_trust(directory), read_ledger(directory)
    except ValueError as error:
        raise UserError(str(error)) from None
    refused: dict[Path, tuple[str, ...]] = {}
    candidates: list[Candidate] = []
    for path in record_files(directory):
        loaded = _load(path, trust, ledger)
        if isinstance(loaded, str):
            refused[path] = (loaded,)
        else:
            candidates.append(loaded)
    by_protocol = sorted(candidates, key=lambda candidate: candidate.record.protocol)
    for protocol, part in groupby(by_protocol, key=lambda candidate: candidate.record.protocol):
        _check_protocol(list(part), trust.facts(protocol))
    refused |= {each.path: tuple(each.problems) for each in candidates if each.problems}
    # Those of runs come first: they name the settings and columns of the tables.
    accepted = sorted((each for each in candidates if not each.problems), key=lambda each: not each.is_made)
    return Admission(records={each.path: each.record for each in accepted}, refused=dict(sorted(refused.items())))


def _load(path: Path, trust: Trust, ledger: Ledger) -> Candidate | str:
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
    candidate = Candidate(
        path=path,
        # A badge is the maintainer's word. What a record says of itself is dropped.
        record=record.model_copy(update={"badge": badge, "verification": verification}),
        is_made=trust.is_made(path, record, digest),
        is_verified=verification is not None,
    )
    candidate.problems += check_fields(candidate.record, path)
    return candidate


def _check_protocol(candidates: Sequence[Candidate], stated: TableFacts | None) -> None:
    """Checks the records of one protocol: those that runs published first, then all others against these."""
    trusted = [each for each in candidates if each.is_made and not each.problems]
    reader = ScoreTableReader()
    for candidate in trusted:
        check_files(candidate, stated, reader)
    facts = _agreed_names([each.record for each in trusted if not each.problems], stated)
    for candidate in trusted:
        candidate.problems += _check_facts(candidate.record, facts)
    models = [each for each in trusted if each.record.external_maps is None and not each.problems]
    reference = models[0] if models else None
    others = [each for each in candidates if not each.is_made]
    # Read again for the comparison: the tables of all records together may be larger than the memory.
    own_tables = check_files(reference, stated, reader) if reference and others else None
    for candidate in others:
        tables = check_files(candidate, stated, reader)
        candidate.problems += _check_facts(candidate.record, facts)
        candidate.problems += check_stranger(candidate.record, is_verified=candidate.is_verified)
        if reference and own_tables and tables and not candidate.problems:
            candidate.problems += compare_with_run(candidate.record, tables, reference.record, own_tables)
    check_settings(candidates, facts, reference)
    check_together(candidates)


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


def refusals(refused: Mapping[Path, Sequence[str]]) -> tuple[str, ...]:
    """Returns a line for each record that was left out, with the first reason. `check` shows all."""
    return tuple(f"{path.name}: {reasons[0]}" for path, reasons in refused.items())
