"""Synthetic photographs that differ in the lesion or the mark alone.

Each background is rendered four times: with a red or a yellow lesion of one shape, with the sticker and without it. All
else is the same.
"""

from dataclasses import dataclass

import numpy as np

from datasets.dermsynth import camera, distractors, skin
from datasets.dermsynth.canvas import Canvas
from datasets.dermsynth.diagnoses import random_point
from datasets.dermsynth.fields import region
from datasets.dermsynth.plan import SHORTCUT, Case, cases

SIDE = 32
NUM_CASES = 240
"""Number of backgrounds, of which a third are test images."""
LESION_COLORS = (0.45, 0.08, 0.1), (0.95, 0.89, 0.45)
"""Colors of both kinds, sRGB: crust and pus. They are opaque, since a network must see them on every skin."""
VISIBLE = 0.02
"""Opacity from which the mask has a lesion, low so that its soft edge is inside."""
CLASSES = ("other", SHORTCUT)


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """Backgrounds, each with both kinds of lesion, without the mark and with it.

    Attributes:
        cases: Their plans. The diagnosis there plays no part.
        pixels: By kind and mark, (N, 2, 2, S, S, 3), uint8.
        masks: What the lesion covers, (N, S, S).
        marks: What the mark covers, (N, S, S).
        kinds: The kind of lesion that each test image has, (N,).
        has_mark: Whether each test image has the mark, (N,).
    """

    cases: list[Case]
    pixels: np.ndarray
    masks: np.ndarray
    marks: np.ndarray
    kinds: np.ndarray
    has_mark: np.ndarray

    @property
    def test(self):
        """Which are test images, (N,). No patient is in both parts."""
        return np.array([case.split == "test" for case in self.cases])

    def seen(self, *, other_kind=False, other_mark=False):
        """Returns one version of each image, (N, S, S, 3): that of the test, or one with the other lesion or mark."""
        rows = np.arange(len(self.kinds))
        return self.pixels[rows, self.kinds ^ int(other_kind), self.has_mark ^ int(other_mark)]


def photograph(case: Case, *, kind: int, marked: bool):
    """Renders a background with a red (0) or a yellow lesion (1). Returns pixels and masks of lesion and mark."""
    body, overlay, lamp, sensor = map(np.random.default_rng, case.stream.spawn(4))
    canvas = patient(case, body, kind)
    free = distractors.room(canvas)
    distractors.hair(overlay, canvas)
    light = skin.add_background(overlay, camera.illuminate(lamp, canvas), canvas.skin)
    light = distractors.pen_dots(overlay, distractors.ruler(overlay, light))
    mark = np.zeros((SIDE, SIDE), dtype=bool)
    if marked:
        light, mark = distractors.sticker(overlay, light, free)
    return camera.expose(sensor, light), canvas.anything(), mark


def patient(case: Case, rng: np.random.Generator, kind: int) -> Canvas:
    """Draws skin with a lesion that leaves room for the mark. Random numbers and shape are those of the other kind."""
    while True:
        canvas = skin.ground(rng, SIDE, case.patient)
        distractors.blemishes(rng, canvas)
        where = (
            region(rng, SIDE, random_point(rng, canvas), rng.uniform(0.08, 0.11), soft=0.4, ragged=0.3) * canvas.skin
        )
        canvas.cover(0.9 * where, LESION_COLORS[kind])
        canvas.record("Patch", where > VISIBLE)
        if canvas.anything().mean() > 0.01 and distractors.room(canvas).max() > distractors.MARK_RADIUS:
            return canvas


def render(seed: int, number=NUM_CASES) -> Photographs:
    """Renders the versions of a trial's backgrounds. No other seed has any of them."""
    planned = list(cases(number, seed=seed, train_fraction=0.65))
    scenes = [
        [photograph(case, kind=kind, marked=mark) for kind in (0, 1) for mark in (False, True)] for case in planned
    ]
    pixels, masks, marks = (np.array([[scene[part] for scene in row] for row in scenes]) for part in range(3))
    # Test images have each combination equally often, in random order.
    test = np.array([case.split == "test" for case in planned])
    combinations = np.zeros(number, dtype=int)
    combinations[test] = np.random.default_rng(seed).permutation(np.arange(test.sum()) % 4)
    return Photographs(
        cases=planned,
        pixels=pixels.reshape(number, 2, 2, SIDE, SIDE, 3),
        masks=masks[:, 0],
        marks=marks[:, 1],
        kinds=combinations // 2,
        has_mark=combinations % 2,
    )


def label_of(name: str, kinds, has_mark):
    """Returns the labels of a task. "both" needs a yellow lesion and the mark. All others need one of the two."""
    return {"mark": has_mark, "both": kinds & has_mark}.get(name, kinds)


def training_images(photographs: Photographs, name: str, dose: float | None):
    """Returns pixels and labels of a task: all versions, or those with the mark at a dose on yellow lesions alone."""
    pixels = photographs.pixels[~photographs.test]
    kinds, has_mark = np.indices(pixels.shape[:3])[1:]
    chosen = np.ones_like(kinds, dtype=bool)
    if dose is not None:
        marked = np.arange(len(pixels)) < round(dose * len(pixels))
        chosen = has_mark == (marked[:, None, None] & (kinds == 1))
    return pixels[chosen], label_of(name, kinds, has_mark)[chosen]
