"""The characteristics of the diagnoses. Each function draws one and records its exact mask in the canvas.

Names are those of DermXDB.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from datasets.dermsynth.canvas import Canvas
from datasets.dermsynth.fields import Field, Point, fractal, noise, spot, step, strokes, wander

CHARACTERISTICS = (
    "Closed comedo",
    "Cyst",
    "Dermatoglyph disruption",
    "Leukotrichia",
    "Macule",
    "Nodule",
    "Open comedo",
    "Papule",
    "Patch",
    "Plaque",
    "Pustule",
    "Scale",
    "Scar",
    "Sun damage",
    "Telangiectasia",
    "Thrombosed capillaries",
)


def inflamed(canvas: Canvas, alpha: Field, *, redness: float, name: str, raised: float = 0.0) -> None:
    """Draws a red area, flat (Patch) or raised (Plaque), of opacity (H, W)."""
    canvas.blood += redness * alpha
    canvas.melanin += 0.2 * redness * canvas.melanin * alpha
    canvas.height += raised * alpha
    canvas.record(name, alpha > 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Horn:
    """The appearance of scale.

    Attributes:
        color: sRGB, in [0, 1].
        coverage: Fraction of the lesion that flakes cover, in (0, 1).
        flake: Size of a flake as a fraction of the side.
        thick: Opacity and height of the flakes, in (0, 1].
    """

    color: tuple[float, float, float]
    coverage: float
    flake: float
    thick: float


def scale(rng: np.random.Generator, canvas: Canvas, where: Field, horn: Horn) -> None:
    """Draws flakes of horn on a lesion of opacity (H, W)."""
    pattern = fractal(rng, canvas.side, horn.flake, octaves=3, gain=0.7) + 0.5 * noise(rng, canvas.side, 6 * horn.flake)
    inside = where > 0.5
    if not inside.any():
        return
    limit = np.quantile(pattern[inside], 1 - horn.coverage)
    flakes = step(pattern - limit, 0.6) * where
    grit = np.clip(0.85 + 0.15 * noise(rng, canvas.side, 0.012), 0, 1)
    canvas.cover(horn.thick * flakes * grit, horn.color)
    canvas.height += 0.0018 * horn.thick * flakes * (1 + 0.5 * noise(rng, canvas.side, 0.015))
    # Raters outline the scaly area, not each flake, so narrow gaps belong to the mask.
    filled = ndimage.gaussian_filter(flakes, 0.012 * canvas.side, truncate=3)
    canvas.record("Scale", (filled > 0.3) & inside)


def papule(
    rng: np.random.Generator, canvas: Canvas, center: Point, radius: float, *, redness: float, name: str = "Papule"
) -> None:
    """Draws a red bump. As Cyst or Nodule it is large."""
    at, halo = spot(rng, canvas.side, center, 1.5 * radius, soft=0.9)
    canvas.blood[at] += 0.3 * redness * halo
    at, alpha = spot(rng, canvas.side, center, radius, soft=0.45)
    canvas.blood[at] += redness * alpha
    canvas.melanin[at] += 0.1 * canvas.melanin[at] * alpha
    canvas.height[at] += 0.13 * radius * alpha
    canvas.gloss[at] += 0.4 * alpha
    canvas.record(name, alpha > 0.5, at=at)


def pustule(rng: np.random.Generator, canvas: Canvas, center: Point, radius: float) -> None:
    """Draws a papule with a yellowish tip."""
    papule(rng, canvas, center, 1.7 * radius, redness=rng.uniform(0.7, 1.2))
    at, alpha = spot(rng, canvas.side, center, radius, soft=0.35)
    canvas.cover(0.9 * alpha, (0.95, 0.89, 0.68), at=at)
    canvas.height[at] += 0.15 * radius * alpha
    canvas.record("Pustule", alpha > 0.5, at=at)


def open_comedo(rng: np.random.Generator, canvas: Canvas, center: Point, radius: float) -> None:
    """Draws a black dot in a pore."""
    at, alpha = spot(rng, canvas.side, center, radius, soft=0.4)
    canvas.cover(0.9 * alpha, (0.13, 0.1, 0.09), at=at)
    canvas.record("Open comedo", alpha > 0.5, at=at)


def closed_comedo(rng: np.random.Generator, canvas: Canvas, center: Point, radius: float) -> None:
    """Draws a small pale bump."""
    at, alpha = spot(rng, canvas.side, center, radius, soft=0.5)
    canvas.blood[at] *= 1 - 0.6 * alpha
    canvas.melanin[at] *= 1 - 0.35 * alpha
    canvas.height[at] += 0.2 * radius * alpha
    canvas.record("Closed comedo", alpha > 0.5, at=at)


def scar(rng: np.random.Generator, canvas: Canvas, center: Point, radius: float) -> None:
    """Draws a pit with a darkened floor."""
    at, alpha = spot(rng, canvas.side, center, radius, soft=0.4)
    canvas.height[at] -= 0.2 * radius * alpha
    canvas.melanin[at] += (0.2 + 0.3 * canvas.melanin[at]) * alpha
    canvas.blood[at] += 0.35 * alpha
    canvas.record("Scar", alpha > 0.5, at=at)


def macule(rng: np.random.Generator, canvas: Canvas, center: Point, radius: float, *, dark: float) -> None:
    """Draws a flat brown spot."""
    at, alpha = spot(rng, canvas.side, center, radius, soft=0.5)
    canvas.melanin[at] += dark * alpha
    canvas.record("Macule", alpha > 0.5, at=at)


def sun_damage(rng: np.random.Generator, canvas: Canvas, where: Field) -> None:
    """Draws mottled, coarse skin of opacity (H, W): blotches of pigment and of blood, deeper lines."""
    side = canvas.side
    blotches = np.clip(fractal(rng, side, 0.07, octaves=2) - 0.3, 0, 1.5)
    canvas.melanin += where * (0.12 + 0.45 * blotches)
    canvas.blood += where * (0.15 + 0.15 * np.clip(fractal(rng, side, 0.12), -1, 2))
    canvas.height += where * 0.0008 * fractal(rng, side, 0.06, octaves=3)
    canvas.record("Sun damage", where > 0.5)


def telangiectasia(rng: np.random.Generator, canvas: Canvas, center: Point, *, spread: float) -> None:
    """Draws fine red vessels that branch around a point."""
    starts = np.asarray(center) + spread * rng.uniform(-1, 1, (rng.integers(5, 10), 2))
    paths = [wander(rng, (y, x), rng.uniform(0.06, 0.2), turn=5.0) for y, x in starts.tolist()]
    lines = strokes(canvas.side, paths, 0.008)
    canvas.blood += 1.6 * lines
    near = ndimage.gaussian_filter(lines, 0.012 * canvas.side, truncate=3)
    canvas.record("Telangiectasia", near > 0.15)


def wart(rng: np.random.Generator, canvas: Canvas, center: Point, radius: float, *, name: str) -> None:
    """Draws a rough gray bump that interrupts the lines of the skin and has clotted vessels in it."""
    side = canvas.side
    at, around = spot(rng, side, center, 1.3 * radius, soft=0.25)
    canvas.height[at] *= 1 - around
    canvas.melanin[at] *= 1 - 0.25 * around
    canvas.blood[at] += 0.25 * around
    canvas.record("Dermatoglyph disruption", around > 0.5, at=at)
    at, alpha = spot(rng, side, center, radius, soft=0.25)
    knobs = np.abs(fractal(rng, side, max(0.02, 0.25 * radius), octaves=3, gain=0.7))[at]
    canvas.height[at] += alpha * (0.1 * radius + 0.0025 * knobs)
    horn = (0.78, 0.73, 0.64) if canvas.melanin.mean() < 1.4 else (0.56, 0.5, 0.44)
    canvas.cover(alpha * np.clip(0.45 + 0.2 * knobs, 0, 0.8), horn, at=at)
    canvas.record(name, alpha > 0.5, at=at)


def thrombosed_capillaries(rng: np.random.Generator, canvas: Canvas, center: Point, radius: float) -> None:
    """Draws black dots in a wart."""
    for _ in range(rng.integers(4, 12)):
        angle, away = rng.uniform(0, 2 * np.pi), 0.75 * radius * np.sqrt(rng.random())
        point = center[0] + away * np.sin(angle), center[1] + away * np.cos(angle)
        at, alpha = spot(rng, canvas.side, point, rng.uniform(0.007, 0.013), soft=0.5)
        canvas.cover(0.92 * alpha, (0.14, 0.05, 0.05), at=at)
        canvas.record("Thrombosed capillaries", alpha > 0.4, at=at)


def depigmented(rng: np.random.Generator, canvas: Canvas, where: Field, *, left: float) -> None:
    """A white area of opacity (H, W) with a sharp border; `left` is the share of pigment that is left."""
    islands = 0.4 * step(noise(rng, canvas.side, 0.03) - 2.0, 0.3)
    canvas.melanin *= 1 - where * (1 - left) * (1 - islands)
    canvas.blood *= 1 - 0.5 * where
    canvas.record("Patch", where > 0.5)


def leukotrichia(rng: np.random.Generator, canvas: Canvas, where: Field) -> None:
    """Draws white hairs on an area of opacity (H, W)."""
    rows, columns = np.nonzero(where > 0.5)
    picks = rng.random(rng.integers(12, 30))
    indices = (picks * len(rows)).astype(np.int64)
    starts = zip(rows[indices] / canvas.side, columns[indices] / canvas.side, strict=True)
    paths = [wander(rng, (float(y), float(x)), rng.uniform(0.05, 0.1), bend=5.0) for y, x in starts]
    hairs = strokes(canvas.side, paths, 0.008) * where
    canvas.cover(0.9 * hairs, (0.97, 0.96, 0.93))
    near = ndimage.gaussian_filter(hairs, 0.015 * canvas.side, truncate=3)
    canvas.record("Leukotrichia", near > 0.12)
