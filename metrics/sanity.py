"""Does the map depend on what it claims to explain: on the model, and on the class?"""

from collections.abc import Callable, Iterator
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from metrics import Metric
from metrics.normalize import as_kept, finite
from metrics.perturbation import PerturbationContext
from metrics.rank_correlation import rank_correlation

STAGES = 5
"""Most steps of a randomization; each costs one map per image."""
SEED = 20181208
"""Seed of the random weights: one and the same random model for all images."""


def parameter_randomization(context: PerturbationContext) -> Tensor:
    """One minus the mean rank correlation of the map with the maps of the model as it is randomized from the top down.

    The layers that have parameters of their own are parted, in the order in which the model registers them, into at
    most five stages of as many layers each. From the last stage, with the classifier, to the first, each is
    initialized anew and stays so, statistics of batch normalization included; after every stage the map is drawn
    again. A map that looks at the image alone scores 0, one that randomization destroys scores about 1. The random
    weights are the same for all images and on every device. A redrawn map that is constant has nothing in common
    with any other: correlation 0. Both maps are ranked in half precision, in which maps are kept: finer differences may
    be rounding. A constant map, or one that is not finite, scores NaN; so does one where a redrawn
    map is not finite.

    Args:
        context: The model, a torch module with parameters, N images and their maps, real. The model is copied.

    Returns:
        Scores, (N,), in [0, 2]; higher is better.

    Raises:
        TypeError: The model is no torch module with parameters.

    Reference:
        Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018, section 4.1, cascading randomization.

    Example:
        >>> from metrics.perturbation import Probe
        >>> images = torch.rand(1, 3, 4, 4)
        >>> context = PerturbationContext(
        ...     model=nn.Conv2d(3, 2, 1), images=images, saliency=images[:, 0], classes=torch.tensor([0]),
        ...     ties=torch.rand(1, 4, 4), seeds=torch.tensor([7]), fills={}, steps=1, chunk=8,
        ...     explain_fn=lambda model, images, classes: images[:, 0],
        ... )
        >>> parameter_randomization(context).item()  # the maps show the image, whatever the model
        0.0
    """
    if not isinstance(context.model, nn.Module) or not _layers(context.model):
        raise TypeError("parameter-randomization needs a torch module with parameters")
    alike = [
        _similarity(context, _redrawn(context, randomized, context.classes))
        for randomized in randomizations(context.model, context.images.device)
    ]
    return 1 - torch.stack(alike).mean(dim=0)


def random_logit(context: PerturbationContext) -> Tensor:
    """Rank correlation of the map with that of another class, which is drawn by the image's name.

    With two classes it is the other one. A map that ignores the class scores 1, one that tells classes apart about 0
    or less. Both maps are ranked in half precision, in which maps are kept: finer differences may be rounding. A
    constant map of the other class has nothing in common with any map: 0. A constant map, one that is not finite, and a
    model of one class score NaN.

    Args:
        context: The model, N images and their maps, real.

    Returns:
        Scores, (N,), in [-1, 1]; lower is better.

    Reference:
        Sixt et al., When Explanations Lie: Why Many Modified BP Attributions Fail, ICML 2020, random logit test.

    Example:
        >>> from metrics.perturbation import Probe
        >>> images = torch.rand(1, 3, 4, 4)
        >>> context = PerturbationContext(
        ...     model=lambda x: x.mean((2, 3)), images=images, saliency=images[:, 0], classes=torch.tensor([0]),
        ...     ties=torch.rand(1, 4, 4), seeds=torch.tensor([7]), fills={}, steps=1, chunk=8,
        ...     explain_fn=lambda model, images, classes: images[:, 0],
        ... )
        >>> random_logit(context).item()  # the maps show the image, whatever the class
        1.0
    """
    number = context.logits(lambda jobs: context.images[jobs], 1).shape[1]
    if number < 2:
        return torch.full((len(context.images),), torch.nan, dtype=torch.float64, device=context.images.device)
    return _similarity(context, _redrawn(context, context.model, other_classes(context, number)))


def other_classes(context: PerturbationContext, number: int) -> Tensor:
    """For each image one of the classes that its map does not explain, (N,), all equally likely."""
    steps = [np.random.default_rng(int(seed)).integers(1, number) for seed in context.seeds]
    return (context.classes + torch.as_tensor(np.array(steps)).to(context.classes)) % number


def randomizations(model: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """Copies of a model with the layers of one, two and so on of its stages initialized anew, from the top down."""
    # On the CPU, whose random numbers are the same on every machine.
    random = deepcopy(model).cpu()
    layers = _layers(random)[::-1]
    for number, stage in enumerate(np.array_split(np.arange(len(layers)), min(STAGES, len(layers)))):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED + number)
            for layer in stage:
                _initialize(layers[layer])
        yield deepcopy(random).to(device)


def _layers(model: nn.Module) -> list[nn.Module]:
    """The modules that have parameters of their own, from the input to the classifier."""
    return [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]


def _initialize(layer: nn.Module) -> None:
    """Gives a layer random weights: by its own rule, or of the mean and the spread that its weights have."""
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    with torch.no_grad():
        for weights in layer.parameters(recurse=False):
            weights.normal_(weights.mean().item(), weights.std(correction=0).item())


def _redrawn(context: PerturbationContext, model: Callable[[Tensor], Tensor], classes: Tensor) -> Tensor:
    """Maps (N, H, W) of the same images, of another model or for other classes."""
    parts = torch.arange(len(classes), device=classes.device).split(context.chunk)
    return torch.cat([context.explain_fn(model, context.images[part], classes[part]) for part in parts])


def _similarity(context: PerturbationContext, redrawn: Tensor) -> Tensor:
    """Rank correlation, (N,), of maps as they are kept; 0 where only the redrawn map is constant."""
    own, redrawn = as_kept(context.saliency), as_kept(redrawn)
    scores = rank_correlation(own, redrawn)
    constant, redrawn_constant = (_constant(maps) for maps in (own, redrawn))
    scores = scores.masked_fill(redrawn_constant & ~constant, 0.0)
    return scores.masked_fill(~finite(context.saliency), torch.nan)


def _constant(maps: Tensor) -> Tensor:
    low, high = maps.flatten(1).aminmax(dim=1)
    return low == high


PARAMETER_RANDOMIZATION = Metric(
    name="parameter-randomization",
    compute=parameter_randomization,
    bounds=(0.0, 2.0),
    higher_is_better=True,
    source="Adebayo et al. 2018, Sanity Checks for Saliency Maps, NeurIPS, section 4.1",
)
RANDOM_LOGIT = Metric(
    name="random-logit",
    compute=random_logit,
    bounds=(-1.0, 1.0),
    higher_is_better=False,
    source="Sixt et al. 2020, When Explanations Lie: Why Many Modified BP Attributions Fail, ICML, random logit test",
)
