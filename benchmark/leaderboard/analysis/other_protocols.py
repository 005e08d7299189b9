"""Why rows follow another protocol: the settings that differ."""

from collections.abc import Mapping
from typing import Any

from benchmark.config.presets import load_preset
from benchmark.errors import UserError
from benchmark.leaderboard.admission.comparison import SCORING, TRAINING
from benchmark.leaderboard.table import LeaderboardTable

DATA = ("limit", "test_folds", "val_folds")
"""Fields of a preset that select and split the images."""
MAX_NAMED = 3
"""Maximum number of settings that a line names."""


def describe_difference(one: Mapping[str, Any], other: Mapping[str, Any], *, trained: bool = True) -> str:
    """Says in which settings two protocols differ, at most three.

    Args:
        one: Fields of a preset, as records have them.
        other: Those of the other protocol.
        trained: Whether settings of the training count. Those of labeled variants do not.

    Example:
        >>> from dataclasses import asdict
        >>> from benchmark.config.presets import QUICK
        >>> describe_difference(asdict(QUICK), asdict(QUICK) | {"image_size": 64, "epochs": 1})
        'image_size 96 and 64, epochs None and 1'
        >>> describe_difference(asdict(QUICK), asdict(QUICK))
        'equal settings, other data or code'
    """
    try:
        presets = load_preset(one), load_preset(other)
    except (UserError, TypeError):  # of another version of Loupe
        return "other settings, data or code"
    names = (*SCORING, *DATA, *(TRAINING if trained else ()))
    values = {name: [getattr(preset, name) for preset in presets] for name in names}
    lines = [f"{name} {first} and {second}" for name, (first, second) in values.items() if first != second]
    more = f", and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    return ", ".join(lines[:MAX_NAMED]) + more if lines else "equal settings, other data or code"


def compare_protocols(leaderboard: LeaderboardTable) -> str:
    """Says in which settings the first other protocol differs from that of a table. Empty without others."""
    if not leaderboard.other_protocols:
        return ""
    records = leaderboard.other_protocols[0].record, leaderboard.record
    is_trained = not any(record.variant or record.external_maps for record in records)
    return describe_difference(*(record.settings["preset"] for record in records), trained=is_trained)
