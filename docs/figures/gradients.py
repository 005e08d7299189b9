"""Draws docs/images/gradients-regimes.webp: slices in the first row, gradient maps of one model in each other row.

Run from the repository: ``python -m docs.figures.gradients DATA MAPS ...``. DATA is a data set in the layout `folder`.
MAPS are directories that `export-maps --method gradient` wrote, of models of one table.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typer import echo

from benchmark.leaderboard.figures.sheets import WEBP

NAMES = ("0059", "0126", "1326", "2071", "2371", "2671", "3011")
"""Names of the slices: a pituitary tumor, a meningioma, a pituitary tumor and four gliomas."""
SIDE = 160
"""Height and width of a tile in pixels."""
BRIGHTEST = 0.995
"""The quantile of a map that is drawn white."""
OUTPUT = Path("docs/images/gradients-regimes.webp")


def tile(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a gray picture (H, W) in the size of a tile."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST))


def draw_map(path: Path) -> NDArray[np.uint8]:
    """Returns the tile of a map."""
    saliency = np.load(path)
    return tile((255 * np.clip(saliency / np.quantile(saliency, BRIGHTEST), 0, 1)).astype(np.uint8))


def draw_image(data: Path, name: str) -> NDArray[np.uint8]:
    """Returns the tile of an image."""
    (path,) = data.glob(f"images/*/{name}.*")
    return np.asarray(Image.open(path).convert("L").resize((SIDE, SIDE)))


def main(data: Path, maps: Sequence[Path]) -> None:
    """Draws the figure."""
    rows = [[draw_image(data, name) for name in NAMES]]
    rows += [[draw_map(directory / f"{name}.npy") for name in NAMES] for directory in maps]
    Image.fromarray(np.vstack([np.hstack(row) for row in rows])).save(OUTPUT, **WEBP)
    echo(f"wrote {OUTPUT}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
