"""Queries of a model with perturbed images, which all scores that need the model share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from metrics.batching import BatchRunner
from metrics.faithfulness import Curves
from metrics.normalize import finite
from metrics.pixel_ordering import compute_pixel_steps, pixel_fractions
from metrics.rounding import compute_rounding_bound, ulp_perturbations

T = TypeVar("T")

ExplainFn = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]
"""Computes maps. Takes a model, images (M, 3, H, W) and classes (M,). Returns maps (M, H, W)."""

PerturbFn = Callable[[Tensor, Tensor], Tensor]
"""Takes image indices (M,) and query indices (M,). Returns perturbed images (M, 3, H, W)."""

HideFn = Callable[[Tensor, Tensor], Tensor]
"""Takes image indices (M,) and query indices (M,). Returns which pixels are hidden, (M, H, W), bool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOutputs:
    """Model outputs for the class that each map explains. NaN where the map is not finite.

    Attributes:
        logit: (N, Q), float64, for Q queries about each of N images.
        probability: (N, Q), in [0, 1], float64.
        mass: Sum of the saliency over the hidden pixels, (N, Q), float64.
    """

    logit: Tensor
    probability: Tensor
    mass: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PerturbationContext:
    """N images with their maps, and the model that perturbed images are sent to.

    Results that several scores share are computed once and cached. Up to rounding, no result depends on the batch size
    or on the other images.

    Attributes:
        model: Network in evaluation mode. It maps (M, 3, H, W) in [0, 1] to logits (M, classes).
        images: (N, 3, H, W), float, in [0, 1].
        saliency: Maps, (N, H, W), real.
        classes: The class that each map explains, (N,), integer.
        ties: Random numbers in [0, 1), (N, H, W), which order pixels of equal saliency. They depend only on the name of
            the image.
        seeds: Nonnegative integers, (N,), int64, for other random draws. They depend only on the name of the image.
        fills: The values that removed pixels show, by name ("blur", "mean", "minimum"). Each broadcasts to the images.
        steps: Number of steps of a perturbation curve, from 1 to the number of pixels.
        batch_size: Maximum number of images per forward pass. It is halved if memory runs out.
        explain_fn: The saliency method, for scores that need maps of a perturbed image or of a changed model.
    """

    model: Callable[[Tensor], Tensor]
    images: Tensor
    saliency: Tensor
    classes: Tensor
    ties: Tensor
    seeds: Tensor
    fills: Mapping[str, Tensor]
    steps: int
    batch_size: int
    explain_fn: ExplainFn
    _batches: BatchRunner = field(init=False, repr=False)
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Rejects tensors whose shapes do not match."""
        if self.saliency.shape != (len(self.images), *self.images.shape[-2:]) or self.ties.shape != self.saliency.shape:
            raise ValueError(
                f"images {tuple(self.images.shape)}, saliency {tuple(self.saliency.shape)} and ties "
                f"{tuple(self.ties.shape)} must agree in number, height and width"
            )
        object.__setattr__(self, "_batches", BatchRunner(self.batch_size))

    def cached(self, name: str, compute: Callable[[], T]) -> T:
        """Returns the cached value of this name. The first call computes it."""
        if name not in self._cache:
            self._cache[name] = compute()
        value: T = self._cache[name]
        return value

    def seed_numbers(self) -> list[int]:
        """Returns the seeds as numbers. Cached, so that a device is read once."""
        return self.cached("seed_numbers", self.seeds.tolist)

    def logits(self, build_images: Callable[[Tensor], Tensor], num_images: int) -> Tensor:
        """Returns the logits of perturbed images. Memory holds at most one batch of them at a time.

        Args:
            build_images: Takes indices (M,), from 0 to num_images - 1, and returns images (M, 3, H, W).
            num_images: Number of perturbed images.

        Returns:
            Logits, (num_images, classes), float64.
        """

        def forward(indices: Tensor) -> Tensor:
            return self.model(build_images(indices).contiguous(memory_format=torch.channels_last)).double()

        with torch.inference_mode():
            return self._batches.run(forward, num_images, self.images.device)

    def query(self, perturb: PerturbFn, num_queries: int) -> ModelOutputs:
        """Returns the model outputs for `num_queries` perturbed versions of each image. The mass is 0."""
        logits = self.logits(
            lambda indices: perturb(indices // num_queries, indices % num_queries), len(self.images) * num_queries
        )
        class_indices = self.classes[:, None, None].expand(-1, num_queries, 1)
        logits = logits.view(len(self.images), num_queries, -1)
        undefined = ~finite(self.saliency)[:, None]
        logit, probability = (
            values.gather(2, class_indices)[:, :, 0].masked_fill(undefined, torch.nan)
            for values in (logits, logits.softmax(2))
        )
        return ModelOutputs(logit=logit, probability=probability, mass=torch.zeros_like(logit))

    def query_hidden(self, hide: HideFn, num_queries: int, fill: str = "minimum") -> ModelOutputs:
        """Returns the model outputs for `num_queries` versions of each image, whose hidden pixels show a fill.

        A hidden pixel is hidden in all channels.
        """
        replacement = self.fills[fill].to(self.images).expand_as(self.images)
        saliency = self.saliency.double()
        mass = torch.zeros(len(self.images), num_queries, dtype=torch.float64, device=self.images.device)

        def perturb(image_index: Tensor, query_index: Tensor) -> Tensor:
            hidden = hide(image_index, query_index)
            mass[image_index, query_index] = (saliency[image_index] * hidden).flatten(1).sum(1)
            return torch.where(hidden[:, None], replacement[image_index], self.images[image_index])

        outputs = self.query(perturb, num_queries)
        return ModelOutputs(logit=outputs.logit, probability=outputs.probability, mass=mass)

    def unperturbed(self) -> ModelOutputs:
        """Returns the model outputs for the original images, one query each. Cached."""
        return self.cached("unperturbed", lambda: self.query(lambda image_index, _: self.images[image_index], 1))

    def rounding_bound(self) -> Tensor:
        """Returns the maximum difference of two logits of an image that rounding alone explains, (N,). Cached."""

        def compute() -> Tensor:
            perturbations, num_images = ulp_perturbations(self.images[0]), len(self.images)
            num_copies = len(perturbations)
            logits = self.logits(
                lambda indices: self.images[indices // num_copies] + perturbations[indices % num_copies],
                num_images * num_copies,
            )
            return compute_rounding_bound(logits.view(num_images, num_copies, -1), self.images.dtype)

        return self.cached("rounding_bound", compute)

    def pixel_steps(self) -> Tensor:
        """Returns the step of a perturbation curve that changes each pixel, (N, H, W), from 0. Cached."""
        return self.cached("pixel_steps", lambda: compute_pixel_steps(self.saliency, self.ties, self.steps))

    def deletion_probabilities(self, fill: str) -> Tensor:
        """Returns the class probability after 1, 2, ..., K steps that delete the most salient pixels first, (N, K).

        Cached.
        """

        def compute() -> Tensor:
            pixel_steps = self.pixel_steps()
            outputs = self.query_hidden(
                lambda image_index, step: pixel_steps[image_index] <= step[:, None, None], self.steps, fill
            )
            return outputs.probability

        return self.cached(f"deletion_probabilities, {fill}", compute)

    def deletion_curve(self, fill: str) -> Tensor:
        """Returns the class probability after 0, 1, ..., K steps of deletion, (N, K+1)."""
        return torch.cat([self.unperturbed().probability, self.deletion_probabilities(fill)], dim=1)

    def insertion_curve(self, fill: str) -> Tensor:
        """Returns the class probability after 0, 1, ..., K steps that insert the most salient pixels first, (N, K+1).

        Insertion starts from the fill and ends at the image. Read backwards, it is the deletion of the least salient
        pixels first. So its two ends are those of the deletion curve, and no forward pass is needed for them. Cached.
        """

        def compute() -> Tensor:
            deletion_curve, pixel_steps = self.deletion_curve(fill), self.pixel_steps()
            if self.steps == 1:
                return deletion_curve.flip(1)
            between = self.query_hidden(
                lambda image_index, step: pixel_steps[image_index] > step[:, None, None], self.steps - 1, fill
            )
            return torch.cat([deletion_curve[:, -1:], between.probability, deletion_curve[:, :1]], dim=1)

        return self.cached(f"insertion_curve, {fill}", compute)

    def curves(self, fill: str = "blur") -> Curves:
        """Returns the insertion and deletion curves for a fill: 2K forward passes per image, cached."""
        return Curves(
            deletion=self.deletion_curve(fill),
            insertion=self.insertion_curve(fill),
            fractions=pixel_fractions(self.steps, self.saliency[0].numel(), self.images.device),
        )


def example(maps: list[list[float]]) -> PerturbationContext:
    """Returns a context for doctests, with images of one row and two steps.

    The left pixel of each image is white, and all others are black. The logit of the explained class is 2 where the
    left pixel is white and 0 where it is black. The logit of the other class is 0. The fill "mean" is 0.25.

    Args:
        maps: A row of saliency for each image.

    Example:
        >>> example([[0.9, 0.1]]).unperturbed().probability.round(decimals=3).tolist()
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
        batch_size=8,
        explain_fn=lambda _, changed, __: changed.mean(1),
    )
