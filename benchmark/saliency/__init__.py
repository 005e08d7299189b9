"""The saliency methods, one per file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

Enlarge = Callable[[Tensor, Sequence[int]], Tensor]
"""Brings maps (N, h, w) of a grid to the size (H, W) of the images: see :mod:`benchmark.saliency.placement`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A way to draw maps.

    Attributes:
        name: Unique name: lower case letters, digits and hyphens.
        draw: Takes the model in evaluation mode, the name of its saliency layer, images (N, 3, H, W) in
            [0, 1] and the classes to explain (N,); returns maps (N, H, W), not negative, at any scale.
            One on a grid also takes, last, what enlarges maps of the grid.
        source: Where it is described: author, year, section.
        on_grid: Whether it enlarges maps of the layer's grid.
    """

    name: str
    draw: Callable[..., Tensor]
    source: str
    on_grid: bool = False

    def placed(self, enlarge: Enlarge | None) -> Callable[[nn.Module, str, Tensor, Tensor], Tensor]:
        """How to draw where maps of a grid are enlarged in this way; None stretches them over the image."""

        def draw(model: nn.Module, layer: str, images: Tensor, classes: Tensor) -> Tensor:
            return self.draw(model, layer, images, classes, *([enlarge] if self.on_grid and enlarge else []))

        return draw
