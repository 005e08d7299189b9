"""The first layers of a robust model, with the rest refitted to clean images."""

from benchmark.training.regimes import Regime
from benchmark.training.regimes.standard import cross_entropy

GROUPS = 5

# Frozen groups have no backward pass. Their fractions of the multiplications of ResNet-50, in millions for 224 px: the
# stem and the first stage 786, the second stage 1028, the third 1465, the fourth 809, the classifier 2, of 4090 in
# total. Other networks differ slightly.
FROZEN_FRACTION = (0.0, 0.19, 0.44, 0.80, 1.0)


def _level(level: int) -> Regime:
    """Builds the regime of a level in [1, 5] of Margeloiu et al., which refits the groups from this one on."""
    frozen = level - 1
    return Regime(
        # Level 2, the authors' best, has the plain name.
        name="robust-stem" if level == 2 else f"robust-stem-{level}",
        objective=cross_entropy,
        cost=round(1 + 2 * (1 - FROZEN_FRACTION[frozen]), 1),
        adversarial=False,
        description=(
            "Standard training at 1/30 of the learning rate, from the model of pgd-l2, "
            f"with the first {frozen} of {GROUPS} groups of layers frozen."
        ),
        source="Margeloiu et al., Improving interpretability in medical imaging diagnosis, 2020, arXiv 2012.01166",
        init_from="pgd-l2",
        frozen=frozen,
        lr_scale=1 / 30,  # the authors' code: 1e-5 after 3e-4
    )


# Level 1 freezes nothing and equals robust-finetune. It completes the series of levels.
ROBUST_STEM_1 = _level(1)
ROBUST_STEM = _level(2)
ROBUST_STEM_3 = _level(3)
ROBUST_STEM_4 = _level(4)
ROBUST_STEM_5 = _level(5)
