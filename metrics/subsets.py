"""Correlations, over sets of pixels, between the saliency of a set and the logit that is lost without it."""

from collections.abc import Callable
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics import Metric
from metrics.perturbation import HideFn, ModelOutputs, PerturbationContext

NUM_SETS = 100
"""Number of random sets of faithfulness correlation, as in Quantus."""
SET_FRACTIONS = (0.01, 0.05, 0.2, 0.8)
"""Sizes of the random sets of sensitivity-n, as fractions of the pixels."""
SETS_PER_FRACTION = 25

Sampler = Callable[[int, int], NDArray[np.intp]]
"""Takes an image index and a set index. Returns the indices of the pixels of a random set."""


def faithfulness_correlation(context: PerturbationContext) -> Tensor:
    """Pearson correlation, over 100 random sets of pixels, of their saliency and the logit that is lost with them.

    A set has as many pixels as the root of their number, which is 224 at 224 x 224. It is drawn for each image without
    replacement. Hidden pixels show the image's darkest value in all channels, while Quantus 0.6.0 draws single color
    channels. A constant map or one that is not finite scores NaN. So does a model whose output changes only by
    rounding.

    Args:
        context: Model, N images and maps. The metric uses the fill "minimum" and the seeds.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Bhatt et al., Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020, Faithfulness.

    Example:
        >>> from metrics.perturbation import example
        >>> faithfulness_correlation(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [1.0, -1.0]
    """
    num_pixels = context.saliency[0].numel()
    sampler = build_sampler(context, [round(num_pixels**0.5)] * NUM_SETS, "faithfulness-correlation")
    return loss_correlation(context, context.query_hidden(hide_sampled(context, sampler), NUM_SETS))


def sensitivity_n(context: PerturbationContext) -> Tensor:
    """Mean, over sets of 1, 5, 20 and 80 % of the pixels, of the correlation of their saliency and the logit lost.

    For each size, 25 sets are drawn for each image without replacement. As in the source, a score belongs to one image.
    Quantus correlates over the images of a batch instead. A size at which the correlation is undefined is left out. A
    constant map or one that is not finite scores NaN. So does a model whose output changes only by rounding.

    Args:
        context: Model, N images and maps. The metric uses the fill "minimum" and the seeds.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Ancona et al., Towards Better Understanding of Gradient-based Attribution Methods for Deep Neural Networks,
        ICLR 2018, section 4. Saliency may differ from their attribution by a factor, which a correlation ignores.

    Example:
        >>> from metrics.perturbation import example
        >>> sensitivity_n(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [1.0, -1.0]
    """
    num_pixels = context.saliency[0].numel()
    sizes = [
        min(max(round(fraction * num_pixels), 1), num_pixels - 1)
        for fraction in SET_FRACTIONS
        for _ in range(SETS_PER_FRACTION)
    ]
    outputs = context.query_hidden(hide_sampled(context, build_sampler(context, sizes, "sensitivity-n")), len(sizes))
    groups = torch.arange(len(sizes), device=context.images.device).split(SETS_PER_FRACTION)
    return torch.stack([loss_correlation(context, outputs, group) for group in groups]).nanmean(0)


def faithfulness_estimate(context: PerturbationContext) -> Tensor:
    """Pearson correlation, over equal blocks of pixels of like saliency, of their saliency and the logit lost.

    The pixels are ordered by saliency and cut into as many blocks as a perturbation curve has steps. One query per
    block fills it with the image's darkest value. A constant map or one that is not finite scores NaN. So does a model
    whose output changes only by rounding, and so do fewer than two blocks.

    Args:
        context: Model, N images and maps. The metric uses the fill "minimum" and the steps.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Alvarez-Melis and Jaakkola, Towards Robust Interpretability with Self-Explaining Neural Networks, NeurIPS 2018,
        section 5.3, Faithfulness.

    Example:
        >>> from metrics.perturbation import example
        >>> faithfulness_estimate(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [1.0, -1.0]
    """
    pixel_steps = context.pixel_steps()
    outputs = context.query_hidden(
        lambda image_index, block: pixel_steps[image_index] == block[:, None, None], context.steps
    )
    return loss_correlation(context, outputs)


