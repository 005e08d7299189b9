"""The metrics, one idea per file.

An entry is a constant of type :class:`Metric`. It wraps a pure function of tensors that returns one score per image.
A score depends only on that image, its map and the model, never on the rest of the batch.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

INPUTS = frozenset({"saliency", "reference", "mask", "images", "curves", "context"})
"""The inputs that a metric may take, by parameter name.

saliency: Maps, (N, H, W), float.
reference: Soft expert masks, (N, H, W), float in [0, 1].
mask: Hard expert masks, (N, H, W), bool.
images: RGB images (sRGB), (N, 3, H, W), float in [0, 1].
curves: A :class:`metrics.faithfulness.Curves` of the same N images, with the blurred image as fill.
context: A :class:`metrics.perturbation.PerturbationContext`, which holds the model and the same N images. A metric with
this input is expensive. It is computed only when it is selected by name.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A named score.

    Attributes:
        name: Unique name of lower case letters, digits and hyphens.
        compute: Function whose parameters are names of :data:`INPUTS`. It returns scores (N,). NaN means that the
            score is undefined for that image. The benchmark counts such images and leaves them out of averages. It
            checks no inputs, unlike the function of the same name (:mod:`metrics.inputs`).
        bounds: Lowest and highest possible score.
        higher_is_better: Whether a higher score is better.
        source: Where the score is defined: author, year, section.
        heading: Column heading in the leaderboard. The default is the name.
        agreement: Whether the leaderboard compares the ranking by this score with the rankings by other scores. Set it
            for scores that measure something distinct, not for variants of one that does.
    """

    name: str
    compute: Callable[..., Tensor]
    bounds: tuple[float, float]
    higher_is_better: bool
    source: str
    heading: str = ""
    agreement: bool = False

    def __post_init__(self) -> None:
        """Rejects a function with a parameter that the engine cannot provide. The engine checks no inputs."""
        object.__setattr__(self, "compute", getattr(self.compute, "unchecked", self.compute))
        if unknown := self.inputs - INPUTS:
            raise TypeError(f"metric {self.name!r} takes {sorted(unknown)}, but the inputs are {sorted(INPUTS)}")

    @property
    def inputs(self) -> frozenset[str]:
        """The names of :data:`INPUTS` that the function takes."""
        return frozenset(inspect.signature(self.compute).parameters)

    @property
    def expensive(self) -> bool:
        """Whether the metric is computed only when a preset or `--metric` selects it."""
        return "context" in self.inputs

    @property
    def definition(self) -> str:
        """First paragraph of the function's docstring, which is one sentence."""
        return (inspect.getdoc(self.compute) or "").split("\n\n")[0].replace("\n", " ")
