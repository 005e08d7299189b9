"""A network whose training passes are compiled."""

import torch
from torch import Tensor, nn


class Compiled(nn.Module):
    """The same network, sharing its weights, with two compiled passes: one to learn from and one to attack.

    A compiled backward pass computes all gradients that its forward pass may be asked for, while an attack wants those
    of the images alone; so the network it goes through has frozen weights. Gradients of gradients cannot be had from a
    compiled network: no regime needs them, and attacks on maps, which do, are made on the plain one.

    On a CPU of ours it does not pay: a standard step of MobileNet was 0.93 to 1.18 times as fast in three runs, one
    with PGD-7 half as fast, after a minute of compiling (results/benchmarks). On a GPU it was never run.

    Args:
        model: Takes images (N, 3, H, W), gives logits (N, C).
        mode: One of :data:`benchmark.config.presets.COMPILE_MODES`.
        backend: What compiles; torch's own unless a test looks at the graphs.
    """

    def __init__(self, model: nn.Module, mode: str, backend: str = "inductor") -> None:
        super().__init__()
        self.model = model
        self._pass = torch.compile(model.forward, mode=mode, dynamic=False, backend=backend)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, C) of images (N, 3, H, W); in evaluation mode their weights collect no gradients."""
        weights = [] if self.training else [weight for weight in self.model.parameters() if weight.requires_grad]
        for weight in weights:
            weight.requires_grad = False
        try:
            logits: Tensor = self._pass(images)
        finally:
            for weight in weights:
                weight.requires_grad = True
        return logits
