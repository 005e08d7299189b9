"""Faithfulness: curves of the class probability while pixels are inserted or deleted in the order of the map.

:meth:`metrics.perturbation.PerturbationContext.curves` computes the curves. The pixels of a constant map are ordered by
the random numbers of the image, as those of a random map would be. The curves of a map that is not finite are NaN.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from metrics import Metric
from metrics.smoothing import gaussian_blur


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """Class probabilities of N images after 0, 1, ..., K perturbation steps.

    Attributes:
        deletion: (N, K+1), in [0, 1]. The pixels of the first k steps show the fill.
        insertion: (N, K+1), in [0, 1]. The pixels of the first k steps show the image, and the rest the fill.
        fractions: Fraction of the pixels in the first k steps, (K+1,), from 0 to 1.
    """

    deletion: Tensor
    insertion: Tensor
    fractions: Tensor


def blurred(images: Tensor) -> Tensor:
    """Returns a fill without detail: the images under a Gaussian blur with a sigma of 1/20 of their shorter side.

    Colors and lighting stay, and lesions dissolve. At 224 pixels, sigma is 11, near the 10 of Fong and Vedaldi.

    Args:
        images: (N, 3, H, W), real.

    Returns:
        Blurred images of the same shape and type.

    Reference:
        Fong and Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation, ICCV 2017.

    Example:
        >>> blurred(torch.ones(1, 3, 4, 4)).allclose(torch.ones(1, 3, 4, 4))
        True
    """
    return gaussian_blur(images, min(images.shape[-2:]) / 20).to(images.dtype)


def insertion(curves: Curves) -> Tensor:
    """Area under the class probability while the pixels of the image replace the fill, most salient pixels first.

    A constant map scores as a random order does. A map that is not finite scores NaN.

    Args:
        curves: Curves of N images, see :meth:`metrics.perturbation.PerturbationContext.curves`.

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
    """Area under the class probability while the fill replaces the pixels of the image, most salient pixels first.

    A constant map scores as a random order does. A map that is not finite scores NaN.

    Args:
        curves: Curves of N images, see :meth:`metrics.perturbation.PerturbationContext.curves`.

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
    """Insertion minus deletion: how much earlier the salient pixels affect the class probability than the others.

    Both curves use one order of the pixels. An insertion curve read backwards is the deletion of the least salient
    pixels first (LeRF). So the score is also the area between the LeRF and the MoRF curve. For any model, a random
    order scores about 0, and so does a constant map. A map that is not finite scores NaN.

    Args:
        curves: Curves of N images, see :meth:`metrics.perturbation.PerturbationContext.curves`.

    Returns:
        Scores, (N,), in [-1, 1]; higher is better.

    Reference:
        Petsiuk et al., RISE, BMVC 2018, difference of the causal metrics.

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
    name="faithfulness",
    compute=insertion_deletion,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source=f"{_RISE}, their difference",
)
