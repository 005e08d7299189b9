"""Stability: how much the map changes under changes of the image that nobody would see."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics import Metric
from metrics.normalize import finite
from metrics.perturbation import PerturbationContext

RADIUS = 0.02
"""Maximum change of a channel of a pixel, in [0, 1]: five of 255 gray levels, as in Captum's `sensitivity_max`."""
NUM_SAMPLES = 10
"""Number of noisy images per image, as in Captum's `sensitivity_max`."""


def max_sensitivity(context: PerturbationContext) -> Tensor:
    """Maximum change of the map, relative to its norm, over ten images with noise of at most 2 % on every channel.

    The noise is uniform in [-0.02, 0.02], and noisy images are clipped to [0, 1]. Maps are divided by their Frobenius
    norm, so their scale does not matter. Their distance is the Frobenius norm of the difference. Maps that do not
    depend on the image score 0, except for their rounding: half precision alone adds up to 0.0005. Maps that share no
    pixel score the root of 2. A noisy image whose map is zero counts as a change of 1. A zero map or one that is not
    finite scores NaN.

    Args:
        context: The model, and N images in [0, 1] with their maps.

    Returns:
        Scores, (N,), in [0, 2], and below 1.42 for maps that are not negative; lower is better.

    Reference:
        Yeh et al., On the (In)fidelity and Sensitivity of Explanations, NeurIPS 2019, max-sensitivity, by sampling.

    Example:
        >>> from metrics.perturbation import PerturbationContext
        >>> context = PerturbationContext(
        ...     model=lambda x: x.mean((2, 3)), images=torch.rand(1, 3, 4, 4), saliency=torch.ones(1, 4, 4),
        ...     classes=torch.tensor([0]), ties=torch.rand(1, 4, 4), seeds=torch.tensor([7]), fills={}, steps=1,
        ...     batch_size=8, explain_fn=lambda model, images, classes: torch.ones(len(images), 4, 4),
        ... )
        >>> max_sensitivity(context).item()  # the maps do not depend on the image
        0.0
    """
    map_changes, _ = changes(context, [RADIUS] * NUM_SAMPLES)
    return _largest(map_changes, context)


def local_lipschitz(context: PerturbationContext) -> Tensor:
    """Maximum change of the map per change of the image, over ten images at different distances in a ball of 2 %.

    Sample k of ten has uniform noise of at most k tenths of 0.02 on every channel, and is clipped to [0, 1]. A map that
    jumps shows it at its nearest samples, while :func:`max_sensitivity` only uses the full radius. Maps are divided by
    their Frobenius norm, so their scale does not matter. Both changes are Frobenius norms, and that of the image covers
    all channels in [0, 1]. The change of the image grows with the root of the number of pixels, and the score falls. So
    compare only images of one size. Degenerate maps score as in :func:`max_sensitivity`, and NaN if they are not
    finite. Half precision alone adds up to 0.005 at 96 pixels.

    Args:
        context: The model, and N images in [0, 1] with their maps.

    Returns:
        Scores, (N,), 0 or more; lower is better.

    Reference:
        Alvarez-Melis and Jaakkola, On the Robustness of Interpretability Methods, 2018, arXiv 1806.08049,
        local Lipschitz estimate, by sampling.

    Example:
        >>> from metrics.perturbation import PerturbationContext
        >>> context = PerturbationContext(
        ...     model=lambda x: x.mean((2, 3)), images=torch.rand(1, 3, 4, 4), saliency=torch.ones(1, 4, 4),
        ...     classes=torch.tensor([0]), ties=torch.rand(1, 4, 4), seeds=torch.tensor([7]), fills={}, steps=1,
        ...     batch_size=8, explain_fn=lambda model, images, classes: torch.ones(len(images), 4, 4),
        ... )
        >>> local_lipschitz(context).item()  # the maps do not depend on the image
        0.0
    """
    map_changes, image_changes = changes(
        context, [RADIUS * (sample + 1) / NUM_SAMPLES for sample in range(NUM_SAMPLES)]
    )
    return _largest(map_changes / image_changes, context)


def changes(context: PerturbationContext, radii: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Computes the changes of maps and images, with one noisy image per radius.

    Args:
        context: The model, and N images with their maps.
        radii: Maximum noise of each of S samples.

    Returns:
        Frobenius norms of the changes of the maps, each divided by its own norm beforehand, and of the images. Both are
        (N, S), float64.
    """
    original = _unit(context.saliency)
    jobs = torch.arange(len(original) * len(radii), device=original.device)
    norms = []
    for batch in jobs.split(context.batch_size):
        image_index, sample = batch // len(radii), batch % len(radii)
        noisy = neighbors(context, image_index.tolist(), sample.tolist(), radii)
        maps = _unit(context.explain_fn(context.model, noisy, context.classes[image_index]))
        image_change = (noisy - context.images[image_index]).double()
        norms.append(torch.stack([_norm(maps - original[image_index]), _norm(image_change)]))
    map_changes, image_changes = torch.cat(norms, dim=1).view(2, len(original), len(radii))
    return map_changes, image_changes


def neighbors(
    context: PerturbationContext, image_indices: Sequence[int], samples: Sequence[int], radii: Sequence[float]
) -> Tensor:
    """Returns noisy images (M, 3, H, W). The noise depends only on the seed of the image and the sample index."""
    shape = context.images.shape[1:]
    # Drawn on the CPU, so that all devices see the same noise.
    noise = [
        radii[sample] * _direction(context.seed_numbers()[image_index], sample, shape)
        for image_index, sample in zip(image_indices, samples, strict=True)
    ]
    images = context.images[torch.tensor(image_indices, device=context.images.device)]
    return (images + torch.as_tensor(np.stack(noise)).to(images)).clamp(0, 1)


def _direction(seed: int, sample: int, shape: Sequence[int]) -> NDArray[np.float64]:
    """Returns uniform noise in [-1, 1)."""
    return np.random.default_rng([seed, sample]).uniform(-1, 1, tuple(shape))


def _unit(maps: Tensor) -> Tensor:
    """Returns each map (M, H, W) divided by its Frobenius norm, float64. A zero map stays zero."""
    values = maps.detach().double()
    largest = values.abs().amax(dim=(1, 2), keepdim=True)
    # Divide by the largest value first: the squares of a gradient of 1e-200 would vanish.
    values = torch.where(largest > 0, values / largest, values)
    norm = _norm(values)[:, None, None]
    return torch.where(norm > 0, values / norm, values)


def _norm(tensors: Tensor) -> Tensor:
    return tensors.flatten(1).norm(dim=1)


def _largest(values: Tensor, context: PerturbationContext) -> Tensor:
    """Returns the maximum of each row (N, S). NaN where the map is zero or not finite."""
    valid = finite(context.saliency) & context.saliency.flatten(1).any(dim=1)
    return values.amax(dim=1).masked_fill(~valid, torch.nan)


MAX_SENSITIVITY = Metric(
    name="max-sensitivity",
    compute=max_sensitivity,
    bounds=(0.0, 2.0),
    higher_is_better=False,
    source="Yeh et al. 2019, On the (In)fidelity and Sensitivity of Explanations, NeurIPS",
)
LOCAL_LIPSCHITZ = Metric(
    name="local-lipschitz",
    compute=local_lipschitz,
    bounds=(0.0, float("inf")),
    higher_is_better=False,
    source="Alvarez-Melis and Jaakkola 2018, On the Robustness of Interpretability Methods, arXiv 1806.08049",
)
