"""ScoreCAM: each channel is weighted by the class's score of the image that it masks."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.activations import get_activations, upsample
from benchmark.saliency.masked import MAX_BATCH_SIZE, masked_logits, rounding_at


def score_cam(
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, upsample_fn: UpsampleFn = upsample
) -> Tensor:
    """Computes activations, weighted by the softmax over channels of their scores, rectified and upsampled.

    The score of a channel is the class's logit for the image times the channel, upsampled and scaled to [0, 1]. The
    paper subtracts the logit of a black image, which the softmax cancels. Here that logit shows whether the output
    changes at all. The map is empty where all scores, that of the black image included, differ by rounding alone. Else
    all weights would be equal without evidence. A constant channel masks nothing and has no weight. Expensive: it
    needs one forward pass per image and channel of the layer.

    Args:
        model: In evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        layer: Dotted name of a module inside the model with output (N, K, h, w).
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        upsample_fn: Upsamples maps of the grid to the size of the images. By default it stretches them.

    Returns:
        Maps (N, H, W), not negative. Zero where all activations are constant or the class's logit never changes.

    Reference:
        Wang et al., Score-CAM: score-weighted visual explanations for convolutional neural networks, 2020, algorithm 1.
    """
    activations = get_activations(model, layer, images)
    maps = [
        _map(model, image, channels, label, upsample_fn)
        for image, channels, label in zip(images, activations, classes, strict=True)
    ]
    return upsample_fn(torch.stack(maps), images.shape[-2:])


def _map(model: nn.Module, image: Tensor, channels: Tensor, label: Tensor, upsample_fn: UpsampleFn) -> Tensor:
    """Computes the map (h, w) of one image from its channels (K, h, w)."""
    low, high = channels.flatten(1).aminmax(dim=1)
    channels = channels[high > low]
    if not len(channels):
        return torch.zeros(channels.shape[-2:], dtype=channels.dtype, device=channels.device)
    black = masked_logits(model, image, torch.zeros_like(image[:1]))
    chunks = [masked_logits(model, image, _masks(part, image, upsample_fn)) for part in channels.split(MAX_BATCH_SIZE)]
    logits = torch.cat([black, *chunks])
    scores = logits.index_select(1, label.view(1))[:, 0]
    unchanged = scores.max() - scores.min() <= rounding_at(model, image, logits)
    weights = scores[1:].softmax(dim=0).to(channels.dtype)
    return functional.relu(torch.einsum("k,khw->hw", weights, channels)).masked_fill(unchanged, 0.0)


def _masks(channels: Tensor, image: Tensor, upsample_fn: UpsampleFn) -> Tensor:
    """Turns channels (K, h, w) into masks (K, H, W), each scaled to [0, 1] after upsampling."""
    masks = upsample_fn(channels, image.shape[-2:])
    low, high = (extreme[:, None, None] for extreme in masks.flatten(1).aminmax(dim=1))
    return (masks - low) / (high - low).clamp(min=torch.finfo(masks.dtype).tiny)


SCORE_CAM = Method(
    name="score-cam",
    explain=score_cam,
    source="Wang et al., Score-CAM, 2020, arXiv 1910.01279, algorithm 1",
    uses_grid=True,
)
