"""Probes of a cell: the model, asked about some of the test images and their maps."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.runtime.device import images_at_once
from benchmark.runtime.randomness import seeded_generator
from benchmark.runtime.tensors import to_float
from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.compute import scale_to_max
from metrics.faithfulness import blurred
from metrics.perturbation import PerturbationContext

ContextFactory = Callable[[NDArray[np.intp]], PerturbationContext]
"""Makes a probe of the test images at some places."""


def build_perturbation_context(  # noqa: PLR0913 - what a probe is made of
    model: nn.Module,
    images: Tensor,
    maps: NDArray[np.float16],
    classes: Tensor,
    *,
    ids: Sequence[str],
    mean: Tensor,
    steps: int,
    layer: str,
    method: Method,
    upsample_fn: UpsampleFn | None = None,
) -> PerturbationContext:
    """A probe whose every random draw depends on the names of the images alone.

    Args:
        model: In evaluation mode, on the device of the images.
        images: (N, 3, H, W), uint8.
        maps: (N, H, W).
        classes: The class that each map explains, (N,).
        ids: Names of the images.
        mean: Mean color of the training images, (3,), in [0, 1].
        steps: Steps of a curve.
        layer: Name of the saliency layer.
        method: How the maps were drawn.
        enlarge: How maps of a grid were placed on the image; None stretches them.
    """
    inputs = to_float(images)
    generators = [seeded_generator(name) for name in ids]
    ties = np.stack([generator.random(maps.shape[1:], dtype=np.float32) for generator in generators])
    seeds = np.array([generator.integers(2**62) for generator in generators])

    def explain_fn(changed: Callable[[Tensor], Tensor], inputs: Tensor, classes: Tensor) -> Tensor:
        if not isinstance(changed, nn.Module):
            raise TypeError("maps are drawn of a torch module")
        return scale_to_max(method.with_upsampling(upsample_fn)(changed, layer, inputs, classes))

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
        chunk=images_at_once(inputs),
        explain_fn=explain_fn,
    )
