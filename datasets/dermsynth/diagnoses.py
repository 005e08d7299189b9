"""Recipes of the six diagnoses, from characteristics."""

from collections.abc import Callable

import numpy as np

from datasets.dermsynth import characteristics as draw
from datasets.dermsynth.canvas import Canvas
from datasets.dermsynth.fields import Field, Point, noise, region


def random_point(rng: np.random.Generator, canvas: Canvas) -> Point:
    """Draws a point on the skin, not at the very edge of the image."""
    point = (0.5, 0.5)
    for _ in range(20):
        point = (float(rng.uniform(0.16, 0.84)), float(rng.uniform(0.16, 0.84)))
        if canvas.skin[int(point[0] * canvas.side), int(point[1] * canvas.side)]:
            break
    return point


def near(rng: np.random.Generator, point: Point, spread: float) -> Point:
    """Draws a point near another one."""
    return (point[0] + spread * float(rng.standard_normal()), point[1] + spread * float(rng.standard_normal()))


def acne(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draws papules, pustules and comedones in a cluster, sometimes scars and a cyst."""
    middle, spread = random_point(rng, canvas), rng.uniform(0.14, 0.26)
    size = rng.uniform(1.1, 1.8)
    canvas.gloss += 0.25
    flush = region(rng, canvas.side, middle, 1.6 * spread, soft=0.8, ragged=0.3)
    canvas.blood += rng.uniform(0.0, 0.25) * flush
    if rng.random() < 0.35:
        for _ in range(rng.integers(4, 14)):
            draw.scar(rng, canvas, near(rng, middle, spread), size * rng.uniform(0.012, 0.024))
    for _ in range(rng.integers(0, 12)):
        draw.closed_comedo(rng, canvas, near(rng, middle, spread), size * rng.uniform(0.01, 0.017))
    for _ in range(rng.integers(9, 28)):
        redness = rng.uniform(0.45, 1.0)
        draw.papule(rng, canvas, near(rng, middle, spread), size * rng.uniform(0.014, 0.036), redness=redness)
    for _ in range(rng.integers(2, 12)):
        draw.pustule(rng, canvas, near(rng, middle, spread), size * rng.uniform(0.009, 0.016))
    for _ in range(rng.integers(2, 24)):
        draw.open_comedo(rng, canvas, near(rng, middle, spread), size * rng.uniform(0.006, 0.011))
    if rng.random() < 0.2:
        draw.papule(rng, canvas, near(rng, middle, spread), rng.uniform(0.05, 0.08), redness=1.0, name="Cyst")


def actinic_keratosis(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draws sun-damaged skin with small pink, rough lesions."""
    side, middle = canvas.side, random_point(rng, canvas)
    if rng.random() < 0.75:
        ring = region(rng, side, near(rng, middle, 0.12), rng.uniform(0.3, 0.46), soft=0.5, ragged=0.25)
        draw.sun_damage(rng, canvas, ring)
    for _ in range(rng.integers(0, 7)):
        draw.macule(rng, canvas, near(rng, middle, 0.25), rng.uniform(0.012, 0.035), dark=rng.uniform(0.25, 0.6))
    if rng.random() < 0.4:
        draw.telangiectasia(rng, canvas, near(rng, middle, 0.15), spread=0.12)
    name, raised = (("Plaque", 0.005), ("Patch", 0.0))[int(rng.random() < 0.35)]
    for nth in range(rng.integers(1, 5)):
        radius = rng.uniform(0.06, 0.16)
        center = middle if nth == 0 else near(rng, middle, 0.2)
        alpha = region(rng, side, center, radius, soft=0.35, ragged=0.25) * canvas.skin
        draw.inflamed(canvas, alpha, redness=rng.uniform(0.25, 0.65), name=name, raised=raised)
        color = ((0.87, 0.8, 0.66), (0.78, 0.66, 0.47))[rng.integers(2)]
        coverage, thick = rng.uniform(0.2, 0.6), rng.uniform(0.45, 0.85)
        draw.scale(rng, canvas, alpha, draw.Horn(color=color, coverage=coverage, flake=0.045, thick=thick))


def psoriasis(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draws sharply bounded red plaques with silvery scale."""
    side, middle = canvas.side, random_point(rng, canvas)
    num_lesions = int(rng.choice((1, 2, 3, 5), p=(0.35, 0.25, 0.2, 0.2)))
    redness, coverage, thick = rng.uniform(0.4, 0.95), rng.uniform(0.2, 0.75), rng.uniform(0.45, 0.85)
    for nth in range(num_lesions):
        radius = rng.uniform(0.17, 0.36) / np.sqrt(num_lesions) ** 0.7
        center = middle if nth == 0 else random_point(rng, canvas)
        alpha = region(rng, side, center, radius, soft=0.09, ragged=0.18) * canvas.skin
        draw.inflamed(canvas, alpha, redness=redness, name="Plaque", raised=0.006)
        silver = (0.9, 0.87, 0.85) if canvas.melanin.mean() < 1.4 else (0.72, 0.68, 0.67)
        draw.scale(rng, canvas, alpha, draw.Horn(color=silver, coverage=coverage, flake=0.06, thick=thick))


def seborrheic_dermatitis(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draws ill-defined pink patches with greasy yellow scale."""
    side, middle = canvas.side, random_point(rng, canvas)
    num_lesions = int(rng.integers(1, 4))
    redness, coverage, thick = rng.uniform(0.25, 0.7), rng.uniform(0.25, 0.65), rng.uniform(0.45, 0.8)
    canvas.gloss += 0.3
    for nth in range(num_lesions):
        radius = rng.uniform(0.18, 0.35) / np.sqrt(num_lesions) ** 0.7
        center = middle if nth == 0 else near(rng, middle, 0.28)
        alpha = region(rng, side, center, radius, soft=rng.uniform(0.4, 0.7), ragged=0.35) * canvas.skin
        draw.inflamed(canvas, alpha, redness=redness, name="Patch")
        canvas.gloss += 0.4 * alpha
        yellow = (0.92, 0.8, 0.55) if canvas.melanin.mean() < 1.4 else (0.68, 0.58, 0.42)
        draw.scale(rng, canvas, alpha, draw.Horn(color=yellow, coverage=coverage, flake=0.05, thick=thick))


def viral_warts(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draws rough skin-colored to gray bumps with black dots."""
    num_lesions = int(rng.choice((1, 2, 3, 6), p=(0.35, 0.25, 0.2, 0.2)))
    middle, size = random_point(rng, canvas), rng.uniform(0.11, 0.24) / np.sqrt(num_lesions) ** 0.8
    canvas.height *= 1.4  # hands and soles, where the lines are strong
    for nth in range(num_lesions):
        center = middle if nth == 0 else near(rng, middle, 0.2)
        radius = size * rng.uniform(0.7, 1.2)
        draw.wart(rng, canvas, center, radius, name="Nodule" if radius > 0.12 else "Papule")
        if rng.random() < 0.6:
            draw.thrombosed_capillaries(rng, canvas, center, radius)


def vitiligo(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draws sharply bounded patches without pigment, sometimes with white hairs."""
    side, middle = canvas.side, random_point(rng, canvas)
    # Patches are visible only next to pigment, so the fairest patients are tanned.
    canvas.melanin += np.clip(0.6 - canvas.melanin.mean(), 0, None)
    num_lesions = int(rng.choice((1, 2, 3, 5), p=(0.3, 0.25, 0.25, 0.2)))
    left = rng.uniform(0.02, 0.25)
    for nth in range(num_lesions):
        radius = rng.uniform(0.17, 0.36) / np.sqrt(num_lesions) ** 0.7
        center = middle if nth == 0 else random_point(rng, canvas)
        patch = region(rng, side, center, radius, soft=0.08, ragged=0.32) * canvas.skin
        draw.depigmented(rng, canvas, patch, left=left)
        if rng.random() < 0.25:
            draw.leukotrichia(rng, canvas, _half(rng, patch))


def _half(rng: np.random.Generator, patch: Field) -> Field:
    """Returns about half of an area, in one piece."""
    side = len(patch)
    part = patch * (noise(rng, side, 0.8) > 0)
    return part if (part > 0.5).any() else patch


RECIPES: dict[str, Callable[[np.random.Generator, Canvas], None]] = {
    "Acne": acne,
    "Actinic keratosis": actinic_keratosis,
    "Psoriasis": psoriasis,
    "Seborrheic dermatitis": seborrheic_dermatitis,
    "Viral warts": viral_warts,
    "Vitiligo": vitiligo,
}
