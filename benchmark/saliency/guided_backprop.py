"""Guided backpropagation: nothing that lowers a neuron's activation is followed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from benchmark.saliency import Method
from benchmark.saliency.input_gradient import input_gradient
from metrics.rounding import evident

RECTIFIERS = frozenset({"relu", "relu6", "hardtanh", "leaky_relu", "elu", "silu", "gelu", "hardswish", "mish"})
"""torch's names of ReLU and its kin, those that work in place (with a trailing underscore) included."""


def guided_backprop(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Size of the gradient with respect to each pixel, if negative gradients stop at every ReLU; summed over channels.

    Calls are watched, not modules. Captum's looks for modules of type ``nn.ReLU``: it passes over ReLU6 (both
    MobileNets), ``relu`` as a function (NASNetMobile) and SiLU (EfficientNet-B0) without a word, and where the input of
    a ReLU is also read by others it rectifies what comes back from those. The published method knows ReLU alone; its
    rule, that no negative gradient reaches the output of a rectifier, is applied to its smooth kin as it stands.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative.

    Reference:
        Springenberg et al., Striving for simplicity: the all convolutional net, 2015, section 3.4.
    """
    with _Guided():
        slope = input_gradient(model, images, classes)
    return evident(slope.abs().sum(dim=1))


class _Guided(TorchFunctionMode):
    """Rectifies the gradient that reaches the output of every rectifier called while it is on."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function; if it is a rectifier whose output has a gradient, watch that."""
        output = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "").removesuffix("_") in RECTIFIERS and output.requires_grad:
            # Of the output, where all that comes back is one sum; the rectifier's own derivative is still to follow.
            output.register_hook(_positive)
        return output


def _positive(slope: Tensor) -> Tensor:
    return functional.relu(slope)


GUIDED_BACKPROP = Method(
    name="guided-backprop",
    draw=guided_backprop,
    source="Springenberg et al., Striving for simplicity, 2015, arXiv 1412.6806, section 3.4",
)
