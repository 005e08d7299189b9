"""Attention rollout: attention of all layers, multiplied."""

import torch
from torch import Tensor, nn

from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.activations import upsample
from benchmark.saliency.attention import ExplicitAttention, Transformer, find_transformer


def attention_rollout(
    model: nn.Module, layer: str, images: Tensor, _classes: Tensor, upsample_fn: UpsampleFn = upsample
) -> Tensor:
    """Computes the share of each patch in what the classifier reads, if layers only averaged tokens by attention.

    The weights of a layer are the mean over heads, and half of each token remains (the residual connection). Their
    product over the layers has a row for the class token. Without class token the map is the mean of the rows of the
    patches, which the classifier averages. Only the product is stored, not the attention of all layers.

    Args:
        model: A transformer in evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        layer: Dotted name of its grid of tokens.
        images: (N, 3, H, W), float, in [0, 1].
        upsample_fn: Upsamples maps of the grid to the size of the images. By default it stretches them.

    Returns:
        Maps (N, H, W), not negative, the same for every class.

    Raises:
        UserError: The network has no attention over one grid of tokens.

    Reference:
        Abnar and Zuidema, Quantifying attention flow in transformers, 2020, section 3.
    """
    transformer = find_transformer(model, layer)
    maps = [_rollout(transformer, images[part]) for part in transformer.chunks(images, num_layers=1)]
    return upsample_fn(torch.cat(maps), images.shape[-2:])


def _rollout(transformer: Transformer, images: Tensor) -> Tensor:
    """Computes maps (N, h, w) of the grid."""
    rollout, readout = torch.empty(0), torch.empty(0)

    def multiply(attention: Tensor) -> Tensor:
        nonlocal rollout, readout
        mixed = (attention.mean(dim=1) + torch.eye(attention.shape[-1], device=attention.device)) / 2
        rollout = mixed @ rollout if len(rollout) else mixed
        readout = readout if len(readout) else transformer.readout(attention)
        return attention

    with torch.no_grad(), ExplicitAttention(multiply):
        transformer.network(images)
    return transformer.grid.to_grid((readout[:, None] @ rollout).transpose(1, 2))[:, 0]


ATTENTION_ROLLOUT = Method(
    name="attention-rollout",
    explain=attention_rollout,
    source="Abnar and Zuidema, Quantifying attention flow in transformers, 2020, arXiv 2005.00928, section 3",
    uses_grid=True,
    needs_attention=True,
)
