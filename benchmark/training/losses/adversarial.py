"""Training on attacked images."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from benchmark.attacks.pgd import PGD, pgd
from benchmark.training.regimes import Batch
from benchmark.training.regimes.standard import cross_entropy


def adversarial_objective(attack: PGD, *, delay: float = 0.0) -> Callable[[nn.Module, Batch], Tensor]:
    """Cross-entropy on attacked images.

    Args:
        attack: The attack; crafted in evaluation mode, learned from in training mode.
        delay: Share of the training, in [0, 1), that goes by before the attacks begin.

    Returns:
        The objective of a regime.

    Reference:
        Madry et al., 2018, section 2.1; the delay: Gupta et al., Improving the affordability of robustness
        training for DNNs, 2020.
    """

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        if batch.progress < delay:
            return cross_entropy(model, batch)
        return cross_entropy(model, replace(batch, images=pgd(model, batch.images, batch.labels, attack)))

    return objective


def adversarial_cost(attack: PGD, *, delay: float = 0.0) -> float:
    """Forward-equivalents per image: two for each step of the attack, one to find its best, three for the update."""
    return 3 + (2 * attack.steps + attack.keep_best) * (1 - delay)
