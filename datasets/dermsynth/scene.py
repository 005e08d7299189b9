"""One photograph: skin, disease, distractors, light, camera."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.dermsynth import camera, distractors, skin
from datasets.dermsynth.canvas import Canvas
from datasets.dermsynth.diagnoses import RECIPES
from datasets.dermsynth.fields import Region
from datasets.dermsynth.plan import Case

ATTEMPTS = 12
SMALLEST = 6e-5  # share of the image below which a characteristic is too small to be drawn by anybody


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A photograph and what is in it.

    Attributes:
        image: SRGB, (H, W, 3), uint8.
        truth: Where each characteristic is, by name, (H, W) each, never empty.
        mark: Where the ink of the planted shortcut is, (H, W); None without it.
    """

    image: NDArray[np.uint8]
    truth: dict[str, Region]
    mark: Region | None


def photograph(case: Case, side: int) -> Scene:
    """Renders one image of (side, side) pixels."""
    body, overlay, lamp, sensor = (np.random.default_rng(stream) for stream in case.stream.spawn(4))
    canvas = patient_with(case, side, body)
    free = distractors.room(canvas)
    distractors.hair(overlay, canvas)
    light = skin.backed(overlay, camera.lit(lamp, canvas), canvas.skin)
    light = distractors.pen_dots(overlay, distractors.ruler(overlay, light))
    mark = None
    if case.marked:
        light, mark = distractors.ink_mark(overlay, light, free)
    return Scene(image=camera.exposed(sensor, light), truth=canvas.truth, mark=mark)


def patient_with(case: Case, side: int, rng: np.random.Generator) -> Canvas:
    """The patient's skin with the disease on it, and healthy skin for an ink mark beside it.

    Every image leaves that room, marked or not: otherwise marked lesions would be the smaller ones.
    """
    for _ in range(ATTEMPTS):
        canvas = skin.ground(rng, side, case.patient)
        distractors.blemishes(rng, canvas)
        RECIPES[case.diagnosis](rng, canvas)
        seen = {name: where & canvas.skin for name, where in canvas.truth.items()}
        canvas.truth = {name: where for name, where in sorted(seen.items()) if where.sum() > SMALLEST * side * side}
        if canvas.anything().mean() > 0.004 and distractors.room(canvas).max() > distractors.MARK_RADIUS:
            return canvas
    raise RuntimeError(f"{case.stem} leaves no room for an ink mark after {ATTEMPTS} attempts; change the recipe")
