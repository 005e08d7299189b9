"""A sheet of images with the lesion, the image without it, what the answer becomes, and the maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.leaderboard.figures.sheets import save_figure
from datasets import printable

MAX_ROWS = 6
"""Maximum number of images below one another. More images form a second block next to the first."""
OUTLINE = "#00e5ff"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliancePanel:
    """One image of the sheet.

    Attributes:
        image: (S, S, 3), uint8.
        mask: Expert mask, (S, S).
        filled: The image with the lesion filled, (S, S, 3), uint8.
        before: Answer to the image.
        after: Answer to the filled image.
        maps: Maps (S, S) in [0, 1] by name of the method.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    filled: NDArray[np.uint8]
    before: str
    after: str
    maps: Mapping[str, NDArray[np.floating]]


def reliance_sheet(panels: Sequence[ReliancePanel], title: str, path: Path) -> None:
    """Draws image with outline, filled image and maps of each panel. The titles are the answers and the methods.

    Args:
        panels: The images, all with the same methods. One alone is a figure for a text.
        title: Title of the sheet.
        path: Where to write it. The suffix says whether as PNG or WebP.
    """
    rows, blocks, width = min(len(panels), MAX_ROWS), -(-len(panels) // MAX_ROWS), 2 + len(panels[0].maps)
    figure = Figure(figsize=(1.5 * width * blocks, 1.75 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, width * blocks, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for index, panel in enumerate(panels):
        block, row = divmod(index, MAX_ROWS)
        _draw_panel(list(axes[row, block * width : (block + 1) * width]), panel)
    save_figure(figure, path, title)


def _draw_panel(axes: Sequence[Axes], panel: ReliancePanel) -> None:
    _draw(axes[0], panel.image, panel.before)
    axes[0].contour(panel.mask, levels=[0.5], colors=OUTLINE, linewidths=0.8)
    _draw(axes[1], panel.filled, panel.after)
    for axis, (name, saliency) in zip(axes[2:], panel.maps.items(), strict=True):
        axis.imshow(panel.image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
        axis.imshow(saliency.astype(np.float64), cmap="inferno", vmin=0, vmax=1, alpha=0.65)
        axis.contour(panel.mask, levels=[0.5], colors=OUTLINE, linewidths=0.8)
        axis.set_title(name, fontsize=7)


def _draw(axis: Axes, image: NDArray[np.uint8], title: str) -> None:
    axis.imshow(image)
    axis.set_title(printable(title), fontsize=7)
