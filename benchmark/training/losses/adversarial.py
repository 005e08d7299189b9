"""Training on attacked images."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from benchmark.attacks.pgd import PGD, pgd
from benchmark.training.regimes import Batch
from benchmark.training.regimes.standard import cross_entropy


def adversarial_objective(attack: PGD, *, delay: float = 0.0) -> Callable[[nn.Module, Batch], Tensor]:
    """Builds the cross-entropy on attacked images.

    Args:
        attack: The attack. It runs in evaluation mode, and the update in training mode.
        delay: Fraction of the training, in [0, 1), before the attacks begin.

    Returns:
        The objective of a regime.

    Reference:
        Madry et al., 2018, section 2.1. The delay: Gupta et al., Improving the affordability of robustness
        training for DNNs, 2020.
    """

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        if batch.progress < delay:
            return cross_entropy(model, batch)
        return cross_entropy(model, replace(batch, images=pgd(model, batch.images, batch.labels, attack)))

    return objective


def adversarial_cost(attack: PGD, *, delay: float = 0.0) -> float:
    """Computes forward-equivalents per image: two per attack step, one to select the best, three for the update."""
    return 3 + (2 * attack.steps + attack.keep_best) * (1 - delay)
