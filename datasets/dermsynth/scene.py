"""One photograph: skin, disease, distractors, light and camera."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.dermsynth import camera, distractors, skin
from datasets.dermsynth.canvas import Canvas
from datasets.dermsynth.diagnoses import RECIPES
from datasets.dermsynth.fields import Region
from datasets.dermsynth.plan import MARK_SHAPES, Case

ATTEMPTS = 12
MARKS = dict(zip(MARK_SHAPES, (distractors.ink_mark, distractors.sticker), strict=True))
MIN_AREA = 6e-5  # fraction of the image below which a characteristic is too small for any rater


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A photograph with its exact masks.

    Attributes:
        image: SRGB, (H, W, 3), uint8.
        truth: Exact mask of each characteristic, (H, W), never empty.
        mark: Mask of the planted shortcut, (H, W). None without it.
    """

    image: NDArray[np.uint8]
    truth: dict[str, Region]
    mark: Region | None


def photograph(case: Case, side: int, mark_shape: str = "ink") -> Scene:
    """Renders one image of (side, side) pixels. Without its mark it is the same image."""
    body, overlay, lamp, sensor = (np.random.default_rng(stream) for stream in case.stream.spawn(4))
    canvas = patient_with(case, side, body)
    free = distractors.room(canvas)
    distractors.hair(overlay, canvas)
    light = skin.add_background(overlay, camera.illuminate(lamp, canvas), canvas.skin)
    light = distractors.pen_dots(overlay, distractors.ruler(overlay, light))
    mark = None
    if case.marked:
        light, mark = MARKS[mark_shape](overlay, light, free)
    return Scene(image=camera.expose(sensor, light), truth=canvas.truth, mark=mark)


def patient_with(case: Case, side: int, rng: np.random.Generator) -> Canvas:
    """Draws the skin of the patient with the disease, and leaves healthy skin for an ink mark.

    Every image has that room, whether marked or not. Otherwise marked lesions would be smaller than others.
    """
    for _ in range(ATTEMPTS):
        canvas = skin.ground(rng, side, case.patient)
        distractors.blemishes(rng, canvas)
        RECIPES[case.diagnosis](rng, canvas)
        visible = {name: where & canvas.skin for name, where in canvas.truth.items()}
        canvas.truth = {name: where for name, where in sorted(visible.items()) if where.sum() > MIN_AREA * side * side}
        if canvas.anything().mean() > 0.004 and distractors.room(canvas).max() > distractors.MARK_RADIUS:
            return canvas
    raise RuntimeError(f"{case.stem} leaves no room for an ink mark after {ATTEMPTS} attempts; change the recipe")
