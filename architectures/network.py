"""Code that the entries share: a body with its normalization, and functions that build it with timm."""

from collections.abc import Sequence
from importlib import import_module
from itertools import chain

import huggingface_hub
import torch
from torch import Tensor, nn

WEIGHTS = "model.safetensors"
CLASSIFIER_STD = 0.01
NEED_THEIR_INPUT = (nn.Hardtanh, nn.Hardswish, nn.Mish, nn.SiLU)
"""Activations whose backward pass needs their input (ReLU6 is a Hardtanh). That of ReLU needs the output."""


class Network(nn.Module):
    """A network with its normalization, for images in [0, 1] of any size.

    Mean and standard deviation are buffers and part of a checkpoint. A loaded checkpoint therefore computes what was
    trained, even if timm changes the normalization later.

    Attributes:
        body: The network itself. Maps normalized images (N, 3, H, W) to logits (N, num_classes).
        mean: Mean of each channel, (3, 1, 1).
        std: Standard deviation of each channel, (3, 1, 1).
        smallest_side: Minimum side in pixels of the input of the body. Smaller images are enlarged.
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
        """Computes logits (N, num_classes) of images (N, 3, H, W) in [0, 1]."""
        normalized: Tensor = (images - self.mean) / self.std
        shortest = min(images.shape[-2:])
        if shortest < self.smallest_side:
            size = [round(side * self.smallest_side / shortest) for side in images.shape[-2:]]
            normalized = nn.functional.interpolate(normalized, size, mode="bilinear")
        logits: Tensor = self.body(normalized)
        return logits


def random_network(timm_name: str, num_classes: int, *, smallest_side: int = 0) -> Network:
    """Builds a network of timm with random weights.

    Args:
        timm_name: timm's name with the tag of the published weights. Their normalization is used, so that the random
            and the pretrained network get the same input.
        num_classes: Number of classes.
        smallest_side: Minimum side in pixels of the input of the body.
    """
    # timm takes seconds to import, so it is imported on first use.
    timm = import_module("timm")
    return _normalized(timm.create_model(timm_name, num_classes=num_classes), timm_name, smallest_side)


def pretrained_network(name: str, timm_name: str, num_classes: int, *, smallest_side: int = 0) -> Network:
    """Builds the same network with published weights and a new classifier.

    Args:
        name: Name of the architecture, for the error message.
        timm_name: timm's name with the tag of the published weights.
        num_classes: Number of classes.
        smallest_side: Minimum side in pixels of the input of the body.

    Raises:
        OSError: The weights are not cached and cannot be downloaded.
    """
    timm = import_module("timm")
    try:
        # With the original thousand classes timm loads strictly, so a file that does not fit raises an error.
        body = timm.create_model(timm_name, pretrained=True, pretrained_cfg_overlay=_weights(timm_name))
    except OSError as error:
        raise OSError(
            f"{name}: the published weights could not be fetched; connect once, so that they are cached, "
            "or give a local safetensors file with --weights FILE"
        ) from error
    body.reset_classifier(num_classes)
    return _normalized(body, timm_name, smallest_side)


def parameter_count(module: nn.Module) -> int:
    """Counts parameters as Keras does, including the running means and variances of BatchNorm.

    The batch counter and the normalization do not count. Works on the meta device.

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
    # timm scales the weights of some classifiers with 1/sqrt(classes). With six classes instead of a thousand, the
    # initial logits are so large that a short training only unlearns them.
    classifier = body.get_classifier()  # type: ignore[operator]  # every classifier of timm's has it
    nn.init.normal_(classifier.weight, std=CLASSIFIER_STD)
    nn.init.zeros_(classifier.bias)
    _avoid_copies(body)
    config = import_module("timm").get_pretrained_cfg(timm_name)
    return Network(body, config.mean, config.std, smallest_side=smallest_side)


def _avoid_copies(body: nn.Module) -> None:
    """Runs in-place activations out of place under autograd, if autograd would copy their input first.

    Values and memory use are the same, because the copy takes the memory that the in-place operation saves. On one
    core a training step of MobileNet and MobileNetV2 takes about 4 % less time. Without autograd, in place is faster.
    """
    for module in body.modules():
        if isinstance(module, NEED_THEIR_INPUT) and module.inplace:
            module.register_forward_pre_hook(_in_place_unless_recorded)


def _in_place_unless_recorded(activation: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    activation.inplace = not (torch.is_grad_enabled() and inputs[0].requires_grad)  # type: ignore[assignment]  # a bool


def _weights(timm_name: str) -> dict[str, str]:
    """Returns the file that timm reads the weights from, as an overlay of its configuration.

    Empty if the weights are not on the hub. timm then downloads them itself.
    """
    repository = import_module("timm").get_pretrained_cfg(timm_name).hf_hub_id
    return {"file": _download(repository)} if repository else {}


def _download(repository: str) -> str:
    """Returns the path of the weights of a repository, from the cache or from the hub.

    Raises:
        ConnectionError: They are not cached and cannot be downloaded.
    """
    cached = huggingface_hub.try_to_load_from_cache(repository, WEIGHTS)
    if isinstance(cached, str):
        return cached
    try:
        # A request for the metadata fails fast. The download itself would retry for most of a minute, and timm's own
        # would then start again with a pickle.
        huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repository, WEIGHTS), timeout=10)
        return huggingface_hub.hf_hub_download(repository, WEIGHTS)
    except Exception as error:  # The hub's HTTP library changed twice, and its exceptions too.
        raise ConnectionError(f"{repository}: {error}") from error
