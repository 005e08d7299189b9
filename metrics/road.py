"""ROAD: the class probability while the most salient pixels are imputed from their neighbors."""

import numpy as np
import torch
from torch import Tensor

from metrics import Metric
from metrics.imputation import impute
from metrics.perturbation import PerturbationContext
from metrics.pixel_ordering import compute_pixel_steps

PERCENTAGES = (10, 30, 50, 70, 90)
NOISE_STD = 0.01
"""Standard deviation of the noise on imputed values. It hides how smooth they are."""


def road(context: PerturbationContext) -> Tensor:
    """Mean class probability with the most salient 10, 30, ..., 90 % of the pixels imputed from their neighbors.

    An imputed pixel is the weighted mean of its neighbors, plus noise with a standard deviation of 0.01. So the image
    loses the content of the pixels, but their outline does not show. The source uses the accuracy over a set of images
    at each percentage. A probability is finer and belongs to one image. A constant map scores as a random order does. A
    map that is not finite scores NaN.

    Args:
        context: Model, N images and maps. The metric uses the ties and seeds.

    Returns:
        Scores, (N,), in [0, 1]; lower is better.

    Reference:
        Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML 2022, ROAD, MoRF.

    Example:
        >>> from metrics.perturbation import example
        >>> road(example([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]])).round(decimals=2).tolist()
        [0.65, 0.88]
    """
    return imputed_probability(context, least_first=False).mean(1)


def road_combined(context: PerturbationContext) -> Tensor:
    """Class probability with the least salient pixels imputed minus that with the most salient, mean over 10 to 90 %.

    The score is like `road`, but for both orders. A model that reacts badly to any imputation loses in both. A random
    order scores about 0, and so does a constant map. A map that is not finite scores NaN.

    Args:
        context: Model, N images and maps. The metric uses the ties and seeds.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML 2022, ROAD, LeRF minus
        MoRF. pytorch-grad-cam halves it.

    Example:
        >>> from metrics.perturbation import example
        >>> road_combined(example([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]])).round(decimals=2).tolist()
        [0.23, -0.23]
    """
    return (imputed_probability(context, least_first=True) - imputed_probability(context, least_first=False)).mean(1)


def imputed_probability(context: PerturbationContext, *, least_first: bool) -> Tensor:
    """Returns the class probability at each percentage of imputed pixels, (N, P). Cached."""
    num_pixels = context.saliency[0].numel()
    counts = torch.tensor([num_pixels * percentage // 100 for percentage in PERCENTAGES], device=context.images.device)

    def compute() -> Tensor:
        # One pixel per step, so the steps are the ranks.
        ranks = context.cached("ranks", lambda: compute_pixel_steps(context.saliency, context.ties, num_pixels))
        noise = context.cached("noise", lambda: _noise(context))

        def perturb(image_index: Tensor, query_index: Tensor) -> Tensor:
            count = counts[query_index, None, None]
            missing = ranks[image_index] >= num_pixels - count if least_first else ranks[image_index] < count
            filled = impute(context.images[image_index], missing).to(context.images)
            return torch.where(missing[:, None], filled + noise[image_index], filled)

        return context.query(perturb, len(PERCENTAGES)).probability

    return context.cached(f"imputed_probability, {least_first}", compute)


def _noise(context: PerturbationContext) -> Tensor:
    """Returns the noise of each image, (N, C, H, W), the same at all percentages."""
    shape = context.images.shape[1:]
    # Drawn on the CPU, so that all devices see the same noise.
    noise = [np.random.default_rng([seed, *b"road"]).standard_normal(shape) for seed in context.seed_numbers()]
    return torch.as_tensor(NOISE_STD * np.stack(noise)).to(context.images)


_ROAD = (
    "Rong et al. 2022, A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML, arXiv 2202.00449"
)

ROAD = Metric(name="road", compute=road, bounds=(0.0, 1.0), higher_is_better=False, source=f"{_ROAD}, MoRF")
ROAD_COMBINED = Metric(
    name="road-combined",
    compute=road_combined,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source=f"{_ROAD}, LeRF minus MoRF",
)
