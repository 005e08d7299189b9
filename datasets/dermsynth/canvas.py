"""A model of skin: pigment, blood, relief and opaque layers, and the color that they reflect.

Blood absorbs from the light that pigment transmits. Inflamed skin is therefore bright red on light skin and dusky
violet on dark skin, without a special case.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datasets.dermsynth.fields import Field, Region, Window

# Linear RGB of skin without pigment and blood, and the absorption of pigment and blood per unit.
DERMIS = np.array([0.90, 0.72, 0.55])
MELANIN_ABSORPTION = np.array([0.62, 0.85, 1.02])
BLOOD_ABSORPTION = np.array([0.24, 1.0, 0.95])

WHOLE: Window = (slice(None), slice(None))


@dataclass(kw_only=True, slots=True)
class Canvas:
    """The photographed scene, layer by layer.

    Attributes:
        skin: Mask of the skin, (H, W). The rest is the cloth behind the patient.
        melanin: Pigment, (H, W), at least 0.
        blood: Blood near the surface, (H, W), at least 0.
        height: Relief, (H, W), as a fraction of the side.
        gloss: Specular reflectivity, (H, W), at least 0.
        bare: Fraction of the skin that is not covered, (H, W), in [0, 1].
        coat: Linear RGB of the covering layers, (H, W, 3), weighted by their opacity.
        truth: Exact mask of each characteristic, (H, W).
    """

    skin: Region
    melanin: Field
    blood: Field
    height: Field
    gloss: Field
    bare: Field
    coat: Field
    truth: dict[str, Region] = field(default_factory=dict)

    @property
    def side(self) -> int:
        """Side of the image in pixels."""
        return len(self.skin)

    def cover(self, alpha: Field, color: tuple[float, float, float], *, at: Window = WHOLE) -> None:
        """Covers the skin with an opaque substance.

        Args:
            alpha: Opacity in the window, in [0, 1].
            color: sRGB, in [0, 1].
            at: The window.
        """
        self.bare[at] *= 1 - alpha
        self.coat[at] *= 1 - alpha[..., None]
        self.coat[at] += alpha[..., None] * linear(np.array(color))

    def record(self, characteristic: str, where: Region, *, at: Window = WHOLE) -> None:
        """Adds an area to the exact mask of a characteristic."""
        mask = self.truth.setdefault(characteristic, np.zeros(self.skin.shape, dtype=np.bool_))
        mask[at] |= where

    def anything(self) -> Region:
        """Returns the union of all characteristics, (H, W)."""
        nothing = np.zeros(self.skin.shape, dtype=np.bool_)
        return np.logical_or.reduce([*self.truth.values(), nothing])

    def color(self) -> Field:
        """Computes linear RGB under uniform white light, (H, W, 3)."""
        absorption = self.melanin[..., None] * MELANIN_ABSORPTION + self.blood[..., None] * BLOOD_ABSORPTION
        return DERMIS * np.exp(-absorption) * self.bare[..., None] + self.coat


def linear(srgb: Field) -> Field:
    """Converts sRGB values in [0, 1] to linear light, by the power law 2.2."""
    return np.asarray(srgb**2.2)


def encoded(light: Field) -> NDArray[np.float64]:
    """Converts linear light to sRGB values in [0, 1], by the power law 2.2."""
    return np.asarray(np.clip(light, 0, 1) ** (1 / 2.2))
