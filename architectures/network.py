"""Code that the entries share: a body with its normalization, and functions that build it with timm."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import chain
from typing import Any

import huggingface_hub
import torch
from torch import Tensor, nn

from architectures.sides import Sides
from architectures.token_grid import TokenGrid

HUB = "hf-hub:"
"""Prefix of a repository on the hub, which has the configuration and weights of a network of timm's."""
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
        sides: The sides that the body takes. Images of other sides are resized.
        grid: The tokens of a layer of the body as a grid. None for networks whose layers output grids.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        smallest_side: int = 0,
        sides: Sides | None = None,
        grid: TokenGrid | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.sides = sides or Sides(smallest=smallest_side)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        self.grid = grid
        if grid is not None:
            grid.attach(body)

    def forward(self, images: Tensor) -> Tensor:
        """Computes logits (N, num_classes) of images (N, 3, H, W) in [0, 1]."""
        normalized = self.sides.resize((images - self.mean) / self.std)
        if self.grid is not None:
            self.grid.image_size = normalized.shape[-2:]
        logits: Tensor = self.body(normalized)
        return logits


def random_network(timm_name: str, num_classes: int, *, smallest_side: int = 0, tokens: str = "") -> Network:
    """Builds a network of timm with random weights.

    Args:
        timm_name: timm's name with the tag of the published weights. Their normalization is used, so that the random
            and the pretrained network get the same input.
        num_classes: Number of classes.
        smallest_side: Minimum side in pixels of the input of the body.
        tokens: Dotted name of the layer of the body whose tokens become the grid. Empty for networks with grids.
    """
    body, sides = create_body(timm_name, smallest_side, num_classes=num_classes)
    return _normalized(body, timm_name, sides, tokens)


def pretrained_network(
    name: str, timm_name: str, num_classes: int, *, smallest_side: int = 0, tokens: str = ""
) -> Network:
    """Builds the same network with published weights and a new classifier.

    Args:
        name: Name of the architecture, for the error message.
        timm_name: timm's name with the tag of the published weights.
        num_classes: Number of classes.
        smallest_side: Minimum side in pixels of the input of the body.
        tokens: Dotted name of the layer of the body whose tokens become the grid. Empty for networks with grids.

    Raises:
        OSError: The weights are not cached and cannot be downloaded.
    """
    try:
        # With the original thousand classes timm loads strictly, so a file that does not fit raises an error.
        body, sides = create_body(timm_name, smallest_side, pretrained=True, pretrained_cfg_overlay=_weights(timm_name))
    except OSError as error:
        raise OSError(
            f"{name}: the published weights could not be fetched; connect once, so that they are cached, "
            "or give a local safetensors file with --weights FILE"
        ) from error
    body.reset_classifier(num_classes)  # type: ignore[operator]  # every classifier of timm's has it
    return _normalized(body, timm_name, sides, tokens)


def create_body(timm_name: str, smallest_side: int = 0, **options: Any) -> tuple[nn.Module, Sides]:
    """Builds a network with timm, so that it takes as many image sides as it can.

    Args:
        timm_name: timm's name.
        smallest_side: Minimum side in pixels.
        **options: Passed to timm.

    Returns:
        The network and the sides that it takes: any, multiples of its largest stride, or one fixed side.
    """
    # timm takes seconds to import, so it is imported on first use.
    timm = import_module("timm")
    config = load_config(timm_name)
    if not config.fixed_input_size:
        return timm.create_model(timm_name, **options), Sides(smallest=smallest_side)
    try:
        body = timm.create_model(timm_name, dynamic_img_size=True, **options)
    except TypeError:  # the network has no such option
        return timm.create_model(timm_name, **options), Sides(fixed=config.input_size[-1])
    return body, Sides(step=max(stage["reduction"] for stage in body.feature_info), smallest=smallest_side)


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


def _normalized(body: nn.Module, timm_name: str, sides: Sides, tokens: str) -> Network:
    # timm scales the weights of some classifiers with 1/sqrt(classes). With six classes instead of a thousand, the
    # initial logits are so large that a short training only unlearns them.
    classifiers = body.get_classifier()  # type: ignore[operator]  # every classifier of timm's has it
    for classifier in classifiers if isinstance(classifiers, tuple) else (classifiers,):
        nn.init.normal_(classifier.weight, std=CLASSIFIER_STD)
        nn.init.zeros_(classifier.bias)
    _avoid_copies(body)
    config = load_config(timm_name)
    grid = TokenGrid(tokens, count_prefix_tokens(body)) if tokens else None
    return Network(body, config.mean, config.std, sides=sides, grid=grid)


@cache
def load_config(timm_name: str) -> Any:
    """Returns timm's configuration of the published weights: normalization, input size and source.

    That of a repository on the hub takes a request, so it is loaded once per process. It must not be changed.

    Raises:
        OSError: It is that of a repository on the hub, is not cached and cannot be downloaded.
    """
    timm = import_module("timm")
    if not timm_name.startswith(HUB):
        return timm.get_pretrained_cfg(timm_name)
    repository = timm_name.removeprefix(HUB)
    try:
        published, name, _ = import_module("timm.models").load_model_config_from_hf(repository)
    except Exception as error:  # The hub's HTTP library changed twice, and its exceptions too.
        raise OSError(
            f"{timm_name}: its configuration could not be fetched; check the name, and connect once to cache it"
        ) from error
    config = timm.get_pretrained_cfg(name)
    return replace(config, **{key: value for key, value in published.items() if key in config.__dataclass_fields__})


def count_prefix_tokens(body: nn.Module) -> int:
    """Returns the number of tokens of a network of timm that have no position: class token and registers."""
    return int(getattr(body, "num_prefix_tokens", 0))


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
    repository = load_config(timm_name).hf_hub_id
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
