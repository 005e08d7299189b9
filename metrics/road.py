"""How fast the model loses the class while the most salient pixels are filled in from their neighbors."""

import numpy as np
import torch
from torch import Tensor

from metrics import Metric
from metrics.imputation import impute
from metrics.perturbation import PerturbationContext
from metrics.pixel_ordering import pixel_steps_of

PERCENTAGES = (10, 30, 50, 70, 90)
NOISE = 0.01
"""Standard deviation of the noise on imputed values, so that their smoothness tells nothing."""


def road(context: PerturbationContext) -> Tensor:
    """Mean class probability with the most salient 10, 30, ..., 90 % of the pixels imputed from their neighbors.

    Imputed pixels are the weighted mean of their neighbors, with noise of 0.01: what is lost is their content, not
    their outline. (The source gives the accuracy over a set of images at each percentage; a probability is finer and
    belongs to one image.) A constant map scores as a random order does; a map that is not finite scores NaN.

    Args:
        context: Model, N images and maps; its ties and seeds.

    Returns:
        Scores, (N,), in [0, 1]; lower is better.

    Reference:
        Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML 2022, ROAD, MoRF.

    Example:
        >>> from metrics.perturbation import example
        >>> road(example([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]])).round(decimals=2).tolist()
        [0.65, 0.88]
    """
    return imputed(context, least_first=False).mean(1)


def road_combined(context: PerturbationContext) -> Tensor:
    """Class probability with the least salient pixels imputed less that with the most salient, mean over 10 to 90 %.

    As `road`, with both orders: a model that takes badly to any imputation loses in both. A random order scores about
    0, and so does a constant map; a map that is not finite scores NaN.

    Args:
        context: Model, N images and maps; its ties and seeds.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML 2022, ROAD, LeRF less
        MoRF; pytorch-grad-cam halves it.

    Example:
        >>> from metrics.perturbation import example
        >>> road_combined(example([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]])).round(decimals=2).tolist()
        [0.23, -0.23]
    """
    return (imputed(context, least_first=True) - imputed(context, least_first=False)).mean(1)


def imputed(context: PerturbationContext, *, least_first: bool) -> Tensor:
    """Class probability at each percentage of imputed pixels, (N, P), asked once."""
    pixels = context.saliency[0].numel()
    counts = torch.tensor([pixels * percentage // 100 for percentage in PERCENTAGES], device=context.images.device)

    def curve() -> Tensor:
        pixel_steps = context.once("ranks", lambda: pixel_steps_of(context.saliency, context.ties, pixels))
        noise = context.once("noise", lambda: _noise(context))

        def change(image: Tensor, query_index: Tensor) -> Tensor:
            count = counts[query_index, None, None]
            missing = pixel_steps[image] >= pixels - count if least_first else pixel_steps[image] < count
            filled = impute(context.images[image], missing).to(context.images)
            return torch.where(missing[:, None], filled + noise[image], filled)

        return context.query(change, len(PERCENTAGES)).probability

    return context.once(f"imputed, {least_first}", curve)


def _noise(context: PerturbationContext) -> Tensor:
    """Noise of each image, (N, C, H, W), the same at all percentages."""
    shape = context.images.shape[1:]
    drawn = [np.random.default_rng([seed, *b"road"]).standard_normal(shape) for seed in context.seeds.tolist()]
    return torch.as_tensor(NOISE * np.stack(drawn)).to(context.images)


_ROAD = (
    "Rong et al. 2022, A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML, arXiv 2202.00449"
)

ROAD = Metric(name="road", compute=road, bounds=(0.0, 1.0), higher_is_better=False, source=f"{_ROAD}, MoRF")
ROAD_COMBINED = Metric(
    name="road-combined",
    compute=road_combined,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source=f"{_ROAD}, LeRF less MoRF",
)
