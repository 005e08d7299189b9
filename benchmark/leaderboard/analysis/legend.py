"""How to read a table: what its intervals hold over, and which comparisons are corrected together."""

import numpy as np

from benchmark.leaderboard.analysis.summary import SINGLE_TRAININGS
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.ranking import MAX_LETTERED_MODELS
from benchmark.leaderboard.table import LeaderboardTable
from benchmark.statistics.trainings import MIN_POOLED_ROWS


def describe_intervals(leaderboard: LeaderboardTable) -> str:
    """Returns a sentence on what the intervals of a table hold over."""
    errors = [row.estimates[RANKED_BY].error for row in leaderboard.models if RANKED_BY in row.estimates]
    seeds = np.array([error.seeds for error in errors] or [len(row.seeds) for row in leaderboard.models])
    if not (seeds > 1).any():
        return f"Intervals: 95 %, over new images for one training each. {SINGLE_TRAININGS}"
    text = "Intervals: 95 %, over new images and new trainings."
    freedom = max((error.training_freedom for error in errors if error.knows_trainings), default=0.0)
    counted = f", {freedom:.0f} degrees of freedom in map F1" if freedom else ""
    text += (
        f" The variance between trainings is from the seeds of all rows ({(seeds > 1).sum()} with several{counted}). "
        "It assumes that the variances of the rows are draws of one distribution."
    )
    if (seeds == 1).any() and (seeds > 1).sum() >= MIN_POOLED_ROWS:
        text += " Rows with a single seed have the common variance."
    elif (seeds == 1).any():
        text += (
            " Rows with a single seed have intervals over images only, and no letters: another seed may change their "
            "order."
        )
    return text


def describe_ranks(leaderboard: LeaderboardTable) -> str:
    """Returns a sentence on ranks, letters and the correction of their comparisons."""
    text = "Rank: by map F1, among models whose classification beats chance; equal means share a rank."
    if leaderboard.scope == "trainings":
        return f"{text} No letters and no intervals of ranks: one training each does not allow them."
    tests = (
        f"paired tests over groups and trainings, of {leaderboard.pairs.num_tested} pairs with Holm's correction at 5 %"
    )
    if len(leaderboard.ranked) > MAX_LETTERED_MODELS:
        return (
            f"{text} Its interval follows from {tests}. Models whose intervals do not overlap are significantly "
            f"different. More than {MAX_LETTERED_MODELS} models have no letters: each would have dozens."
        )
    return (
        f"{text} Its interval and the letters follow from the same {tests}. Models that share a letter are not "
        "significantly different."
    )
