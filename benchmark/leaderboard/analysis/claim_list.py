"""Claims of papers about training regimes, each declared once."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A claim that one regime has a higher, or lower, score than another.

    Attributes:
        text: The claim in words.
        source: Author and year of the paper.
        regime: The regime of the claim.
        than: The regime that it is compared with.
        column: Name of the column of the leaderboard that measures it.
        method: Saliency method of the measured maps; empty for the main one.
        more: Whether the claimed score is higher.
    """

    text: str
    source: str
    regime: str
    than: str
    column: str
    method: str = ""
    more: bool = True

    @property
    def size(self) -> float:
        """The smallest difference of the score that matters."""
        return MEANINGFUL_SIZES[self.column]


MEANINGFUL_SIZES = {
    "sharpness": 0.03,
    "tv_ratio": 0.03,
    "sparsity": 0.03,
    "faithfulness": 0.03,
    "color_variation": 0.05,
    "map_kept": 0.05,
    "balanced_accuracy": 0.05,
    "balanced_accuracy_under_attack": 0.05,
}
"""The smallest difference that matters, by column. Three hundredths is twice what separates two trainings of the same
network by map scores. Fractions of images and correlations vary more."""

_MARGELOIU, _XU = "Margeloiu et al. 2020", "Xu et al. 2023, SCAAT (our reconstruction)"
_CHALASANI, _RASAEE = "Chalasani et al. 2020", "after Rasaee and Rivaz 2021"
_NOISE = "Kaur, Cohen and Lipton 2019"

CLAIMS = (
    Claim(
        text="Adversarial training makes gradient maps sharper",
        source=_MARGELOIU,
        regime="pgd-l2",
        than="standard",
        column="sharpness",
        method="gradient",
    ),
    Claim(
        text="Adversarial training makes gradient maps more coherent (lower TV ratio)",
        source=_MARGELOIU,
        regime="pgd-l2",
        than="standard",
        column="tv_ratio",
        method="gradient",
        more=False,
    ),
    Claim(
        text="Maps of adversarially trained networks follow color variation within the lesion",
        source=_MARGELOIU,
        regime="pgd-l2",
        than="standard",
        column="color_variation",
        method="gradient",
    ),
    Claim(
        text="Fine-tuning a robust network at a small learning rate sharpens its maps further",
        source=_MARGELOIU,
        regime="robust-finetune",
        than="pgd-l2",
        column="sharpness",
        method="gradient",
    ),
    Claim(
        text="Adversarial training costs accuracy",
        source=_MARGELOIU,
        regime="pgd-l2",
        than="standard",
        column="balanced_accuracy",
        more=False,
    ),
    Claim(
        text="Refitting all but the first layers of a robust network regains accuracy",
        source=_MARGELOIU,
        regime="robust-stem",
        than="pgd-l2",
        column="balanced_accuracy",
    ),
    Claim(
        text="Maps of a network with robust first layers are sharper than those of a standard one",
        source=_MARGELOIU,
        regime="robust-stem",
        than="standard",
        column="sharpness",
        method="gradient",
    ),
    Claim(
        text="Adversarial training in Linf makes gradient maps sparser",
        source=_CHALASANI,
        regime="pgd-linf",
        than="standard",
        column="sparsity",
        method="gradient",
    ),
    Claim(
        text="SCAAT makes maps sparser than standard training",
        source=_XU,
        regime="scaat",
        than="standard",
        column="sparsity",
        method="gradient",
    ),
    Claim(
        text="SCAAT makes maps more faithful than standard training",
        source=_XU,
        regime="scaat",
        than="standard",
        column="faithfulness",
        method="gradient",
    ),
    Claim(
        text="The guidance by saliency matters: sparser maps than with attacks on random pixels",
        source=_XU,
        regime="scaat",
        than="scaat-random",
        column="sparsity",
        method="gradient",
    ),
    Claim(
        text="The guidance by saliency matters: sparser maps than with attacks on the salient pixels",
        source=_XU,
        regime="scaat",
        than="scaat-inverted",
        column="sparsity",
        method="gradient",
    ),
    Claim(
        text="SCAAT loses accuracy (the paper claims that it does not)",
        source=_XU,
        regime="scaat",
        than="standard",
        column="balanced_accuracy",
        more=False,
    ),
    Claim(
        text="Grad-CAM of an adversarially trained network is more robust to attacks on the map",
        source=_RASAEE,
        regime="pgd-linf",
        than="standard",
        column="map_kept",
    ),
    Claim(
        text="Adversarial training raises balanced accuracy under attack",
        source="Madry et al. 2018",
        regime="pgd-l2",
        than="standard",
        column="balanced_accuracy_under_attack",
    ),
    Claim(
        text="Training on noisy images makes gradient maps more coherent (lower TV ratio)",
        source=_NOISE,
        regime="gaussian-noise",
        than="standard",
        column="tv_ratio",
        method="gradient",
        more=False,
    ),
)
