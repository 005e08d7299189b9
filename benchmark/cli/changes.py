"""Changes of a preset's settings by options of the command line."""

from dataclasses import replace
from typing import Any

from benchmark.config.presets import PRESETS, Preset
from benchmark.errors import UserError
from benchmark.registry import resolve_name

UNORDERED = ("metrics", "attack_eps")
"""Settings of repeated options whose order has no meaning. They are sorted: the same choice, the same protocol."""


def collect_changes(**options: Any) -> dict[str, Any]:
    """Returns the settings that were given, by their names in :class:`Preset`.

    A repeated option counts once per value. A limit of 0 means all images.
    """
    changes = {name: value for name, value in options.items() if value not in (None, False, [])}
    if options.get("limit") == 0:
        changes["limit"] = None
    for name, value in changes.items():
        if isinstance(value, list):
            unique = tuple(dict.fromkeys(value))
            changes[name] = tuple(sorted(unique)) if name in UNORDERED else unique
    return changes


def change_preset(name: str, changes: dict[str, Any]) -> Preset:
    """Returns a preset with changed settings.

    Raises:
        UserError: A name is unknown, or a setting is invalid.
    """
    _check_names(changes)
    base = PRESETS[resolve_name(name, PRESETS, "preset")]
    try:
        return replace(base, **changes)
    except ValueError as error:
        raise UserError(f"--{error}") from None


def _check_names(changes: dict[str, Any]) -> None:
    # These imports load torch, which --help does not need.
    if "aggregation" in changes:
        from benchmark.registry import select  # noqa: PLC0415
        from datasets import Aggregation  # noqa: PLC0415

        select(Aggregation, [changes["aggregation"]])
    if "methods" in changes:
        from benchmark.registry import select  # noqa: PLC0415
        from benchmark.saliency import Method  # noqa: PLC0415

        select(Method, changes["methods"])
    if "metrics" in changes:
        from benchmark.scoring.selection import select_metrics  # noqa: PLC0415

        select_metrics(changes["metrics"])
