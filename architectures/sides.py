"""Image sides that a network takes. Images of other sides are resized inside the network."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """The sides in pixels that the body of a network takes.

    Attributes:
        step: Both sides must be multiples of it: a patch, or the patches that later stages merge.
        smallest: Minimum of the shorter side.
        fixed: The only side that it takes, for networks that cannot change it. 0 if they can.
    """

    step: int = 1
    smallest: int = 0
    fixed: int = 0

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Returns the size that an image of this size is resized to: the nearest one that the body takes.

        Example:
            >>> Sides(step=14).fit(96, 131), Sides(fixed=224).fit(96, 131), Sides(smallest=139).fit(96, 131)
            ((98, 126), (224, 224), (139, 190))
        """
        if self.fixed:
            return self.fixed, self.fixed
        shortest = min(height, width)
        if shortest < self.smallest:
            height, width = (round(side * self.smallest / shortest) for side in (height, width))
        rows, columns = (self.step * max(1, round(side / self.step)) for side in (height, width))
        return rows, columns

    def resize(self, images: Tensor) -> Tensor:
        """Resizes images (N, C, H, W) bilinearly to the nearest size that the body takes. Shrinking averages.

        Pixels keep their relative position, as a grid that is placed by :mod:`architectures.geometry` expects.
        """
        height, width = images.shape[-2:]
        size = self.fit(height, width)
        if size == (height, width):
            return images
        shrinks = size[0] < height or size[1] < width
        return functional.interpolate(images, size, mode="bilinear", antialias=shrinks)
