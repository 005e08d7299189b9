"""All checks of one entry. They run in the child process of :mod:`benchmark.submission.sandbox.worker`."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from architectures.network import parameter_count
from benchmark.runtime.device import use_exact_arithmetic
from benchmark.submission.checks.attack import check_attack
from benchmark.submission.checks.building import build_network, import_entry
from benchmark.submission.checks.explanation import check_explanation
from benchmark.submission.checks.guard import CheckAborted, EntryReport
from benchmark.submission.checks.outputs import check_normalization, check_outputs
from benchmark.submission.checks.training import check_checkpoint, check_training
from benchmark.submission.entries import collect_facts


def run_entry_checks(entry: str, *, registered: bool = False, with_checkpoint: bool = False) -> dict[str, Any]:
    """Tries the contract on the entry in a file.

    Args:
        entry: Path of the file.
        registered: Whether it is a registered architecture of the repository, which is looked up by its name.
        with_checkpoint: Whether the file of a checkpoint must exist.

    Returns:
        The fields of :class:`benchmark.submission.checks.guard.EntryReport`.
    """
    use_exact_arithmetic()
    report = EntryReport()
    with suppress(CheckAborted):
        _run_checks(report, Path(entry), registered=registered, with_checkpoint=with_checkpoint)
    return asdict(report)


def _run_checks(report: EntryReport, path: Path, *, registered: bool, with_checkpoint: bool) -> None:
    entry = import_entry(report, path, registered=registered)
    report.facts["metadata"] = collect_facts(entry)
    report.facts["pretrained"] = entry.pretrained is not None
    network = build_network(report, entry)
    report.facts["parameters"] = parameter_count(network)
    check_outputs(report, entry, network)
    check_normalization(report, network)
    check_explanation(report, entry, network)
    check_attack(report, network)
    check_training(report, entry, network)
    if entry.checkpoint is not None:
        check_checkpoint(report, entry, required=with_checkpoint)
