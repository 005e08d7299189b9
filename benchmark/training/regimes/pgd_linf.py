"""Adversarial training in Linf."""

from benchmark.attacks.pgd import PGD
from benchmark.training.losses.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.regimes import Regime

ATTACK = PGD(norm="linf", eps=2 / 255, steps=7, step=0.25, random_start=True)

PGD_LINF = Regime(
    name="pgd-linf",
    objective=adversarial_objective(ATTACK),
    cost=adversarial_cost(ATTACK),
    adversarial=True,
    description=f"PGD-{ATTACK.steps}, Linf 2/255.",
    source="Madry et al., Towards deep learning models resistant to adversarial attacks, 2018, section 2.1",
)
