"""Which steps the time of the tables goes to, and what their memory holds."""

import cProfile
import pstats
from collections.abc import Sequence
from inspect import unwrap
from pathlib import Path
from typing import Any

from benchmark.leaderboard.admission.admit import admit
from benchmark.leaderboard.analysis.agreement import compute_agreements
from benchmark.leaderboard.analysis.contrasts import compute_contrasts
from benchmark.leaderboard.analysis.stability import compute_stabilities
from benchmark.leaderboard.build import rebuild
from benchmark.leaderboard.figures.sheets import save_figure
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load import cells
from benchmark.leaderboard.load.predictions import read_predictions
from benchmark.leaderboard.load.scores import ScoreReader, read_baselines
from benchmark.leaderboard.ranking import ranked
from benchmark.leaderboard.table import LeaderboardTable
from benchmark.statistics import bootstrap
from benchmark.statistics.errors import error_components
from benchmark.statistics.resampling import DRAWS, resampling

STEPS = {
    "admission": (admit,),
    "drawing groups": (resampling,),
    "reading scores": (ScoreReader.read, read_baselines),
    "reading predictions": (read_predictions,),
    "scores and diagnosis by image": (cells._statistics,),
    "sums by group": (cells.grouped,),
    "sums in every draw": (bootstrap._draw_statistics,),
    "influence of groups": (error_components,),
    "contrasts": (compute_contrasts,),
    "agreement": (compute_agreements, compute_stabilities),
    "letters and ranks": (ranked,),
    "figures": (save_figure,),
    "page": (page,),
}
"""The functions of each step, none of which calls another one of them."""


def stepwise(directory: Path) -> dict[str, Any]:
    """Makes the tables of a results directory under the profiler, which adds a few per cent, most to what is short.

    Returns:
        Seconds by step, and bytes by what is held at the end.
    """
    profile = cProfile.Profile()
    leaderboards = profile.runcall(rebuild, directory)
    found = pstats.Stats(profile)
    steps = {step: sum(_seconds(found, function) for function in functions) for step, functions in STEPS.items()}
    return {"steps": steps | {"all else": found.total_tt - sum(steps.values())}, "held": held(leaderboards)}


def _seconds(found: Any, function: Any) -> float:
    """Time in a function and in what it calls. 0 if it never ran."""
    code = unwrap(function).__code__
    *_, seconds, _ = found.stats.get((code.co_filename, code.co_firstlineno, code.co_name), (0, 0, 0.0, 0.0, {}))
    return seconds


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
