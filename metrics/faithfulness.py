"""Does the model rely on what the map marks? Curves of the class probability while marked pixels come and go.

The context computes the curves (:meth:`metrics.perturbation.PerturbationContext.curves`). A constant map is ordered by
the image's random numbers alone, as a random map would be; a map that is not finite has curves of NaN.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from metrics import Metric
from metrics.smoothing import gaussian_blur


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """Class probabilities of N images after 0, 1, ..., K steps of perturbation.

    Attributes:
        deletion: (N, K+1), in [0, 1]: the first k steps of the map's order show the fill.
        insertion: (N, K+1), in [0, 1]: the first k steps show the image, the rest the fill.
        fractions: (K+1,), from 0 to 1: share of the pixels in the first k steps.
    """

    deletion: Tensor
    insertion: Tensor
    fractions: Tensor


def blurred(images: Tensor) -> Tensor:
    """A fill without detail: the images under a Gaussian blur of a twentieth of their shorter side.

    Colors and lighting stay, lesions dissolve; 11 pixels at 224, near the 10 of Fong and Vedaldi.

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


def insertion(curves: Curves) -> Tensor:
    """Area under the class probability while the image appears on the fill, most salient pixels first.

    A map that is not finite scores NaN; a constant map scores as a random order does.

    Args:
        curves: Of N images; see :meth:`metrics.perturbation.PerturbationContext.curves`.

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
    """Area under the class probability while the image turns into the fill, most salient pixels first.

    A map that is not finite scores NaN; a constant map scores as a random order does.

    Args:
        curves: Of N images; see :meth:`metrics.perturbation.PerturbationContext.curves`.

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

    Both curves go by one order of the pixels. An insertion curve read backwards is the deletion of the least salient
    pixels first (LeRF), so this is also the area between the LeRF and the MoRF curve. A random order scores about 0,
    whatever the model; so does a constant map. A map that is not finite scores NaN.

    Args:
        curves: Of N images; see :meth:`metrics.perturbation.PerturbationContext.curves`.

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
    name="faithfulness",
    compute=insertion_deletion,
    bounds=(-1.0, 1.0),
    higher_is_better=True,
    source=f"{_RISE}, their difference",
)
