"""Adversarial training for runs of minutes."""

from benchmark.attacks.pgd import PGD
from benchmark.training.losses.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.regimes import Regime

# Chosen by measurement on the embedded data (156 images, 96 px). With BatchNorm in evaluation mode, the attack did not
# change the loss. With the statistics of the batch, it raised the loss by a third. Two steps cost 15 % more time than
# one and were no better. From eps 2 on, MobileNetV2 no longer learned.
ATTACK = PGD(norm="l2", eps=1.0, steps=1, step=1.0, random_start=False, batch_statistics=True)
DELAY = 0.3

ADVERSARIAL = Regime(
    name="adversarial",
    objective=adversarial_objective(ATTACK, delay=DELAY),
    cost=adversarial_cost(ATTACK, delay=DELAY),
    adversarial=True,
    description=f"PGD-{ATTACK.steps}, L2 {ATTACK.eps:g} at 224 px, after {DELAY:.0%} of training on clean images.",
    source="Madry et al., 2018, section 2.1; delayed as in Gupta et al., 2020",
)
