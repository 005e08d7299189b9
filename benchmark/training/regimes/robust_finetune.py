"""A robust model, trained further on clean images at a small learning rate."""

from benchmark.training.regimes import Regime
from benchmark.training.regimes.standard import cross_entropy

ROBUST_FINETUNE = Regime(
    name="robust-finetune",
    objective=cross_entropy,
    cost=3,  # that of a standard step, since the initial model has a row and a cost of its own
    adversarial=False,
    description="Standard training at 1/30 of the learning rate, from the model of pgd-l2.",
    source="Margeloiu et al., Improving interpretability in medical imaging diagnosis, 2020, arXiv 2012.01166",
    init_from="pgd-l2",
    lr_scale=1 / 30,  # the authors' code: 1e-5 after 3e-4
)