def build_sampler(context: PerturbationContext, sizes: list[int], purpose: str) -> Sampler:
    """Builds a sampler of pixel sets without replacement.

    A set depends only on the seed of the image, the index and size of the set, and the purpose.
    """
    seeds, num_pixels = context.seed_numbers(), context.saliency[0].numel()
    salt = crc32(purpose.encode())

    def draw(image_index: int, set_index: int) -> NDArray[np.intp]:
        generator = np.random.default_rng([seeds[image_index], set_index, salt])
        return generator.choice(num_pixels, sizes[set_index], replace=False, shuffle=False)

    return draw


def hide_sampled(context: PerturbationContext, draw: Sampler) -> HideFn:
    """Returns a function that hides the pixels that a sampler draws."""
    shape, device = context.saliency.shape[1:], context.images.device

    def hide(image_indices: Tensor, set_indices: Tensor) -> Tensor:
        hidden = np.zeros((len(image_indices), shape.numel()), dtype=np.bool_)
        for row, i, j in zip(hidden, image_indices.tolist(), set_indices.tolist(), strict=True):
            row[draw(i, j)] = True
        return torch.as_tensor(hidden, device=device).view(-1, *shape)

    return hide


def loss_correlation(
    context: PerturbationContext, outputs: ModelOutputs, queries: Tensor | slice = slice(None)
) -> Tensor:
    """Returns the correlation of hidden saliency and lost logit over the queries, (N,).

    NaN where the map is constant, or where the losses differ only by rounding.
    """
    lost = context.unperturbed().logit - outputs.logit
    lowest, highest = context.saliency.flatten(1).aminmax(dim=1)
    min_lost, max_lost = lost[:, queries].aminmax(dim=1)
    undefined = (lowest == highest) | (max_lost - min_lost <= context.rounding_bound())
    return pearson(outputs.mass[:, queries], lost[:, queries]).masked_fill(undefined, torch.nan)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Returns the Pearson correlation of each row of a and b, (N, Q), in [-1, 1].

    NaN where a row varies only by rounding: by less than 1e-10 of its largest absolute value.

    Example:
        >>> pearson(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[3.0, 2.0, 2.0]])).round(decimals=3).tolist()
        [-0.866]
        >>> pearson(torch.tensor([[0.1, 0.1]]), torch.tensor([[1.0, 2.0]])).tolist()
        [nan]
    """
    norms, deviations = [], []
    for values in (a.double(), b.double()):
        deviation = values - values.mean(1, keepdim=True)
        norm = deviation.norm(dim=1)
        varies = deviation.abs().amax(1) > 1e-10 * values.abs().amax(1)
        norms.append(norm.masked_fill(~varies, torch.nan))
        deviations.append(deviation)
    return ((deviations[0] * deviations[1]).sum(1) / norms[0] / norms[1]).clamp(-1, 1)


FAITHFULNESS_CORRELATION = Metric(
    name="faithfulness-correlation",
    compute=faithfulness_correlation,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source="Bhatt et al. 2020, Evaluating and Aggregating Feature-based Model Explanations, IJCAI",
)
SENSITIVITY_N = Metric(
    name="sensitivity-n",
    compute=sensitivity_n,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source="Ancona et al. 2018, Towards Better Understanding of Gradient-based Attribution Methods, ICLR, section 4",
)
FAITHFULNESS_ESTIMATE = Metric(
    name="faithfulness-estimate",
    compute=faithfulness_estimate,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source="Alvarez-Melis and Jaakkola 2018, Towards Robust Interpretability, NeurIPS, section 5.3",
)
