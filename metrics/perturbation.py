"""A model that is asked what it says of changed images: what all scores that need the model share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from metrics.batching import Chunks
from metrics.faithfulness import Curves
from metrics.normalize import finite
from metrics.pixel_ordering import pixel_shares, pixel_steps_of
from metrics.rounding import nudges, rounding_of

T = TypeVar("T")

ExplainFn = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]
"""How maps are drawn: takes a model, images (M, 3, H, W) and classes (M,); returns maps (M, H, W)."""

Change = Callable[[Tensor, Tensor], Tensor]
"""Changed images (M, 3, H, W), given the numbers of the images (M,) and of their questions (M,)."""

Hide = Callable[[Tensor, Tensor], Tensor]
"""Which pixels are hidden, (M, H, W), bool, given the numbers of the images (M,) and of their questions (M,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOutputs:
    """What the model says of the class that each map explains; NaN where the map is not finite.

    Attributes:
        logit: (N, Q) of Q questions about each of N images, float64.
        probability: (N, Q), in [0, 1], float64.
        mass: Sum of the saliency over the hidden pixels, (N, Q), float64.
    """

    logit: Tensor
    probability: Tensor
    mass: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PerturbationContext:
    """N images with their maps, and the model to ask about them; answers that several scores share are kept.

    No answer depends on the chunk, nor on the other images, beyond rounding.

    Attributes:
        model: Network in evaluation mode: (M, 3, H, W) in [0, 1] to logits (M, classes).
        images: (N, 3, H, W), float, in [0, 1].
        saliency: Maps, (N, H, W), real.
        classes: The class that the maps explain, (N,), integer.
        ties: Random numbers in [0, 1), (N, H, W), that depend on each image's name alone: order among equal pixels.
        seeds: Whole numbers from 0, (N,), int64, that depend on each image's name alone, for other random draws.
        fills: What removed pixels show, by name ("blur", "mean", "minimum"), each broadcastable to the images.
        steps: Steps of a perturbation curve, from 1 to the number of pixels.
        chunk: Most images per forward pass; where memory runs out, it is halved.
        explain_fn: How the maps were drawn, for scores that need maps of changed images or of a changed model.
    """

    model: Callable[[Tensor], Tensor]
    images: Tensor
    saliency: Tensor
    classes: Tensor
    ties: Tensor
    seeds: Tensor
    fills: Mapping[str, Tensor]
    steps: int
    chunk: int
    explain_fn: ExplainFn
    _chunks: Chunks = field(init=False, repr=False)
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        if self.saliency.shape != (len(self.images), *self.images.shape[-2:]) or self.ties.shape != self.saliency.shape:
            raise ValueError(
                f"images {tuple(self.images.shape)}, saliency {tuple(self.saliency.shape)} and ties "
                f"{tuple(self.ties.shape)} must agree in number, height and width"
            )
        object.__setattr__(self, "_chunks", Chunks(self.chunk))

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """What is computed at the first call of this name, and kept."""
        if name not in self._kept:
            self._kept[name] = compute()
        found: T = self._kept[name]
        return found

    def logits(self, make: Callable[[Tensor], Tensor], number: int) -> Tensor:
        """The model's answers to `number` changed images, at most a chunk of them in memory at once.

        Args:
            make: Given numbers of changed images (M,), from 0 to number - 1, returns them, (M, 3, H, W).
            number: How many there are.

        Returns:
            Logits, (number, classes), float64.
        """

        def outputs(jobs: Tensor) -> Tensor:
            return self.model(make(jobs).contiguous(memory_format=torch.channels_last)).double()

        with torch.inference_mode():
            return self._chunks.of(outputs, number, self.images.device)

    def query(self, change: Change, num_queries: int) -> ModelOutputs:
        """What the model says of every image, changed in as many ways as there are questions; the mass is 0."""
        logits = self.logits(
            lambda jobs: change(jobs // num_queries, jobs % num_queries), len(self.images) * num_queries
        )
        wanted = self.classes[:, None, None].expand(-1, num_queries, 1)
        logits = logits.view(len(self.images), num_queries, -1)
        undefined = ~finite(self.saliency)[:, None]
        logit, probability = (
            values.gather(2, wanted)[:, :, 0].masked_fill(undefined, torch.nan)
            for values in (logits, logits.softmax(2))
        )
        return ModelOutputs(logit=logit, probability=probability, mass=torch.zeros_like(logit))

    def hidden(self, hide: Hide, num_queries: int, fill: str = "minimum") -> ModelOutputs:
        """What the model says of every image while some of its pixels show a fill, in all their channels."""
        replacement = self.fills[fill].to(self.images).expand_as(self.images)
        saliency = self.saliency.double()
        mass = torch.zeros(len(self.images), num_queries, dtype=torch.float64, device=self.images.device)

        def change(image: Tensor, query_index: Tensor) -> Tensor:
            hides = hide(image, query_index)
            mass[image, query_index] = (saliency[image] * hides).flatten(1).sum(1)
            return torch.where(hides[:, None], replacement[image], self.images[image])

        outputs = self.query(change, num_queries)
        return ModelOutputs(logit=outputs.logit, probability=outputs.probability, mass=mass)

    def whole(self) -> ModelOutputs:
        """What the model says of the untouched images: one answer each, asked once."""
        return self.once("whole", lambda: self.query(lambda image, _: self.images[image], 1))

    def rounding(self) -> Tensor:
        """Most that two answers about an image may differ by through rounding alone, in logits, (N,), asked once."""

        def query() -> Tensor:
            added, number = nudges(self.images[0]), len(self.images)
            each = len(added)
            logits = self.logits(lambda jobs: self.images[jobs // each] + added[jobs % each], number * each)
            return rounding_of(logits.view(number, each, -1), self.images.dtype)

        return self.once("rounding", query)

    def pixel_steps(self) -> Tensor:
        """The step of a perturbation curve in which each pixel's turn comes, (N, H, W), computed once."""
        return self.once("turns", lambda: pixel_steps_of(self.saliency, self.ties, self.steps))

    def deletion_steps(self, fill: str) -> Tensor:
        """Class probability after 1, 2, ..., K steps of removal, the most salient first, (N, K), asked once."""

        def outputs() -> Tensor:
            pixel_steps = self.pixel_steps()
            after = self.hidden(lambda image, step: pixel_steps[image] <= step[:, None, None], self.steps, fill)
            return after.probability

        return self.once(f"removed, {fill}", outputs)

    def deletion_curve(self, fill: str) -> Tensor:
        """The same with the untouched image at its head: after 0, 1, ..., K steps, (N, K+1)."""
        return torch.cat([self.whole().probability, self.deletion_steps(fill)], dim=1)

    def insertion_curve(self, fill: str) -> Tensor:
        """The same while the most salient pixels of the image appear on the fill, first to last, (N, K+1).

        Read backwards, it is the removal of the least salient pixels first; its ends are those of the removal.
        """

        def curve() -> Tensor:
            deletion_curve, pixel_steps = self.deletion_curve(fill), self.pixel_steps()
            if self.steps == 1:
                return deletion_curve.flip(1)
            between = self.hidden(lambda image, step: pixel_steps[image] > step[:, None, None], self.steps - 1, fill)
            return torch.cat([deletion_curve[:, -1:], between.probability, deletion_curve[:, :1]], dim=1)

        return self.once(f"arrival, {fill}", curve)

    def curves(self, fill: str = "blur") -> Curves:
        """Insertion and deletion curves against a fill: 2K forward passes per image, once."""
        return Curves(
            deletion=self.deletion_curve(fill),
            insertion=self.insertion_curve(fill),
            fractions=pixel_shares(self.steps, self.saliency[0].numel(), self.images.device),
        )


def example(maps: list[list[float]]) -> PerturbationContext:
    """A context for examples: images of one row whose left pixel is white and all else black, two steps.

    The model says 2 for the explained class where the left pixel is white, 0 where it is black, and 0 for the other.
    The training mean is 0.25.

    Args:
        maps: A row of saliency for each image.

    Example:
        >>> example([[0.9, 0.1]]).whole().probability.round(decimals=3).tolist()
        [[0.881]]
    """
    saliency = torch.tensor(maps, dtype=torch.float64)[:, None]
    images = torch.zeros(len(maps), 3, *saliency.shape[1:], dtype=torch.float64)
    images[..., 0] = 1

    def model(inputs: Tensor) -> Tensor:
        left = 2 * inputs.mean(1)[:, 0, 0]
        return torch.stack([left, torch.zeros_like(left)], dim=1)

    return PerturbationContext(
        model=model,
        images=images,
        saliency=saliency,
        classes=torch.zeros(len(maps), dtype=torch.int64),
        ties=torch.arange(saliency[0].numel()).expand_as(saliency).double(),
        seeds=torch.arange(len(maps)),
        fills={"mean": torch.tensor(0.25), "minimum": torch.tensor(0.0)},
        steps=2,
        chunk=8,
        explain_fn=lambda _, changed, __: changed.mean(1),
    )
