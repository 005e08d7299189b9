"""Faithfulness with other fills: how much insertion and deletion depend on the values that removed pixels show."""

from torch import Tensor

from metrics import Metric
from metrics.faithfulness import insertion_deletion
from metrics.perturbation import PerturbationContext


def insertion_deletion_mean(context: PerturbationContext) -> Tensor:
    """Insertion minus deletion where removed pixels show the mean color of the training images.

    The score `faithfulness` is the same with the blurred image as fill. A constant map scores about 0, as a random
    order does. A map that is not finite scores NaN.

    Args:
        context: Model, N images and maps. The metric uses the fill "mean" and the steps.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Petsiuk et al., RISE, BMVC 2018, causal metrics. Sturmfels et al., Visualizing the Impact of Feature
        Attribution Baselines, Distill 2020, on how much the fill matters.

    Example:
        >>> from metrics.perturbation import example
        >>> insertion_deletion_mean(example([[0.9, 0.1]])).round(decimals=3).tolist()  # the model reads the left pixel
        [0.129]
    """
    return insertion_deletion(context.curves("mean"))


def insertion_deletion_minimum(context: PerturbationContext) -> Tensor:
    """Insertion minus deletion where removed pixels show the darkest value of their image.

    The score `faithfulness` is the same with the blurred image as fill. A constant map scores about 0, as a random
    order does. A map that is not finite scores NaN.

    Args:
        context: Model, N images and maps. The metric uses the fill "minimum" and the steps.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Petsiuk et al., RISE, BMVC 2018, causal metrics. Sturmfels et al., Visualizing the Impact of Feature
        Attribution Baselines, Distill 2020, on how much the fill matters.

    Example:
        >>> from metrics.perturbation import example
        >>> insertion_deletion_minimum(example([[0.9, 0.1]])).round(decimals=3).tolist()
        [0.19]
    """
    return insertion_deletion(context.curves("minimum"))


_RISE = "Petsiuk et al. 2018, RISE, BMVC, arXiv 1806.07421, causal metrics, their difference"

INSERTION_DELETION_MEAN = Metric(
    name="faithfulness-mean",
    compute=insertion_deletion_mean,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source=f"{_RISE}; removed pixels show the training mean",
)
INSERTION_DELETION_MINIMUM = Metric(
    name="faithfulness-minimum",
    compute=insertion_deletion_minimum,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source=f"{_RISE}; removed pixels show the image's minimum",
)
