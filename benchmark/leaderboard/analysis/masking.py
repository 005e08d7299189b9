"""The rule for "attack may be masked". Robustness to an attack without gradients proves nothing."""

from benchmark.leaderboard.columns import VANISHING
from benchmark.leaderboard.table import LeaderboardTable, Row

MAX_VANISHING = 0.1
"""Maximum fraction of images with vanishing gradients at which an attack counts as effective."""
MASKED_MARK = "‡"


def is_masked(row: Row) -> bool:
    """Returns whether the gradients vanish at so many images that the attack may be masked."""
    estimate = row.estimates.get(VANISHING)
    return estimate is not None and estimate.value > MAX_VANISHING


def explain_masking(leaderboard: LeaderboardTable) -> str:
    """Explains the mark of masked attacks and names their models. Empty where there are none."""
    masked = [row for row in leaderboard.models if is_masked(row)]
    rows = [f"{row.label} ({100 * row.estimates[VANISHING].value:.0f} %)" for row in masked]
    return (
        f"{MASKED_MARK} The attack may be masked: gradients vanish at more than {100 * MAX_VANISHING:.0f} % of the "
        f"images in {', '.join(rows)}."
        if rows
        else ""
    )
