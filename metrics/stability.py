"""Does the map stay where it is when the image changes by less than anybody would see?"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics import Metric
from metrics.normalize import finite
from metrics.perturbation import PerturbationContext

RADIUS = 0.02
"""Most that a channel of a pixel changes, in [0, 1]: five of 255 gray levels, as in Captum's `sensitivity_max`."""
DRAWS = 10
"""Changed images per image, as in Captum's `sensitivity_max`."""


def max_sensitivity(context: PerturbationContext) -> Tensor:
    """Largest change of the map, as a share of its norm, among ten images with noise of at most 2 % on every channel.

    The noise is uniform in [-0.02, 0.02]; what leaves [0, 1] is clipped. Maps are divided by their Frobenius norm, so
    that their scale does not count, and their distance is the Frobenius norm of the difference. Maps that do not
    depend on the image score 0, as far as they are kept exactly: half precision alone makes up to 0.0005. Maps that
    share no pixel score the root of 2. A changed image whose map is zero counts as a change of 1; a zero map, or one
    that is not finite, scores NaN.

    Args:
        context: The model, N images in [0, 1] and their maps, real.

    Returns:
        Scores, (N,), in [0, 2], and below 1.42 where maps are not negative; lower is better.

    Reference:
        Yeh et al., On the (In)fidelity and Sensitivity of Explanations, NeurIPS 2019, max-sensitivity, by sampling.

    Example:
        >>> from metrics.perturbation import Probe
        >>> context = PerturbationContext(
        ...     model=lambda x: x.mean((2, 3)), images=torch.rand(1, 3, 4, 4), saliency=torch.ones(1, 4, 4),
        ...     classes=torch.tensor([0]), ties=torch.rand(1, 4, 4), seeds=torch.tensor([7]), fills={}, steps=1,
        ...     chunk=8, explain_fn=lambda model, images, classes: torch.ones(len(images), 4, 4),
        ... )
        >>> max_sensitivity(context).item()  # the maps do not depend on the image
        0.0
    """
    change, _ = changes(context, [RADIUS] * DRAWS)
    return _largest(change, context)


def local_lipschitz(context: PerturbationContext) -> Tensor:
    """Largest change of the map per change of the image, among ten images in a ball of 2 % around it, near and far.

    Neighbor k of ten has uniform noise of at most k tenths of 0.02 on every channel, clipped to [0, 1]: a map that
    jumps shows it by its nearest neighbors, where :func:`max_sensitivity` sees the rim of the ball alone. Maps are
    divided by their Frobenius norm, so that their scale does not count; both changes are Frobenius norms, that of
    the image over all channels of values in [0, 1]. It falls as the root of the number of pixels grows: compare
    images of one size only. Degenerate maps score as in :func:`max_sensitivity`, NaN where they are not finite; half
    precision alone makes up to 0.005 at 96 px.

    Args:
        context: The model, N images in [0, 1] and their maps, real.

    Returns:
        Scores, (N,), 0 or more; lower is better.

    Reference:
        Alvarez-Melis and Jaakkola, On the Robustness of Interpretability Methods, 2018, arXiv 1806.08049,
        local Lipschitz estimate, by sampling.

    Example:
        >>> from metrics.perturbation import Probe
        >>> context = PerturbationContext(
        ...     model=lambda x: x.mean((2, 3)), images=torch.rand(1, 3, 4, 4), saliency=torch.ones(1, 4, 4),
        ...     classes=torch.tensor([0]), ties=torch.rand(1, 4, 4), seeds=torch.tensor([7]), fills={}, steps=1,
        ...     chunk=8, explain_fn=lambda model, images, classes: torch.ones(len(images), 4, 4),
        ... )
        >>> local_lipschitz(context).item()  # the maps do not depend on the image
        0.0
    """
    change, moved = changes(context, [RADIUS * (draw + 1) / DRAWS for draw in range(DRAWS)])
    return _largest(change / moved, context)


def changes(context: PerturbationContext, radii: Sequence[float]) -> tuple[Tensor, Tensor]:
    """How far the maps and the images moved, one draw per radius: two tensors (N, draws), float64.

    Both are Frobenius norms; maps are divided by their own beforehand.
    """
    own = _unit(context.saliency)
    jobs = torch.arange(len(own) * len(radii), device=own.device)
    found = []
    for part in jobs.split(context.chunk):
        image, draw = part // len(radii), part % len(radii)
        changed = neighbors(context, image.tolist(), draw.tolist(), radii)
        redrawn = _unit(context.explain_fn(context.model, changed, context.classes[image]))
        found.append(torch.stack([_norm(redrawn - own[image]), _norm((changed - context.images[image]).double())]))
    change, moved = torch.cat(found, dim=1).view(2, len(own), len(radii))
    return change, moved


def neighbors(
    context: PerturbationContext, images: Sequence[int], draws: Sequence[int], radii: Sequence[float]
) -> Tensor:
    """Changed images (M, 3, H, W): each with the noise of one of its draws, which its seed alone decides."""
    shape = context.images.shape[1:]
    # Drawn on the CPU, so that a GPU sees the same noise.
    noise = [
        radii[draw] * _direction(int(context.seeds[image]), draw, shape)
        for image, draw in zip(images, draws, strict=True)
    ]
    return (context.images[list(images)] + torch.as_tensor(np.stack(noise)).to(context.images)).clamp(0, 1)


def _direction(seed: int, draw: int, shape: Sequence[int]) -> NDArray[np.float64]:
    """Uniform noise in [-1, 1)."""
    return np.random.default_rng([seed, draw]).uniform(-1, 1, tuple(shape))


def _unit(maps: Tensor) -> Tensor:
    """Each map (M, H, W) divided by its Frobenius norm, float64; a zero map stays zero."""
    values = maps.detach().double()
    largest = values.abs().amax(dim=(1, 2), keepdim=True)
    # By the largest value first: the squares of a gradient of 1e-200 would vanish.
    values = torch.where(largest > 0, values / largest, values)
    norm = _norm(values)[:, None, None]
    return torch.where(norm > 0, values / norm, values)


def _norm(fields: Tensor) -> Tensor:
    return fields.flatten(1).norm(dim=1)


def _largest(values: Tensor, context: PerturbationContext) -> Tensor:
    """The largest value of each row (N, draws); NaN where the map is zero or not finite."""
    usable = finite(context.saliency) & context.saliency.flatten(1).any(dim=1)
    return values.amax(dim=1).masked_fill(~usable, torch.nan)


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
