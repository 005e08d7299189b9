"""Which steps the time of the tables goes to, and what their memory holds."""

import cProfile
import pstats
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.leaderboard.build import rebuild
from benchmark.leaderboard.table import LeaderboardTable
from benchmark.statistics.resampling import DRAWS

STEPS = {
    "drawing groups": ("statistics.py:resampling",),
    "reading scores": ("scores.py:read", "scores.py:read_baselines"),
    "reading predictions": ("evidence.py:read_predictions",),
    "scores and diagnosis by image": ("cells.py:_statistics", "cells.py:_once"),
    "sums by group": ("cells.py:grouped",),
    "sums in every draw": ("statistics.py:drawn",),
    "influence of groups": ("statistics.py:_spread",),
    "contrasts": ("contrasts.py:compute_contrasts",),
    "agreement": ("agreement.py:compute_agreements", "agreement.py:compute_stabilities"),
    "letters and ranks": ("board.py:_ranked",),
    "figures": ("figures.py:save_figure",),
    "page": ("render.py:page",),
}
"""Functions of benchmark/leaderboard, none of which calls another one of them."""


def stepwise(directory: Path) -> dict[str, Any]:
    """Makes the tables of a results directory under the profiler, which adds a few per cent, most to what is short.

    Returns:
        Seconds by step, and bytes by what is held at the end.
    """
    profile = cProfile.Profile()
    leaderboards = profile.runcall(rebuild, directory)
    told = pstats.Stats(profile)
    spent: dict[str, float] = {}
    for (file, _, function), (_, _, _, cumulative, _) in told.stats.items():
        if "leaderboard" in file:
            name = f"{Path(file).name}:{function}"
            spent[name] = spent.get(name, 0.0) + cumulative
    steps = {step: sum(spent.get(name, 0.0) for name in names) for step, names in STEPS.items()}
    return {"steps": steps | {"all else": told.total_tt - sum(steps.values())}, "held": held(leaderboards)}


def held(leaderboards: Sequence[LeaderboardTable]) -> dict[str, int]:
    """Bytes that all estimates hold, each array counted once, and those of the bootstrap's draws."""
    known = [each for leaderboard in leaderboards for row in leaderboard.rows for each in row.estimates.values()]
    return {
        "draws of groups": leaderboards[0].groups * DRAWS * 8,
        "shares of groups": _bytes(each.error.contributions for each in known),
        "counts of groups": _bytes(array for each in known for array in (each.error.counts, each.error.has_images)),
        "estimates in every draw": _bytes(each.draws for each in known),
    }


def _bytes(arrays: Any) -> int:
    return sum({id(array): array.nbytes for array in arrays}.values())


def lines(points: Sequence[dict[str, Any]]) -> list[str]:
    """Both as tables in Markdown, a column for each point."""
    heads = [f"{point['cells']:,} cells, {point['images']:,} images" for point in points]
    edge = "|:--|" + "--:|" * len(points)
    return [
        f"| step | {' | '.join(heads)} |",
        edge,
        *(_line(step, [f"{point['steps'][step]:.1f} s" for point in points]) for step in points[0]["steps"]),
        "",
        f"| held at the end | {' | '.join(heads)} |",
        edge,
        *(_line(what, [f"{point['held'][what] / 2**20:,.0f} MiB" for point in points]) for what in points[0]["held"]),
    ]


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"
