"""Rendered clinical photographs of the six diagnoses of DermXDB, with exact and with human-like masks.

No layout of its own: what is rendered is written in DermXDB's layout and read back by its reader.
"""

from pathlib import Path

import numpy as np

from datasets.dermsynth import layout
from datasets.dermsynth.plan import DIAGNOSES, cases
from datasets.dermsynth.raters import drawings
from datasets.dermsynth.scene import photograph

# To be raised with every change that alters a byte of what is rendered.
VERSION = 1


def render(directory: Path, *, images: int, side: int = 192, seed: int = 0, train_share: float = 0.65) -> None:
    """Renders a data set and writes it in DermXDB's v1 layout, with the folds of v2 as its official split.

    The same arguments give the same pixels, and with the same zlib the same bytes. Image i does not depend on
    `images`; its streams depend on (seed, i) alone, and its patient and split on the images before it.

    An ink mark is planted in about 60 % of the training images of one diagnosis and in none of the others, and in
    about 20 % of the test images of every diagnosis. `shortcut/` tells where.

    Args:
        directory: Where to; must not exist or be empty. It is left incomplete when the rendering is interrupted.
        images: How many, at least one for each diagnosis; the diagnoses take turns.
        side: Side of the square images in pixels, at least 32.
        seed: Seed of everything random, from 0.
        train_share: Share of training images, in (0, 1), kept as nearly as whole patients allow.

    Raises:
        ValueError: The directory is not empty or an argument is out of range.
    """
    if images < len(DIAGNOSES) or side < 32 or seed < 0 or not 0 < train_share < 1:
        raise ValueError(f"cannot render {images=}, {side=}, {seed=}, {train_share=}; see the ranges of render")
    layout.prepare(directory)
    planned = cases(images, seed=seed, train_share=train_share)
    masks: list[tuple[str, str, str]] = []
    for case in planned:
        scene = photograph(case, side)
        layout.write_png(directory / layout.IMAGES / f"{case.stem}.png", scene.image)
        if scene.mark is not None:
            layout.write_png(directory / layout.SHORTCUTS / f"{case.stem}.png", scene.mark)
        masks += layout.write_masks(directory, case.stem, drawings(np.random.default_rng(case.hands), scene.truth))
    layout.write_tables(directory, planned, masks)
    layout.write_note(directory, f"Version {VERSION}, {images=}, {side=}, {seed=}, {train_share=}.")
