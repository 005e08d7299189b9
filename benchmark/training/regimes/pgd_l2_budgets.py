"""The regime pgd-l2 with smaller budgets, to see what the budget does to maps."""

from dataclasses import replace

from benchmark.training.losses.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.regimes import Regime
from benchmark.training.regimes.pgd_l2 import ATTACK


def _budget(part: str, eps: float) -> Regime:
    """Builds the regime of a part of the budget, in L2 for images of 224 px. All else is as in pgd-l2."""
    attack = replace(ATTACK, eps=eps)
    return Regime(
        name=f"pgd-l2-{part}",
        objective=adversarial_objective(attack),
        cost=adversarial_cost(attack),
        adversarial=True,
        description=f"PGD-{attack.steps}, L2 {eps:g} at 224 px.",
        source="Madry et al., Towards deep learning models resistant to adversarial attacks, 2018, section 2.1",
    )


PGD_L2_TENTH = _budget("tenth", ATTACK.eps / 10)
PGD_L2_THIRD = _budget("third", ATTACK.eps / 3)
