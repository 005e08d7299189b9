"""ScoreCAM: each channel counts by what the network says of the image seen through it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Enlarge, Method
from benchmark.saliency.activations import enlarged, get_activations
from benchmark.saliency.masked import FORWARDS, masked_logits, rounding_at


def score_cam(model: nn.Module, layer: str, images: Tensor, classes: Tensor, enlarge: Enlarge = enlarged) -> Tensor:
    """Activations of the layer, weighted by the softmax over channels of their scores, rectified, up-sampled.

    The score of a channel is the class's logit for the image multiplied with the channel, up-sampled and stretched to
    [0, 1]. The paper subtracts the logit of a black image, which the softmax cancels. Here it helps to tell whether the
    answer ever changes: where the scores of all channels and of the black image differ by no more than rounding,
    weights would be equal for want of evidence, and the map is empty. A channel that is the same everywhere masks
    nothing and counts nothing. Dear: as many forward passes per image as the layer has channels.

    Args:
        model: In evaluation mode; takes (N, 3, H, W) in [0, 1], gives logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        enlarge: Brings maps of the grid to the size of the images; by itself it stretches them.

    Returns:
        Maps (N, H, W), not negative; zero where the layer is silent or the class's logit never changes.

    Reference:
        Wang et al., Score-CAM: score-weighted visual explanations for convolutional neural networks, 2020, algorithm 1.
    """
    activations = get_activations(model, layer, images)
    maps = [
        _map(model, image, channels, int(label), enlarge)
        for image, channels, label in zip(images, activations, classes, strict=True)
    ]
    return enlarge(torch.stack(maps), images.shape[-2:])


def _map(model: nn.Module, image: Tensor, channels: Tensor, label: int, enlarge: Enlarge) -> Tensor:
    """The map (h, w) of one image from its channels (K, h, w)."""
    low, high = channels.flatten(1).aminmax(dim=1)
    channels = channels[high > low]
    if not len(channels):
        return torch.zeros(channels.shape[-2:], dtype=channels.dtype, device=channels.device)
    black = masked_logits(model, image, torch.zeros_like(image[:1]))
    answers = [masked_logits(model, image, _masks(part, image, enlarge)) for part in channels.split(FORWARDS)]
    logits = torch.cat([black, *answers])
    scores = logits[:, label]
    if scores.max() - scores.min() <= rounding_at(model, image, logits):
        return torch.zeros_like(channels[0])
    weights = scores[1:].softmax(dim=0).to(channels.dtype)
    return functional.relu(torch.einsum("k,khw->hw", weights, channels))


def _masks(channels: Tensor, image: Tensor, enlarge: Enlarge) -> Tensor:
    """Channels (K, h, w) as masks (K, H, W), each stretched to [0, 1] after it is up-sampled."""
    masks = enlarge(channels, image.shape[-2:])
    low, high = (extreme[:, None, None] for extreme in masks.flatten(1).aminmax(dim=1))
    return (masks - low) / (high - low).clamp(min=torch.finfo(masks.dtype).tiny)


SCORE_CAM = Method(
    name="score-cam",
    draw=score_cam,
    source="Wang et al., Score-CAM, 2020, arXiv 1910.01279, algorithm 1",
    on_grid=True,
)
