"""Perturbation contexts of a cell: the model with some of the test images and their maps."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.runtime.device import max_batch_size
from benchmark.runtime.randomness import seeded_generator
from benchmark.runtime.tensors import to_float
from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.compute import scale_to_max
from metrics.faithfulness import blurred
from metrics.perturbation import PerturbationContext

ContextFactory = Callable[[NDArray[np.intp]], PerturbationContext]
"""Builds a perturbation context of the test images at some indices."""


def build_perturbation_context(  # noqa: PLR0913 - the inputs of a perturbation context
    model: nn.Module,
    images: Tensor,
    maps: NDArray[np.float16],
    classes: Tensor,
    *,
    ids: Sequence[str],
    mean: Tensor,
    steps: int,
    layer: str,
    method: Method | None,
    upsample_fn: UpsampleFn | None = None,
) -> PerturbationContext:
    """Builds a perturbation context whose random numbers depend only on the names of the images.

    Args:
        model: In evaluation mode, on the device of the images.
        images: (N, 3, H, W), uint8.
        maps: (N, H, W).
        classes: The class that each map explains, (N,).
        ids: Names of the images.
        mean: Mean color of the training images, (3,), in [0, 1].
        steps: Number of steps of a curve.
        layer: Name of the target layer.
        method: The saliency method of the maps. None if it is unknown. Scores that need maps of changed images are then
            impossible.
        upsample_fn: Upsamples maps of a grid to the size of the images. None stretches them.
    """
    inputs = to_float(images)
    generators = [seeded_generator(name) for name in ids]
    ties = np.stack([generator.random(maps.shape[1:], dtype=np.float32) for generator in generators])
    seeds = np.array([generator.integers(2**62) for generator in generators])

    def explain_fn(perturbed: Callable[[Tensor], Tensor], inputs: Tensor, classes: Tensor) -> Tensor:
        if method is None or not isinstance(perturbed, nn.Module):
            raise TypeError("a map needs a saliency method and a torch module")
        return scale_to_max(method.with_upsampling(upsample_fn)(perturbed, layer, inputs, classes))

    return PerturbationContext(
        model=model,
        images=inputs,
        saliency=torch.as_tensor(maps.astype(np.float32), device=images.device),
        classes=classes,
        ties=torch.as_tensor(ties, device=images.device),
        seeds=torch.as_tensor(seeds, device=images.device),
        fills={
            "blur": blurred(inputs),
            "mean": mean.to(inputs)[:, None, None],
            "minimum": inputs.amin(dim=(1, 2, 3), keepdim=True),
        },
        steps=steps,
        batch_size=max_batch_size(inputs),
        explain_fn=explain_fn,
    )
