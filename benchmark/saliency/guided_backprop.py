"""Guided backpropagation: the backward pass drops negative gradients at every rectifier."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from benchmark.saliency import Method
from benchmark.saliency.input_gradient import input_gradient
from metrics.rounding import evident

RECTIFIERS = frozenset({"relu", "relu6", "hardtanh", "leaky_relu", "elu", "silu", "gelu", "hardswish", "mish"})
"""torch's names of ReLU and similar functions. In-place variants (with a trailing underscore) count too."""


def guided_backprop(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Computes the absolute gradient of the class's logit, without negative gradients at ReLUs, summed over channels.

    It intercepts calls, not modules. Captum's version looks for modules of type ``nn.ReLU``. It silently skips ReLU6
    (both MobileNets), ``relu`` as a function (NASNetMobile) and SiLU (EfficientNet-B0). Where other modules also read
    the input of a ReLU, it rectifies their gradients too. The paper covers ReLU alone. Its rule is that no negative
    gradient reaches the output of a rectifier. Here the same rule applies to smooth rectifiers.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative.

    Reference:
        Springenberg et al., Striving for simplicity: the all convolutional net, 2015, section 3.4.
    """
    with _Guided():
        gradient = input_gradient(model, images, classes)
    return evident(gradient.abs().sum(dim=1))


class _Guided(TorchFunctionMode):
    """Rectifies the gradient at the output of every rectifier that is called while the mode is active."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function. If it is a rectifier whose output has a gradient, rectify that gradient."""
        output = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "").removesuffix("_") in RECTIFIERS and output.requires_grad:
            # At the output all gradients are already summed. The rectifier's own derivative is applied afterwards.
            output.register_hook(_positive)
        return output


def _positive(gradient: Tensor) -> Tensor:
    return functional.relu(gradient)


GUIDED_BACKPROP = Method(
    name="guided-backprop",
    explain=guided_backprop,
    source="Springenberg et al., Striving for simplicity, 2015, arXiv 1412.6806, section 3.4",
)
