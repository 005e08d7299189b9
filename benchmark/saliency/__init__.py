"""Saliency methods, one per file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

UpsampleFn = Callable[[Tensor, Sequence[int]], Tensor]
"""Upsamples maps (N, h, w) of a grid to the size (H, W) of the images. See :mod:`benchmark.saliency.placement`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A saliency method.

    Attributes:
        name: Unique name: lower case letters, digits and hyphens.
        explain: Computes maps. Takes the model in evaluation mode, the name of its target layer, images (N, 3, H, W)
            in [0, 1] and the classes to explain (N,). Returns maps (N, H, W), not negative, at any scale. A method
            that uses a grid takes an :data:`UpsampleFn` as a fifth argument, which must have a default.
        source: Where it is described: author, year, section.
        uses_grid: Whether it upsamples maps of the target layer's grid.
        needs_attention: Whether it explains only transformers that attend over one grid of tokens.
    """

    name: str
    explain: Callable[..., Tensor]
    source: str
    uses_grid: bool = False
    needs_attention: bool = False

    def with_upsampling(self, upsample_fn: UpsampleFn | None) -> Callable[[nn.Module, str, Tensor, Tensor], Tensor]:
        """Returns `explain` with this upsampling of grids. None stretches them over the image."""

        def explain(model: nn.Module, layer: str, images: Tensor, classes: Tensor) -> Tensor:
            options = [upsample_fn] if self.uses_grid and upsample_fn else []
            return self.explain(model, layer, images, classes, *options)

        return explain
