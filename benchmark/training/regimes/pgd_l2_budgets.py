"""The regime pgd-l2 with smaller budgets, to see what the budget does to maps."""

from benchmark.attacks.pgd import PGD
from benchmark.training.losses.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.regimes import Regime


def _budget(part: str, eps: float) -> Regime:
    """Builds the regime of a part of the budget, in L2 for images of 224 px. All else is as in pgd-l2."""
    attack = PGD(norm="l2", eps=eps, steps=7, step=0.2, random_start=True)
    return Regime(
        name=f"pgd-l2-{part}",
        objective=adversarial_objective(attack),
        cost=adversarial_cost(attack),
        adversarial=True,
        description=f"PGD-{attack.steps}, L2 {eps:g} at 224 px.",
        source="Madry et al., Towards deep learning models resistant to adversarial attacks, 2018, section 2.1",
    )


# The budget of pgd-l2 is 3.
PGD_L2_TENTH = _budget("tenth", 0.3)
PGD_L2_THIRD = _budget("third", 1.0)
