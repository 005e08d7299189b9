"""The regime pgd-l2 with smaller budgets, to see what the budget does to maps."""

from benchmark.attacks.pgd import PGD
from benchmark.training.losses.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.regimes import Regime


def _budget(eps: float) -> Regime:
    """Builds the regime of an L2 budget for images of 224 px. All else is as in pgd-l2."""
    attack = PGD(norm="l2", eps=eps, steps=7, step=0.2, random_start=True)
    return Regime(
        name=f"pgd-l2-{eps:g}",
        objective=adversarial_objective(attack),
        cost=adversarial_cost(attack),
        adversarial=True,
        description=f"PGD-{attack.steps}, L2 {eps:g} at 224 px.",
        source="Madry et al., Towards deep learning models resistant to adversarial attacks, 2018, section 2.1",
    )


# A tenth and a third of the budget of pgd-l2, which is 3.
PGD_L2_03 = _budget(0.3)
PGD_L2_1 = _budget(1.0)
