"""Does the model rely on what the map marks? Curves of the class probability while marked pixels come and go."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from metrics import Metric
from metrics.normalise import finite
from metrics.smoothing import gaussian_blur


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """Class probabilities of N images after 0, 1, ..., K steps of perturbation.

    Attributes:
        deletion: (N, K+1), in [0, 1]: the first k steps of the map's order show the baseline.
        insertion: (N, K+1), in [0, 1]: the first k steps show the image, the rest the baseline.
        fractions: (K+1,), from 0 to 1: share of the pixels in the first k steps.
    """

    deletion: Tensor
    insertion: Tensor
    fractions: Tensor


def blurred(images: Tensor) -> Tensor:
    """A baseline without detail: the images under a Gaussian blur of a twentieth of their shorter side.

    Colours and lighting stay, lesions dissolve; 11 pixels at 224, near the 10 of Fong and Vedaldi.

    Args:
        images: (N, 3, H, W), real.

    Returns:
        Blurred images, same shape and type.

    Reference:
        Fong and Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation, ICCV 2017.

    Example:
        >>> blurred(torch.ones(1, 3, 4, 4)).allclose(torch.ones(1, 3, 4, 4))
        True
    """
    return gaussian_blur(images, min(images.shape[-2:]) / 20).to(images.dtype)


def perturbation_curves(  # noqa: PLR0913 (each is a choice of the caller's that changes the curve)
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    saliency: Tensor,
    classes: Tensor,
    *,
    steps: int,
    baseline: Tensor,
    ties: Tensor,
    chunk: int,
) -> Curves:
    """Probabilities of the given classes while pixels pass between image and baseline in the order of the map.

    All inputs are known beforehand, so they form one list of 2K forward passes per image (both curves share their end
    points) that is cut into chunks. Neither the chunk nor the other images change a curve beyond rounding. A constant
    map is ordered by `ties` alone, as a random map would be; a map that is not finite has curves of NaN.

    Args:
        model: Network in evaluation mode: (M, 3, H, W) to logits (M, classes).
        images: (N, 3, H, W), as the model wants them.
        saliency: Maps, (N, H, W), real; only their order counts.
        classes: Whose probability is followed, (N,), integer.
        steps: K, the number of nearly equal steps, from 1 to H*W.
        baseline: What replaces removed pixels, broadcastable to the images.
        ties: Random numbers, (N, H, W), seeded by image: order among pixels of equal saliency. (In raster order the
            top rows would always go first.)
        chunk: Most images per forward pass.

    Returns:
        Curves of N images and K+1 points, float64.

    Reference:
        Petsiuk et al., RISE, BMVC 2018, causal metrics.

    Example:
        >>> lit = lambda x: torch.stack([x.sum((1, 2, 3)), torch.zeros(len(x))], 1)  # p = sigmoid(sum)
        >>> curves = perturbation_curves(
        ...     lit, torch.ones(1, 3, 1, 2), torch.tensor([[[0.9, 0.1]]]), torch.tensor([0]),
        ...     steps=2, baseline=torch.zeros(()), ties=torch.rand(1, 1, 2), chunk=8,
        ... )
        >>> curves.deletion.round(decimals=3).tolist()
        [[0.998, 0.953, 0.5]]
    """
    if not 1 <= steps <= saliency[0].numel():
        raise ValueError(f"steps is {steps}; it must lie between 1 and the number of pixels, {saliency[0].numel()}")
    if saliency.shape != (len(images), *images.shape[-2:]) or ties.shape != saliency.shape:
        raise ValueError(
            f"images {tuple(images.shape)}, saliency {tuple(saliency.shape)} and ties {tuple(ties.shape)} "
            "must agree in number, height and width"
        )
    step = _steps(saliency, ties, steps)[:, None]
    baseline = baseline.to(images).expand_as(images)
    # Deletion after 0..K steps, then insertion after 1..K-1: its ends are deletion's, the other way round.
    after = torch.tensor([*range(steps + 1), *range(1, steps)], device=images.device)
    inserts = torch.arange(2 * steps, device=images.device) > steps

    def probability(job: Tensor) -> Tensor:
        image, kind = job // (2 * steps), job % (2 * steps)
        hidden = (step[image] < after[kind, None, None, None]) ^ inserts[kind, None, None, None]
        inputs = torch.where(hidden, baseline[image], images[image])
        logits = model(inputs.contiguous(memory_format=torch.channels_last))
        return logits.double().softmax(1).gather(1, classes[image, None])

    with torch.inference_mode():
        jobs = torch.arange(len(images) * 2 * steps, device=images.device)
        found = torch.cat([probability(job) for job in jobs.split(chunk)]).view(len(images), 2 * steps)
    found = found.masked_fill(~finite(saliency)[:, None], torch.nan)
    deletion, between = found.split([steps + 1, steps - 1], dim=1)
    return Curves(
        deletion=deletion,
        insertion=torch.cat([deletion[:, -1:], between, deletion[:, :1]], dim=1),
        fractions=_fractions(steps, saliency[0].numel(), images.device),
    )


def _steps(saliency: Tensor, ties: Tensor, steps: int) -> Tensor:
    """The step, 0 to steps - 1, in which each pixel's turn comes, (N, H, W)."""
    shuffled = ties.flatten(1).argsort(dim=1, stable=True)
    ranked = saliency.flatten(1).gather(1, shuffled).argsort(dim=1, descending=True, stable=True)
    order = shuffled.gather(1, ranked)
    n = order.shape[1]
    turn = torch.arange(n, device=order.device) * steps // n
    return torch.empty_like(order).scatter_(1, order, turn.expand_as(order)).view_as(saliency)


