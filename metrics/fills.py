"""How far faithfulness depends on what removed pixels show: insertion less deletion against other fills."""

from torch import Tensor

from metrics import Metric
from metrics.faithfulness import insertion_deletion
from metrics.perturbation import PerturbationContext


def insertion_deletion_mean(context: PerturbationContext) -> Tensor:
    """Insertion less deletion where removed pixels show the mean color of the training images.

    As `faithfulness`, which removes by blurring. A constant map scores about 0, as a random order does; a map
    that is not finite scores NaN.

    Args:
        context: Model, N images and maps; its fill "mean" and its steps.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Petsiuk et al., RISE, BMVC 2018, causal metrics. Sturmfels et al., Visualizing the Impact of Feature
        Attribution Baselines, Distill 2020, on how much the baseline matters.

    Example:
        >>> from metrics.perturbation import example
        >>> insertion_deletion_mean(example([[0.9, 0.1]])).round(decimals=3).tolist()  # the model reads the left pixel
        [0.129]
    """
    return insertion_deletion(context.curves("mean"))


def insertion_deletion_minimum(context: PerturbationContext) -> Tensor:
    """Insertion less deletion where removed pixels show the darkest value of their image.

    As `faithfulness`, which removes by blurring. A constant map scores about 0, as a random order does; a map
    that is not finite scores NaN.

    Args:
        context: Model, N images and maps; its fill "minimum" and its steps.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Petsiuk et al., RISE, BMVC 2018, causal metrics. Sturmfels et al., Visualizing the Impact of Feature
        Attribution Baselines, Distill 2020, on how much the baseline matters.

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
