"""Adversarial training in L2, as Margeloiu et al. use it for skin cancer."""

from benchmark.attacks.pgd import PGD
from benchmark.training.losses.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.regimes import Regime

ATTACK = PGD(norm="l2", eps=3.0, steps=7, step=0.2, random_start=True)

PGD_L2 = Regime(
    name="pgd-l2",
    objective=adversarial_objective(ATTACK),
    cost=adversarial_cost(ATTACK),
    adversarial=True,
    description=f"PGD-{ATTACK.steps}, L2 {ATTACK.eps:g} at 224 px.",
    source="Margeloiu et al., Improving interpretability in medical imaging diagnosis, 2020, arXiv 2012.01166",
)