def _fractions(steps: int, pixels: int, device: torch.device) -> Tensor:
    """Share of the pixels whose turn came in the first 0, 1, ..., K steps, (K+1,)."""
    k = torch.arange(steps + 1, device=device)
    return -(-k * pixels // steps).double() / pixels  # rounded up: the pixels of rank r with r * K // n < k


def insertion(curves: Curves) -> Tensor:
    """Area under the class probability while the image appears on the baseline, most salient pixels first.

    A map that is not finite scores NaN; a constant map scores as a random order does.

    Args:
        curves: Of N images; see :func:`perturbation_curves`.

    Returns:
        Scores, (N,), in [0, 1]; higher is better.

    Reference:
        Petsiuk et al., RISE, BMVC 2018, causal metrics.

    Example:
        >>> up, down = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> insertion(Curves(deletion=down, insertion=up, fractions=torch.tensor([0.0, 0.5, 1.0]))).item()
        0.75
    """
    return torch.trapezoid(curves.insertion, curves.fractions)


def deletion(curves: Curves) -> Tensor:
    """Area under the class probability while the image turns into the baseline, most salient pixels first.

    A map that is not finite scores NaN; a constant map scores as a random order does.

    Args:
        curves: Of N images; see :func:`perturbation_curves`.

    Returns:
        Scores, (N,), in [0, 1]; lower is better.

    Reference:
        Petsiuk et al., RISE, BMVC 2018, causal metrics.

    Example:
        >>> up, down = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> deletion(Curves(deletion=down, insertion=up, fractions=torch.tensor([0.0, 0.5, 1.0]))).item()
        0.25
    """
    return torch.trapezoid(curves.deletion, curves.fractions)


def insertion_deletion(curves: Curves) -> Tensor:
    """Insertion less deletion: how much earlier the salient pixels act than the others.

    A random order scores about 0, whatever the model; so does a constant map. A map that is not finite scores NaN.

    Args:
        curves: Of N images; see :func:`perturbation_curves`.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Petsiuk et al., RISE, BMVC 2018, causal metrics, subtracted.

    Example:
        >>> up, down = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> insertion_deletion(Curves(deletion=down, insertion=up, fractions=torch.tensor([0.0, 0.5, 1.0]))).item()
        0.5
    """
    return insertion(curves) - deletion(curves)


_RISE = "Petsiuk et al. 2018, RISE, BMVC, arXiv 1806.07421, causal metrics"

INSERTION = Metric(name="insertion", compute=insertion, bounds=(0.0, 1.0), higher_is_better=True, source=_RISE)
DELETION = Metric(name="deletion", compute=deletion, bounds=(0.0, 1.0), higher_is_better=False, source=_RISE)
INSERTION_DELETION = Metric(
    name="insertion-deletion",
    compute=insertion_deletion,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source=f"{_RISE}, their difference",
)
