"""Rendered clinical photographs of the six diagnoses of DermXDB, with exact and with human-like masks.

The files are written in the layout of DermXDB, and its reader loads them.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from datasets.dermsynth import layout
from datasets.dermsynth.plan import DIAGNOSES, MARK_SHAPES, Case, PlantedMark, cases
from datasets.dermsynth.raters import drawings
from datasets.dermsynth.scene import photograph

# Raise it with every change that alters a rendered byte.
VERSION = 1
DEFAULT_MARK = PlantedMark()


def render(
    directory: Path,
    *,
    images: int,
    side: int = 192,
    seed: int = 0,
    train_fraction: float = 0.65,
    mark: PlantedMark = DEFAULT_MARK,
) -> None:
    """Renders a data set and writes it in the v1 layout of DermXDB, with the folds of v2 as its official split.

    The same arguments give the same pixels, and with the same zlib the same bytes. Image i does not depend on
    `images`. Its random streams depend only on (seed, i), its patient and split on the images before it.

    A mark is planted in a fraction of the training images of one diagnosis, the dose, and in none of the others. It is
    also planted in about 20 % of the test images of every diagnosis. `shortcut/` has its masks. Its dose and shape
    change no image without it.

    Args:
        directory: Output directory, which must not exist or be empty. An interrupted rendering leaves it incomplete.
        images: Number of images, at least one for each diagnosis. Diagnoses alternate.
        side: Side of the square images in pixels, at least 32.
        seed: Seed of all random numbers, at least 0.
        train_fraction: Fraction of training images, in (0, 1), as exactly as whole patients allow.
        mark: The planted mark.

    Raises:
        ValueError: The directory is not empty or an argument is out of range.
    """
    if images < len(DIAGNOSES) or side < 32 or seed < 0 or not 0 < train_fraction < 1:
        raise ValueError(f"cannot render {images=}, {side=}, {seed=}, {train_fraction=}; see the ranges of render")
    if not 0 <= mark.dose <= 1 or mark.shape not in MARK_SHAPES:
        raise ValueError(f"cannot plant {mark}; take {' or '.join(MARK_SHAPES)} and a dose from 0 to 1")
    layout.create_directories(directory)
    planned = cases(images, seed=seed, train_fraction=train_fraction, dose=mark.dose)

    def render_case(case: Case) -> list[tuple[str, str, str]]:
        scene = photograph(case, side, mark.shape)
        layout.write_png(directory / layout.IMAGES / f"{case.stem}.png", scene.image)
        if scene.mark is not None:
            layout.write_png(directory / layout.SHORTCUTS / f"{case.stem}.png", scene.mark)
        return layout.write_masks(directory, case.stem, drawings(np.random.default_rng(case.hands), scene.truth))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        masks = [row for rows in pool.map(render_case, planned) for row in rows]
    layout.write_tables(directory, planned, masks)
    planted = "" if mark == DEFAULT_MARK else f", mark={mark.shape}, dose={mark.dose}"
    layout.write_note(
        directory, f"Version {VERSION}, {images=}, {side=}, {seed=}, train_share={train_fraction}{planted}."
    )
