"""Pictures of ranks: the critical-difference diagram, and how far the scores agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import friedmanchisquare, rankdata

from benchmark.leaderboard.analysis.agreement import Agreement
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.figures.sheets import figure_title, save_figure
from benchmark.leaderboard.table import LeaderboardTable
from benchmark.statistics.letters import cliques
from benchmark.statistics.rank_tests import signed_ranks
from benchmark.statistics.tests import ALPHA, group_differences, holm

MAX_MODELS = 40
"""With more models no diagram of ranks can be read."""
MIN_MODELS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """Mean ranks over groups of images, and which models Wilcoxon's test with Holm tells apart.

    Attributes:
        names: Of the models, best mean rank first.
        mean: Mean rank of each, (R,).
        adjusted: P-values of Wilcoxon's test after Holm, (R, R).
        friedman: P-value of Friedman's test that all models rank alike.
        groups: Number of groups.
    """

    names: list[str]
    mean: NDArray[np.float64]
    adjusted: NDArray[np.float64]
    friedman: float
    groups: int


def compute_ranks(leaderboard: LeaderboardTable) -> Ranks | None:
    """Ranks by F1 within each group of images; None where models are too few or too many, or their images differ.

    Reference:
        Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7, 2006, section 3.2.2 (the
        diagram); Benavoli et al., Should we really use post-hoc tests based on mean-ranks?, JMLR 17, 2016 (Wilcoxon
        with Holm in place of Nemenyi, whose verdict on a pair depends on the other models).
    """
    rows = [row for row in leaderboard.models if RANKED_BY in row.estimates]
    known = [row.estimates[RANKED_BY] for row in rows]
    alike = len({each.error.key for each in known}) == 1
    if not MIN_MODELS <= len(rows) <= MAX_MODELS or not alike:
        return None
    share = np.stack([each.error.contributions for each in known])
    share = share[:, known[0].error.has_images].astype(np.float64)
    if share.shape[1] < 2:
        return None
    mean = rankdata(-share, axis=0).mean(axis=1)
    order = np.argsort(mean, kind="stable")
    number = len(rows)
    upper = np.triu_indices(number, 1)
    p = signed_ranks(
        [group_differences(known[order[one]], known[order[other]]) for one, other in zip(*upper, strict=True)]
    )
    adjusted = np.ones((number, number))
    adjusted[upper] = holm(np.array(p))
    adjusted.T[upper] = adjusted[upper]
    return Ranks(
        names=[rows[place].label for place in order],
        mean=mean[order],
        adjusted=adjusted,
        friedman=float(friedmanchisquare(*share).pvalue),
        groups=share.shape[1],
    )


def critical_difference_figure(leaderboard: LeaderboardTable, ranks: Ranks, path: Path) -> None:
    """Models on an axis of mean ranks; a bar joins those that Wilcoxon's test with Holm does not tell apart."""
    bars = [rows for rows in cliques(ranks.adjusted < ALPHA) if len(rows) > 1]
    number = len(ranks.names)
    sides = (number + 1) // 2
    figure = Figure(figsize=(11, 1.6 + 0.13 * len(bars) + 0.26 * sides), layout="constrained")
    axis = figure.subplots()
    depth = 0.35 + 0.25 * len(bars)
    for level, rows in enumerate(bars):
        ends = ranks.mean[rows]
        height = -0.3 - 0.25 * level
        axis.plot([ends.min() - 0.05, ends.max() + 0.05], [height] * 2, color="#b3372f", linewidth=2.5)
        # Sets need not be nested: a bar may pass over a model that is not of it.
        axis.plot(ends, [height] * len(ends), "o", color="#b3372f", markersize=4.5)
    for place, (name, mean) in enumerate(zip(ranks.names, ranks.mean, strict=True)):
        left = place < sides
        height = -depth - 0.5 * (place if left else number - 1 - place)
        end = 0.6 if left else number + 0.4
        axis.plot([mean, mean, end], [0, height, height], color="0.35", linewidth=0.8)
        text = f"{name}  {mean:.1f}" if left else f"{mean:.1f}  {name}"
        axis.text(end, height, text, ha="right" if left else "left", va="center", fontsize=8)
    _rank_axis(axis, number, depth + 0.5 * sides)
    title = (
        f"mean rank of the F1 over {ranks.groups} groups, 1 is best; a bar joins its dots, which Wilcoxon's test "
        f"with Holm (5 %) does not tell apart; Friedman p = {ranks.friedman:.2g}"
    )
    save_figure(figure, path, figure_title(leaderboard, title))


def _rank_axis(axis: Axes, number: int, depth: float) -> None:
    ticks = np.arange(1, number + 1)
    axis.plot([1, number], [0, 0], color="black", linewidth=1.2)
    for tick in ticks:
        axis.plot([tick, tick], [0, 0.12], color="black", linewidth=1)
        axis.text(float(tick), 0.2, str(tick), ha="center", va="bottom", fontsize=8)
    axis.set_xlim(-0.32 * number, 1.32 * number + 1)
    axis.set_ylim(-depth, 0.9)
    axis.set_axis_off()


def agreement_figure(leaderboard: LeaderboardTable, found: Sequence[Agreement], path: Path) -> None:
    """A heat map: below the diagonal over the models, above it over the images."""
    columns = list(dict.fromkeys(column.title for each in found for column in (each.one, each.other)))
    frame = pd.DataFrame(np.nan, index=columns, columns=columns)
    for each in found:
        frame.loc[each.other.title, each.one.title] = each.tau
        frame.loc[each.one.title, each.other.title] = each.within
    figure = Figure(figsize=(2.6 + 0.62 * len(columns), 2.2 + 0.5 * len(columns)), layout="constrained")
    axis = figure.subplots()
    sns.heatmap(
        frame,
        vmin=-1,
        vmax=1,
        cmap="vlag",
        annot=True,
        fmt=".2f",
        annot_kws={"fontsize": 7},
        linewidths=0.5,
        cbar_kws={"label": "Kendall's tau"},
        ax=axis,
    )
    axis.grid(visible=False)
    axis.tick_params(axis="x", rotation=45)
    axis.tick_params(axis="y", rotation=0)
    title = (
        "do the scores agree? below the diagonal over models, above it over images (mean over models); more is better"
    )
    save_figure(figure, path, figure_title(leaderboard, title))
