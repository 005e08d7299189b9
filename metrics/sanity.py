"""Sanity checks: whether the map depends on the model and on the class that it explains."""

from collections.abc import Callable, Iterator
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from metrics import Metric
from metrics.normalize import as_stored, finite
from metrics.perturbation import PerturbationContext
from metrics.rank_correlation import rank_correlation

MAX_STAGES = 5
"""Maximum number of randomization stages. Each stage costs one map per image."""
SEED = 20181208
"""Seed of the random weights. All images share the same random models."""


def parameter_randomization(context: PerturbationContext) -> Tensor:
    """One minus the mean rank correlation of the map with the maps of increasingly randomized models.

    The layers with parameters of their own are split into at most five stages of nearly equal numbers of layers. They
    are split in the order in which the model registers them. The randomization starts at the last stage, which includes
    the classifier, and proceeds to the first. It is cascading: a randomized stage stays randomized. It includes the
    statistics of batch normalization. After each stage, the maps are computed again. The random weights are the same
    for all images and on every device.

    A map that depends only on the image scores 0. A map that randomization destroys scores about 1. If a recomputed map
    is constant, the correlation is 0. Both maps are ranked in half precision, the precision of stored maps, since finer
    differences may be rounding. A constant map or one that is not finite scores NaN. So does a map of which a
    recomputed version is not finite.

    Args:
        context: The model, a torch module with parameters, and N images with their maps. The model is copied.

    Returns:
        Scores, (N,), in [0, 2]; higher is better.

    Raises:
        TypeError: The model is no torch module with parameters.

    Reference:
        Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018, section 4.1, cascading randomization.

    Example:
        >>> from metrics.perturbation import PerturbationContext
        >>> images = torch.rand(1, 3, 4, 4)
        >>> context = PerturbationContext(
        ...     model=nn.Conv2d(3, 2, 1), images=images, saliency=images[:, 0], classes=torch.tensor([0]),
        ...     ties=torch.rand(1, 4, 4), seeds=torch.tensor([7]), fills={}, steps=1, batch_size=8,
        ...     explain_fn=lambda model, images, classes: images[:, 0],
        ... )
        >>> parameter_randomization(context).item()  # the maps show the image, for any model
        0.0
    """
    if not isinstance(context.model, nn.Module) or not _layers(context.model):
        raise TypeError("parameter-randomization needs a torch module with parameters")
    similarities = [
        _similarity(context, _compute_maps(context, randomized, context.classes))
        for randomized in randomized_models(context.model, context.images.device)
    ]
    return 1 - torch.stack(similarities).mean(dim=0)


def random_logit(context: PerturbationContext) -> Tensor:
    """Rank correlation of the map with the map of another class, which is drawn at random for each image.

    The draw depends only on the name of the image. With two classes, it is the other one. A map that ignores the class
    scores 1. A map that separates the classes scores about 0 or less. Both maps are ranked in half precision, the
    precision of stored maps, since finer differences may be rounding. If the map of the other class is constant, the
    score is 0. A constant map or one that is not finite scores NaN, and so does a model of one class.

    Args:
        context: The model, and N images with their maps.

    Returns:
        Scores, (N,), in [-1, 1]; lower is better.

    Reference:
        Sixt et al., When Explanations Lie: Why Many Modified BP Attributions Fail, ICML 2020, random logit test.

    Example:
        >>> from metrics.perturbation import PerturbationContext
        >>> images = torch.rand(1, 3, 4, 4)
        >>> context = PerturbationContext(
        ...     model=lambda x: x.mean((2, 3)), images=images, saliency=images[:, 0], classes=torch.tensor([0]),
        ...     ties=torch.rand(1, 4, 4), seeds=torch.tensor([7]), fills={}, steps=1, batch_size=8,
        ...     explain_fn=lambda model, images, classes: images[:, 0],
        ... )
        >>> random_logit(context).item()  # the maps show the image, for any class
        1.0
    """
    num_classes = context.logits(lambda indices: context.images[indices], 1).shape[1]
    if num_classes < 2:
        return torch.full((len(context.images),), torch.nan, dtype=torch.float64, device=context.images.device)
    return _similarity(context, _compute_maps(context, context.model, other_classes(context, num_classes)))


def other_classes(context: PerturbationContext, num_classes: int) -> Tensor:
    """Returns a random class for each image, (N,), other than the one that its map explains."""
    offsets = [np.random.default_rng(seed).integers(1, num_classes) for seed in context.seed_numbers()]
    return (context.classes + torch.as_tensor(np.array(offsets)).to(context.classes)) % num_classes


def randomized_models(model: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """Yields copies of a model whose last one, two, ... stages are randomized."""
    # On the CPU, whose random numbers are the same on every machine.
    randomized = deepcopy(model).cpu()
    layers = _layers(randomized)[::-1]
    for index, stage in enumerate(np.array_split(np.arange(len(layers)), min(MAX_STAGES, len(layers)))):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED + index)
            for layer in stage:
                _initialize(layers[layer])
        yield deepcopy(randomized).to(device)


def _layers(model: nn.Module) -> list[nn.Module]:
    """Returns the modules that have parameters of their own, from the input to the classifier."""
    return [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]


def _initialize(layer: nn.Module) -> None:
    """Initializes a layer by its own rule, or else with the mean and standard deviation of its weights."""
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    with torch.no_grad():
        for weights in layer.parameters(recurse=False):
            weights.normal_(weights.mean().item(), weights.std(correction=0).item())


def _compute_maps(context: PerturbationContext, model: Callable[[Tensor], Tensor], classes: Tensor) -> Tensor:
    """Computes maps (N, H, W) of the same images for another model or for other classes."""
    batches = torch.arange(len(classes), device=classes.device).split(context.batch_size)
    return torch.cat([context.explain_fn(model, context.images[batch], classes[batch]) for batch in batches])


def _similarity(context: PerturbationContext, recomputed: Tensor) -> Tensor:
    """Returns the rank correlation with the recomputed maps, (N,). It is 0 if only the recomputed map is constant."""
    original, recomputed = as_stored(context.saliency), as_stored(recomputed)
    scores = rank_correlation(original, recomputed)
    constant, recomputed_constant = (_constant(maps) for maps in (original, recomputed))
    scores = scores.masked_fill(recomputed_constant & ~constant, 0.0)
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
