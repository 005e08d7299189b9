"""Figures of ranks: the critical-difference diagram, and the agreement of the scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmark.leaderboard.analysis.agreement import Agreement
from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.figures.sheets import figure_title, save_figure
from benchmark.leaderboard.table import LeaderboardTable
from benchmark.statistics.letters import cliques
from datasets import printable

MAX_MODELS = 40
"""Maximum number of models in a readable diagram of ranks."""
MIN_MODELS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """Mean ranks of the models over groups of images, and the significant pairs of the table.

    Attributes:
        names: Labels of the models, best mean rank first.
        mean: Mean ranks, (R,).
        significant: Which pairs the table separates, (R, R); None where it is about single trainings.
        groups: Number of groups.
    """

    names: list[str]
    mean: NDArray[np.float64]
    significant: NDArray[np.bool_] | None
    groups: int


def compute_ranks(leaderboard: LeaderboardTable) -> Ranks | None:
    """Ranks models by map F1 within each group of images. The tests are those of the table.

    Returns:
        The ranks; None with too few or too many models with a rank, fewer than two groups, or different images.
    Reference:
        Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7, 2006, section 3.2.2 (the
        diagram); Benavoli et al., Should we really use post-hoc tests based on mean-ranks?, JMLR 17, 2016 (tests of the
        pair alone in place of Nemenyi's, whose verdict on a pair depends on the other models).
    """
    rows = leaderboard.ranked
    estimates = [row.estimates[RANKED_BY] for row in rows]
    same_images = len({estimate.error.key for estimate in estimates}) == 1
    if not MIN_MODELS <= len(rows) <= MAX_MODELS or not same_images:
        return None
    contributions = np.stack([estimate.error.contributions for estimate in estimates])
    contributions = contributions[:, estimates[0].error.has_images].astype(np.float64)
    if contributions.shape[1] < 2:
        return None
    mean = rankdata(-contributions, axis=0).mean(axis=1)
    order = np.argsort(mean, kind="stable")
    tested = all(estimate.error.knows_trainings for estimate in estimates)
    return Ranks(
        names=[rows[index].label for index in order],
        mean=mean[order],
        significant=leaderboard.pairs.significant[np.ix_(order, order)] if tested else None,
        groups=contributions.shape[1],
    )


def critical_difference_figure(leaderboard: LeaderboardTable, ranks: Ranks, path: Path) -> None:
    """Plots models on an axis of mean ranks. A bar joins models that the table does not separate."""
    bars = [] if ranks.significant is None else [rows for rows in cliques(ranks.significant) if len(rows) > 1]
    num_models = len(ranks.names)
    num_left = (num_models + 1) // 2
    figure = Figure(figsize=(11, 1.6 + 0.13 * len(bars) + 0.26 * num_left), layout="constrained")
    axis = figure.subplots()
    depth = 0.35 + 0.25 * len(bars)
    for level, rows in enumerate(bars):
        ends = ranks.mean[rows]
        height = -0.3 - 0.25 * level
        axis.plot([ends.min() - 0.05, ends.max() + 0.05], [height] * 2, color="#b3372f", linewidth=2.5)
        # A set need not be an interval: a bar may pass a model that it does not join. Dots mark its members.
        axis.plot(ends, [height] * len(ends), "o", color="#b3372f", markersize=4.5)
    for index, (name, mean) in enumerate(zip(ranks.names, ranks.mean, strict=True)):
        left = index < num_left
        height = -depth - 0.5 * (index if left else num_models - 1 - index)
        end = 0.6 if left else num_models + 0.4
        axis.plot([mean, mean, end], [0, height, height], color="0.35", linewidth=0.8)
        text = printable(f"{name}  {mean:.1f}" if left else f"{mean:.1f}  {name}")
        axis.text(end, height, text, ha="right" if left else "left", va="center", fontsize=8)
    _draw_rank_axis(axis, num_models, depth + 0.5 * num_left)
    tests = (
        "no test separates them, since some are single trainings"
        if ranks.significant is None
        else "dots on one bar are not significantly different in map F1 (the tests of the table)"
    )
    title = f"mean rank by map F1 over {ranks.groups} groups, 1 is best; {tests}"
    save_figure(figure, path, figure_title(leaderboard, title))


def _draw_rank_axis(axis: Axes, num_models: int, depth: float) -> None:
    ticks = np.arange(1, num_models + 1)
    axis.plot([1, num_models], [0, 0], color="black", linewidth=1.2)
    for tick in ticks:
        axis.plot([tick, tick], [0, 0.12], color="black", linewidth=1)
        axis.text(float(tick), 0.2, str(tick), ha="center", va="bottom", fontsize=8)
    axis.set_xlim(-0.32 * num_models, 1.32 * num_models + 1)
    axis.set_ylim(-depth, 0.9)
    axis.set_axis_off()


def agreement_figure(leaderboard: LeaderboardTable, agreements: Sequence[Agreement], path: Path) -> None:
    """Plots the agreement of the scores as a heat map: below the diagonal over models, above it over images."""
    columns = list(dict.fromkeys(column.title for pair in agreements for column in (pair.one, pair.other)))
    frame = pd.DataFrame(np.nan, index=columns, columns=columns)
    for pair in agreements:
        frame.loc[pair.other.title, pair.one.title] = pair.tau
        frame.loc[pair.one.title, pair.other.title] = pair.within
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
        "agreement of the scores: below the diagonal over models, above it over images (mean over models); signs are "
        "those for which more is better"
    )
    save_figure(figure, path, figure_title(leaderboard, title))
