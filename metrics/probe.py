"""A model that is asked what it says of changed images: what all scores that need the model share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from metrics.faithfulness import Curves, perturbation_curves

Redraw = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]
"""How maps are drawn: takes a model, images (M, 3, H, W) and classes (M,); returns maps (M, H, W)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Probe:
    """N images with their maps, and the model to ask about them; answers that several scores share are kept.

    Attributes:
        model: Network in evaluation mode: (M, 3, H, W) in [0, 1] to logits (M, classes).
        images: (N, 3, H, W), float, in [0, 1].
        saliency: Maps, (N, H, W), real.
        classes: The class that the maps explain, (N,), integer.
        ties: Random numbers in [0, 1), (N, H, W), that depend on each image's name alone: order among equal pixels.
        seeds: Whole numbers, (N,), int64, that depend on each image's name alone, for other random draws.
        baselines: What removed pixels show, by name ("blur", "mean", "minimum"), each broadcastable to the images.
        steps: Steps of a perturbation curve.
        chunk: Most images per forward pass.
        redraw: How the maps were drawn, for scores that need maps of changed images or of a changed model.
    """

    model: Callable[[Tensor], Tensor]
    images: Tensor
    saliency: Tensor
    classes: Tensor
    ties: Tensor
    seeds: Tensor
    baselines: Mapping[str, Tensor]
    steps: int
    chunk: int
    redraw: Redraw
    _kept: dict[str, Curves] = field(default_factory=dict, init=False, repr=False)

    def curves(self, baseline: str = "blur") -> Curves:
        """Insertion and deletion curves against a baseline, computed once."""
        if baseline not in self._kept:
            self._kept[baseline] = perturbation_curves(
                self.model,
                self.images,
                self.saliency,
                self.classes,
                steps=self.steps,
                baseline=self.baselines[baseline],
                ties=self.ties,
                chunk=self.chunk,
            )
        return self._kept[baseline]

    def logits(self, make: Callable[[Tensor], Tensor], number: int) -> Tensor:
        """The model's answers to `number` changed images, at most a chunk of them in memory at once.

        Args:
            make: Given numbers of changed images (M,), from 0 to number - 1, returns them, (M, 3, H, W).
            number: How many there are.

        Returns:
            Logits, (number, classes), float64.
        """
        with torch.inference_mode():
            return torch.cat([self._answers(make(jobs)) for jobs in self._jobs(number).split(self.chunk)])

    def _jobs(self, number: int) -> Tensor:
        return torch.arange(number, device=self.images.device)

    def _answers(self, inputs: Tensor) -> Tensor:
        return self.model(inputs.contiguous(memory_format=torch.channels_last)).double()
