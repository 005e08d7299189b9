"""Adversarial training for runs of minutes."""

from benchmark.training.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.attacks import PGD
from benchmark.training.regimes import Regime

ATTACK = PGD(norm="l2", eps=1.0, steps=2, step=0.7, random_start=True)
DELAY = 0.4

ADVERSARIAL = Regime(
    name="adversarial",
    objective=adversarial_objective(ATTACK, delay=DELAY),
    cost=adversarial_cost(ATTACK, delay=DELAY),
    adversarial=True,
    description=f"PGD-{ATTACK.steps}, L2 {ATTACK.eps:g} at 224 px, after {DELAY:.0%} of training on clean images.",
    source="Madry et al., 2018, section 2.1; delayed as in Gupta et al., 2020",
)
