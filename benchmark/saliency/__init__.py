"""The saliency methods, one per file."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A way to draw maps.

    Attributes:
        name: Unique name: lower case letters, digits and hyphens.
        draw: Takes the model in evaluation mode, the name of its saliency layer, images (N, 3, H, W) in
            [0, 1] and the classes to explain (N,); returns maps (N, H, W), not negative, at any scale.
        source: Where it is described: author, year, section.
    """

    name: str
    draw: Callable[[nn.Module, str, Tensor, Tensor], Tensor]
    source: str
