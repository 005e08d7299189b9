"""Skin as matter: pigment, blood, relief and what lies on top, and how light makes a color of it.

Reddening works on the light that the pigment leaves over, so an inflamed spot is bright red on light skin and
dusky violet on dark skin without a special case.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datasets.dermsynth.fields import Field, Region, Window

# Linear RGB of skin without pigment and blood, and how pigment and blood take light away per unit.
DERMIS = np.array([0.90, 0.72, 0.55])
MELANIN_TAKES = np.array([0.62, 0.85, 1.02])
BLOOD_TAKES = np.array([0.24, 1.0, 0.95])

WHOLE: Window = (slice(None), slice(None))


@dataclass(kw_only=True, slots=True)
class Canvas:
    """What is photographed, layer by layer.

    Attributes:
        skin: Where there is skin, (H, W); elsewhere the cloth behind the patient.
        melanin: Pigment, (H, W), from 0.
        blood: Blood near the surface, (H, W), from 0.
        height: Relief, (H, W), as share of the side.
        gloss: How strongly the surface mirrors, (H, W), from 0.
        bare: Share of the skin that is not covered, (H, W), in [0, 1].
        coat: Linear RGB of what covers the rest, (H, W, 3), already weighted by its opacity.
        truth: Where each characteristic is, (H, W) each.
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
        """Lays an opaque substance over the skin.

        Args:
            alpha: Opacity in the window, in [0, 1].
            color: sRGB, in [0, 1].
            at: Where.
        """
        self.bare[at] *= 1 - alpha
        self.coat[at] *= 1 - alpha[..., None]
        self.coat[at] += alpha[..., None] * linear(np.array(color))

    def record(self, characteristic: str, where: Region, *, at: Window = WHOLE) -> None:
        """Notes that a characteristic is there."""
        known = self.truth.setdefault(characteristic, np.zeros(self.skin.shape, dtype=np.bool_))
        known[at] |= where

    def anything(self) -> Region:
        """Where any characteristic is, (H, W)."""
        nothing = np.zeros(self.skin.shape, dtype=np.bool_)
        return np.logical_or.reduce([*self.truth.values(), nothing])

    def color(self) -> Field:
        """Linear RGB under even white light, (H, W, 3)."""
        taken = self.melanin[..., None] * MELANIN_TAKES + self.blood[..., None] * BLOOD_TAKES
        return DERMIS * np.exp(-taken) * self.bare[..., None] + self.coat


def linear(srgb: Field) -> Field:
    """Linear light of sRGB values in [0, 1], by the power law 2.2."""
    return np.asarray(srgb**2.2)


def encoded(light: Field) -> NDArray[np.float64]:
    """SRGB values in [0, 1] of linear light, by the power law 2.2."""
    return np.asarray(np.clip(light, 0, 1) ** (1 / 2.2))
