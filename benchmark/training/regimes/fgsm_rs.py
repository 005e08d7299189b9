"""Adversarial training with a single step from a random start."""

from benchmark.attacks.pgd import PGD
from benchmark.training.losses.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.regimes import Regime

# The step of 1.25 eps is the authors': from a random start it mostly reaches the border of the ball. With much longer
# steps, their networks became robust to this attack only.
ATTACK = PGD(norm="linf", eps=2 / 255, steps=1, step=1.25, random_start=True)

FGSM_RS = Regime(
    name="fgsm-rs",
    objective=adversarial_objective(ATTACK),
    cost=adversarial_cost(ATTACK),
    adversarial=True,
    description=f"One step of {ATTACK.step:g} eps from a random start, Linf 2/255.",
    source="Wong et al., Fast is better than free: revisiting adversarial training, 2020, algorithm 3",
)
