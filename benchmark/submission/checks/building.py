"""Importing and building: an entry builds the same network from the same seed, and changes nothing else."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from architectures import Architecture
from benchmark.registry import entries, resolve_name
from benchmark.submission.checks.guard import CheckAborted, EntryReport, guard_call, guard_state
from benchmark.submission.entries import load_entry

NUM_CLASSES = 6
SEED = 20


def import_entry(report: EntryReport, path: Path, *, registered: bool) -> Architecture:
    """Loads the entry. Importing it must neither build a network nor change global state.

    Raises:
        CheckAborted: It cannot be imported.
    """
    built: list[str] = []
    original_init = nn.Module.__init__

    def recording_init(module: nn.Module, *args: Any, **kwargs: Any) -> None:
        built.append(type(module).__name__)
        original_init(module, *args, **kwargs)

    with guard_call(report, "importing it"), guard_state(report, "importing it", seeds=True):
        if registered:
            return entries(Architecture)[resolve_name(path.stem, entries(Architecture), "architecture")]
        try:
            if path.suffix == ".py":
                vars(nn)["Module"].__init__ = recording_init
            entry = load_entry(path)
        finally:
            vars(nn)["Module"].__init__ = original_init
        if built:
            report.problems.append(f"importing it builds a network ({built[0]}); build it in build(classes)")
        return entry
    raise CheckAborted


def build_network(report: EntryReport, entry: Architecture) -> nn.Module:
    """Builds the network for six classes, in evaluation mode.

    The same seed must give the same weights, and the weights must depend on the seed.

    Raises:
        CheckAborted: There is no network.
    """
    action = f"build({NUM_CLASSES})"
    with guard_call(report, action), guard_state(report, action):
        network = _build_seeded(entry)
        seed_after, state_after = torch.initial_seed(), torch.random.get_rng_state()
        if not isinstance(network, nn.Module):
            report.problems.append(f"{action} returns {type(network).__name__}, not a torch.nn.Module")
            raise CheckAborted
        network.eval()
        if seed_after != SEED:
            report.problems.append("build sets torch's seed; that is the harness' to set")
        # A generator that is still in its seeded state was not used: the weights cannot depend on the seed.
        elif torch.equal(state_after, torch.manual_seed(SEED).get_state()):
            report.problems.append("build draws nothing at random, so every seed gives the same weights")
        if not _same_weights(network, _build_seeded(entry)):
            report.problems.append("build gives other weights under the same seed; draw them by torch alone")
        return network
    raise CheckAborted


def _build_seeded(entry: Architecture) -> nn.Module:
    torch.manual_seed(SEED)
    return entry.build(NUM_CLASSES)


def _same_weights(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
