"""Input times gradient."""

from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method
from metrics.rounding import evident


def input_x_gradient(model: nn.Module, _layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Computes pixel times gradient of the class's logit, summed over the channels, rectified.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).

    Returns:
        Maps (N, H, W), not negative. Zero where nothing supports the class, and for black pixels.

    Reference:
        Shrikumar et al., Not just a black box: learning important features through propagating activation
        differences, 2016, section 3. The paper leaves the map signed. Its positive part supports the class.
    """
    from captum.attr import InputXGradient  # noqa: PLC0415 - captum takes seconds to import

    inputs = images.detach().clone().requires_grad_()
    products: Tensor = InputXGradient(model).attribute(inputs, target=classes).detach()
    return evident(functional.relu(products.sum(dim=1)), products.abs().sum(dim=1))


INPUT_X_GRADIENT = Method(
    name="input-x-gradient",
    explain=input_x_gradient,
    source="Shrikumar et al., Not just a black box, 2016, arXiv 1605.01713, section 3",
)
