"""Compiled training passes of a network."""

import torch
import torch.compiler.config
from torch import Tensor, nn


def _keep_apart_by_vectors() -> None:
    """Has torch's cache of compiled code look at the vectors that the code is written for.

    By itself it looks at the graph. Code compiled for AVX-512 then runs under AVX2, where a loss was not finite.
    """
    vectors = torch.backends.cpu.get_cpu_capability()
    if vectors not in torch.compiler.config.cache_key_tag:
        torch.compiler.config.cache_key_tag += vectors


class Compiled(nn.Module):
    """The same network, with shared weights and two compiled passes: one to train and one to attack.

    A compiled backward pass computes the gradients of all inputs that require them. An attack needs those of the
    images alone, so it runs with frozen weights. A compiled network has no second-order gradients. Regimes that
    need them are refused, and attacks on maps run on the plain network.

    It is not worth it on our CPUs: a standard step of MobileNet was 0.93 to 1.18 times as fast in three runs, and one
    with PGD-7 half as fast. Compilation takes a minute. On a GPU it was never run.

    Args:
        model: Takes images (N, 3, H, W), returns logits (N, C).
        mode: One of :data:`benchmark.config.presets.COMPILE_MODES`.
        backend: Compiler backend. The default is torch's own, and tests pass another one to inspect the graphs.
    """

    def __init__(self, model: nn.Module, mode: str, backend: str = "inductor") -> None:
        super().__init__()
        self.model = model
        _keep_apart_by_vectors()
        self._pass = torch.compile(model.forward, mode=mode, dynamic=False, backend=backend)

    def forward(self, images: Tensor) -> Tensor:
        """Computes logits (N, C) of images (N, 3, H, W). In evaluation mode, weights collect no gradients."""
        weights = [] if self.training else [weight for weight in self.model.parameters() if weight.requires_grad]
        for weight in weights:
            weight.requires_grad = False
        try:
            logits: Tensor = self._pass(images)
        finally:
            for weight in weights:
                weight.requires_grad = True
        return logits
