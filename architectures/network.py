"""What the entries share: a body behind its normalization, and where the body comes from."""

from collections.abc import Sequence
from importlib import import_module
from itertools import chain

import huggingface_hub
import torch
from torch import Tensor, nn

WEIGHTS = "model.safetensors"
CLASSIFIER_STD = 0.01
NEED_THEIR_INPUT = (nn.Hardtanh, nn.Hardswish, nn.Mish, nn.SiLU)
"""Activations whose backward pass starts from what went in (ReLU6 is a Hardtanh); that of ReLU, from what came out."""


class Network(nn.Module):
    """A body that is given images in [0, 1], of any size it can be asked to classify.

    Mean and standard deviation are buffers that a checkpoint keeps: whoever loads it computes what was
    trained, even if timm has changed its mind about the normalization since.

    Attributes:
        body: The network proper: normalized images (N, 3, H, W) to logits (N, classes).
        mean: Mean per channel that is subtracted, (3, 1, 1).
        std: Standard deviation per channel that the images are divided by, (3, 1, 1).
        smallest_side: Shortest side in pixels that the body sees; smaller images are enlarged to it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, mean: Sequence[float], std: Sequence[float], *, smallest_side: int = 0) -> None:
        super().__init__()
        self.body = body
        self.smallest_side = smallest_side
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 3, H, W) in [0, 1]."""
        normalized: Tensor = (images - self.mean) / self.std
        shortest = min(images.shape[-2:])
        if shortest < self.smallest_side:
            size = [round(side * self.smallest_side / shortest) for side in images.shape[-2:]]
            normalized = nn.functional.interpolate(normalized, size, mode="bilinear")
        logits: Tensor = self.body(normalized)
        return logits


def random_network(timm_name: str, classes: int, *, smallest_side: int = 0) -> Network:
    """A network of timm's with random weights.

    Args:
        timm_name: timm's name with the tag of the published weights, whose normalization is used, so that
            the random and the pretrained network see the same numbers.
        classes: Number of classes.
        smallest_side: Shortest side in pixels that the body may see.
    """
    # timm takes seconds to import: not before somebody builds something.
    timm = import_module("timm")
    return _normalized(timm.create_model(timm_name, num_classes=classes), timm_name, smallest_side)


def pretrained_network(name: str, timm_name: str, classes: int, *, smallest_side: int = 0) -> Network:
    """The same network with published weights and a fresh classifier.

    Args:
        name: Name of the architecture, for the error.
        timm_name: timm's name with the tag of the published weights.
        classes: Number of classes.
        smallest_side: Shortest side in pixels that the body may see.

    Raises:
        OSError: The weights are neither cached nor within reach.
    """
    timm = import_module("timm")
    try:
        # With its own thousand classes timm loads strictly: a file that does not fit is an error.
        body = timm.create_model(timm_name, pretrained=True, pretrained_cfg_overlay=_weights(timm_name))
    except OSError as error:
        raise OSError(
            f"{name}: the published weights could not be fetched; connect once, so that they are cached, "
            "or give a local safetensors file with --weights FILE"
        ) from error
    body.reset_classifier(classes)
    return _normalized(body, timm_name, smallest_side)


def parameter_count(module: nn.Module) -> int:
    """Number of parameters as Keras counts them: with the running means and variances of BatchNorm.

    The counter of batches and the normalization are left out. Works on the meta device.

    Args:
        module: Any module.

    Returns:
        The count, 0 or more.

    Example:
        >>> parameter_count(nn.BatchNorm2d(8))
        32
    """
    statistics = (buffer for name, buffer in module.named_buffers() if name.endswith(("running_mean", "running_var")))
    return sum(tensor.numel() for tensor in chain(module.parameters(), statistics))


def _normalized(body: nn.Module, timm_name: str, smallest_side: int) -> Network:
    # timm draws some classifiers in proportion to 1/sqrt(classes): with six instead of a thousand, the first logits
    # are so large that a short training is spent on undoing them.
    classifier = body.get_classifier()  # type: ignore[operator]  # every classifier of timm's has it
    nn.init.normal_(classifier.weight, std=CLASSIFIER_STD)
    nn.init.zeros_(classifier.bias)
    _spare_copies(body)
    config = import_module("timm").get_pretrained_cfg(timm_name)
    return Network(body, config.mean, config.std, smallest_side=smallest_side)


def _spare_copies(body: nn.Module) -> None:
    """Has activations that timm wants in place write beside their input where autograd would copy it first.

    The values are the same, and so is the memory, since the copy takes what was to be spared. On one core a training
    step of MobileNet and MobileNetV2 took about 4 % less time. Without autograd, in place is the faster way.
    """
    for module in body.modules():
        if isinstance(module, NEED_THEIR_INPUT) and module.inplace:
            module.register_forward_pre_hook(_in_place_unless_recorded)


def _in_place_unless_recorded(activation: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    activation.inplace = not (torch.is_grad_enabled() and inputs[0].requires_grad)  # type: ignore[assignment]  # a bool


def _weights(timm_name: str) -> dict[str, str]:
    """Where timm shall read the weights, as an overlay of its configuration.

    Empty where they do not lie on the hub; timm then fetches them itself.
    """
    repository = import_module("timm").get_pretrained_cfg(timm_name).hf_hub_id
    return {"file": _fetched(repository)} if repository else {}


def _fetched(repository: str) -> str:
    """Path of a repository's weights: from the cache, or else from the hub.

    Raises:
        ConnectionError: They are not cached and could not be fetched.
    """
    cached = huggingface_hub.try_to_load_from_cache(repository, WEIGHTS)
    if isinstance(cached, str):
        return cached
    try:
        # Asked once beforehand, because the download would keep trying for most of a minute, and timm's own
        # would then start again with a pickle.
        huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repository, WEIGHTS), timeout=10)
        return huggingface_hub.hf_hub_download(repository, WEIGHTS)
    except Exception as error:  # The hub's HTTP library has changed twice, and the exceptions with it.
        raise ConnectionError(f"{repository}: {error}") from error
