"""The metrics, one idea per file.

An entry is a constant of type :class:`Metric` around a pure function of tensors that returns one score per
image. A score depends on that image, its map and the model alone, never on the rest of the batch.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

INPUTS = frozenset({"saliency", "reference", "mask", "images", "curves", "context"})
"""What a metric may ask for, by parameter name.

saliency: maps (N, H, W), float. reference: soft expert masks (N, H, W), float in [0, 1]. mask: hard expert
masks (N, H, W), bool. images: (N, 3, H, W), RGB (sRGB), float in [0, 1]. curves: a
:class:`metrics.faithfulness.Curves` of the same N images, against the blurred image. context:
a :class:`metrics.perturbation.PerturbationContext`, the model with the same N images. Such metrics are expensive and
computed only where they are named.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A named score.

    Attributes:
        name: Unique name: lower case letters, digits and hyphens.
        compute: Function of some of :data:`INPUTS`, asked for by parameter name; returns scores (N,).
            NaN means that the score is undefined for that image; it is counted, never averaged away.
        bounds: Lowest and highest possible score.
        higher_is_better: Direction of a better map.
        source: Where it is defined: author, year, section.
        heading: Heading of its column in the leaderboard; without one its name.
        agreement: Whether the leaderboard sets its order of the models against that of other scores. For scores that
            say something of their own, not for variants of one that does.
    """

    name: str
    compute: Callable[..., Tensor]
    bounds: tuple[float, float]
    higher_is_better: bool
    source: str
    heading: str = ""
    agreement: bool = False

    def __post_init__(self) -> None:
        """Refuse a function that asks for something the engine does not have."""
        if unknown := self.inputs - INPUTS:
            raise TypeError(f"metric {self.name!r} asks for {sorted(unknown)}; it may ask for {sorted(INPUTS)}")

    @property
    def inputs(self) -> frozenset[str]:
        """The names of :data:`INPUTS` that the function asks for."""
        return frozenset(inspect.signature(self.compute).parameters)

    @property
    def expensive(self) -> bool:
        """Whether the metric is computed only where a preset or `--metric` asks for it, because it is dear."""
        return "context" in self.inputs

    @property
    def definition(self) -> str:
        """First sentence of the function's docstring."""
        return (inspect.getdoc(self.compute) or "").split("\n\n")[0].replace("\n", " ")
