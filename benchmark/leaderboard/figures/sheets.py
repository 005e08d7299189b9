"""Figures of scores, maps and images."""

import textwrap
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.leaderboard.column import Column
from benchmark.leaderboard.synthetic import marked
from benchmark.leaderboard.table import LeaderboardTable
from benchmark.storage.files import atomic_file
from datasets import printable

RESOLUTION = 110
WEBP = {"quality": 85, "method": 6}
"""How Pillow writes figures that show images. As PNG they take ten times the room. Their letters need a higher
quality than the images of the gallery."""
MAX_ARCHITECTURES = 40
"""Maximum number of architectures in the figure of regimes, in the order of their best models."""


def regimes_figure(leaderboard: LeaderboardTable, path: Path) -> None:
    """Plots the scores by regime: a panel per score, a line per architecture, lines of baselines."""
    columns = [column for column in leaderboard.columns if column.by_regime]
    names = list(dict.fromkeys(row.name for row in leaderboard.models))
    order = names[:MAX_ARCHITECTURES]
    regimes = sorted({row.title for row in leaderboard.models}, key=lambda title: (title != "standard", title))
    colors = dict(zip(regimes, sns.color_palette("colorblind", len(regimes)), strict=True))
    sns.set_theme(style="whitegrid", font_scale=0.8)
    figure = Figure(figsize=(13, 2.2 + max(0.55, 0.16 * len(regimes)) * len(order)), layout="constrained")
    axes = figure.subplots(-(-len(columns) // 3), 3, sharey=True).ravel()
    for axis in axes[len(columns) :]:
        axis.set_axis_off()
    for axis, column in zip(axes, columns, strict=False):
        _draw_panel(axis, leaderboard, column, order, colors)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, list(map(printable, labels)), loc="outside lower center", ncols=4, frameon=False)
    best = f", the best {len(order)} of {len(names)} architectures" if len(order) < len(names) else ""
    save_figure(figure, path, figure_title(leaderboard, f"scores by regime{best}"))


def _draw_panel(
    axis: Axes,
    leaderboard: LeaderboardTable,
    column: Column,
    order: list[str],
    colors: dict[str, tuple[float, float, float]],
) -> None:
    rows = [row for row in leaderboard.models if column.name in row.estimates and row.name in order]
    if not rows:
        axis.set_axis_off()  # such as the map F1 of a data set without masks
        return
    step = min(0.16, 0.8 / len(colors))  # the regimes of an architecture are apart, and within its line
    offsets = {title: (index - (len(colors) - 1) / 2) * step for index, title in enumerate(colors)}
    frame = pd.DataFrame(
        {
            "position": [order.index(row.name) + offsets[row.title] for row in rows],
            "value": [row.estimates[column.name].value for row in rows],
            "regime": [row.title for row in rows],
        }
    )
    for row, height in zip(rows, frame["position"], strict=True):
        estimate = row.estimates[column.name]
        axis.plot([estimate.low, estimate.high], [height] * 2, color=colors[row.title], linewidth=1)
    sns.scatterplot(frame, x="value", y="position", hue="regime", palette=colors, s=45, zorder=3, ax=axis, legend=True)
    _draw_baselines(axis, leaderboard, column)
    if (legend := axis.get_legend()) is not None:
        legend.remove()  # the figure has one for all panels
    axis.set(
        title=column.heading, xlabel="", ylabel="", yticks=range(len(order)), yticklabels=list(map(printable, order))
    )
    axis.set_ylim(len(order) - 0.5, -0.5)


def _draw_baselines(axis: Axes, leaderboard: LeaderboardTable, column: Column) -> None:
    baselines = [row for row in leaderboard.rows if not row.is_model and column.name in row.estimates]
    palette = sns.color_palette("Grays_d", max(1, len(baselines)))
    styles = ["dotted", "dashed", "dashdot", (0, (1, 4)), (0, (5, 5)), (0, (3, 1, 1, 1))]
    for index, row in enumerate(baselines):
        value = row.estimates[column.name].value
        if np.isfinite(value):
            axis.axvline(value, color=palette[index], linestyle=styles[index % len(styles)], label=row.name)


def map_sheet(
    images: NDArray[np.uint8],
    references: NDArray[np.uint8],
    maps: dict[str, NDArray[np.float16]],
    title: str,
    path: Path,
) -> None:
    """Draws a sheet with a row per image: the image, its masks, and the map of each model.

    Args:
        images: (K, S, S, 3), uint8.
        references: Merged masks (K, S, S), uint8.
        maps: By name of the model, (K, S, S) in [0, 1].
        title: Title of the sheet.
        path: Where to write it. The suffix says whether as PNG or WebP.
    """
    rows = len(images)
    columns = 2 + len(maps)
    figure = Figure(figsize=(1.35 * columns, 1.35 * rows + 0.9), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        _draw_image(axes[row, 0], images[row], "image" if row == 0 else "")
        _draw_overlay(axes[row, 1], images[row], references[row] / 255, "masks" if row == 0 else "")
        for column, (name, model_maps) in enumerate(maps.items(), start=2):
            _draw_overlay(axes[row, column], images[row], model_maps[row].astype(float), name if row == 0 else "")
    save_figure(figure, path, title)


def contact_sheet(images: NDArray[np.uint8], titles: list[str], columns: int, title: str, path: Path) -> None:
    """Draws images (K, S, S, 3), uint8, in a number of columns, each with its own title."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.6 * columns, 1.75 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, name in zip(axes, images, titles, strict=False):
        _draw_image(axis, image, name)
    save_figure(figure, path, title)


def _draw_image(axis: Axes, image: NDArray[np.uint8], title: str) -> None:
    axis.imshow(image)
    axis.set_title(printable(title).replace("/", "\n"), fontsize=7)
    axis.set_axis_off()


def _draw_overlay(axis: Axes, image: NDArray[np.uint8], values: NDArray[np.float64], title: str) -> None:
    gray = image.mean(axis=2)
    axis.imshow(gray, cmap="gray", vmin=0, vmax=255)
    axis.imshow(values, cmap="inferno", vmin=0, vmax=1, alpha=0.65)
    axis.set_title(printable(title).replace("/", "\n"), fontsize=7)
    axis.set_axis_off()


def figure_title(leaderboard: LeaderboardTable, content: str) -> str:
    """Returns the title of a figure of a table, with a mark for synthetic data."""
    record = leaderboard.record
    return marked(f"{record.dataset}, {record.preset}, {leaderboard.method}: {content}", synthetic=record.synthetic)


def save_figure(figure: Figure, path: Path, title: str) -> None:
    """Writes a figure with its title, as PNG or WebP. Equal figures give equal bytes."""
    width = int(figure.get_figwidth() * 10)
    figure.suptitle("\n".join(textwrap.wrap(printable(title), width)), fontsize=9)
    with mpl.rc_context({"svg.hashsalt": "loupe"}), atomic_file(path) as temporary:
        if path.suffix == ".webp":
            figure.savefig(temporary, dpi=RESOLUTION, pil_kwargs=WEBP)
        else:
            figure.savefig(temporary, dpi=RESOLUTION, metadata={"Software": None})  # it names matplotlib's version
