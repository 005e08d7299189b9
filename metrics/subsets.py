"""Does the saliency of some pixels foretell what the model loses with them? Correlations over sets of pixels."""

from collections.abc import Callable
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics import Metric
from metrics.perturbation import Hide, ModelOutputs, PerturbationContext

DRAWS = 100
"""Random sets of faithfulness correlation, as Quantus has it."""
SHARES = (0.01, 0.05, 0.2, 0.8)
"""Sizes of the random sets of sensitivity-n, as shares of the pixels."""
DRAWS_PER_SHARE = 25

Draw = Callable[[int, int], NDArray[np.intp]]
"""Places of the pixels of a random set, given the numbers of the image and of the set."""


def faithfulness_correlation(context: PerturbationContext) -> Tensor:
    """Pearson correlation, over 100 random sets of pixels, of their saliency and the logit that is lost with them.

    Each set has as many pixels as a side of the image (the square root of their number: 224 at 224 x 224), drawn for
    the image without replacement; hidden pixels show the image's darkest value in all channels. (Quantus 0.6.0 draws
    single color channels.) Where the map is constant or not finite, or the model's answer never changes but by
    rounding, it is NaN.

    Args:
        context: Model, N images and maps; its fill "minimum" and its seeds.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Bhatt et al., Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020, Faithfulness.

    Example:
        >>> from metrics.perturbation import example
        >>> faithfulness_correlation(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [1.0, -1.0]
    """
    pixels = context.saliency[0].numel()
    draw = draws(context, [round(pixels**0.5)] * DRAWS, "faithfulness-correlation")
    return over(context, context.hidden(sets(context, draw), DRAWS))


def sensitivity_n(context: PerturbationContext) -> Tensor:
    """Mean, over sets of 1, 5, 20 and 80 % of the pixels, of the correlation of their saliency and the logit lost.

    For each size, 25 sets are drawn for the image without replacement. As in the source, a score is that of one image;
    Quantus correlates over the images of a batch instead, so that its score belongs to no image. A size at which the
    correlation is undefined is left out. Where the map is constant or not finite, or the model's answer never changes
    but by rounding, it is NaN.

    Args:
        context: Model, N images and maps; its fill "minimum" and its seeds.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Ancona et al., Towards Better Understanding of Gradient-based Attribution Methods for Deep Neural Networks,
        ICLR 2018, section 4; by saliency up to a factor, which a correlation does not see.

    Example:
        >>> from metrics.perturbation import example
        >>> sensitivity_n(example([[0.9, 0.1], [0.1, 0.9]])).round(decimals=3).tolist()
        [1.0, -1.0]
    """
    pixels = context.saliency[0].numel()
    sizes = [min(max(round(share * pixels), 1), pixels - 1) for share in SHARES for _ in range(DRAWS_PER_SHARE)]
    outputs = context.hidden(sets(context, draws(context, sizes, "sensitivity-n")), len(sizes))
    parts = torch.arange(len(sizes), device=context.images.device).split(DRAWS_PER_SHARE)
    return torch.stack([over(context, outputs, part) for part in parts]).nanmean(0)


def faithfulness_estimate(context: PerturbationContext) -> Tensor:
    """Pearson correlation, over equal blocks of pixels of like saliency, of their saliency and the logit lost.

    The pixels, ordered by saliency, are cut into as many blocks as a perturbation curve has steps; each block alone
    shows the image's darkest value. Where the map is constant or not finite, or the model's answer never changes
    but by rounding, or there are fewer than two blocks, it is NaN.

    Args:
        context: Model, N images and maps; its fill "minimum" and its steps.

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
    alone = context.hidden(lambda image, block: pixel_steps[image] == block[:, None, None], context.steps)
    return over(context, alone)


def draws(context: PerturbationContext, sizes: list[int], purpose: str) -> Draw:
    """Random sets of pixels, which depend on the image's seed, the set's number and size and the purpose alone."""
    seeds, pixels = context.seeds.tolist(), context.saliency[0].numel()
    salt = crc32(purpose.encode())

    def draw(image: int, number: int) -> NDArray[np.intp]:
        generator = np.random.default_rng([seeds[image], number, salt])
        return generator.choice(pixels, sizes[number], replace=False, shuffle=False)

    return draw


def sets(context: PerturbationContext, draw: Draw) -> Hide:
    """Hides the pixels that are drawn."""
    shape, device = context.saliency.shape[1:], context.images.device

    def hide(image: Tensor, number: Tensor) -> Tensor:
        hidden = np.zeros((len(image), shape.numel()), dtype=np.bool_)
        for row, i, j in zip(hidden, image.tolist(), number.tolist(), strict=True):
            row[draw(i, j)] = True
        return torch.as_tensor(hidden, device=device).view(-1, *shape)

    return hide


def over(context: PerturbationContext, outputs: ModelOutputs, part: Tensor | slice = slice(None)) -> Tensor:
    """Correlation of hidden saliency and lost logit over some questions, (N,); NaN for a constant map or answer."""
    lost = context.whole().logit - outputs.logit
    lowest, highest = context.saliency.flatten(1).aminmax(dim=1)
    least, most = lost[:, part].aminmax(dim=1)
    undefined = (lowest == highest) | (most - least <= context.rounding())
    return pearson(outputs.mass[:, part], lost[:, part]).masked_fill(undefined, torch.nan)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation of each row of a and b, (N, Q), in [-1, 1].

    NaN where a row varies no more than rounding does: by less than 1e-10 of its largest value.

    Example:
        >>> pearson(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[3.0, 2.0, 2.0]])).round(decimals=3).tolist()
        [-0.866]
        >>> pearson(torch.tensor([[0.1, 0.1]]), torch.tensor([[1.0, 2.0]])).tolist()
        [nan]
    """
    lengths, parts = [], []
    for values in (a.double(), b.double()):
        deviation = values - values.mean(1, keepdim=True)
        length = deviation.norm(dim=1)
        varies = deviation.abs().amax(1) > 1e-10 * values.abs().amax(1)
        lengths.append(length.masked_fill(~varies, torch.nan))
        parts.append(deviation)
    return ((parts[0] * parts[1]).sum(1) / lengths[0] / lengths[1]).clamp(-1, 1)


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
