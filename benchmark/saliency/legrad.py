"""LeGrad: how sensitive the class is to the attention of each layer."""

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.activations import upsample
from benchmark.saliency.attention import ExplicitAttention, Transformer, find_transformer


def legrad(model: nn.Module, layer: str, images: Tensor, classes: Tensor, upsample_fn: UpsampleFn = upsample) -> Tensor:
    """Computes the positive gradient of each layer's class logit with respect to its attention, averaged.

    The logit of a layer is what the classifier makes of the mean of its tokens, after the network's last normalization.
    The gradient is averaged over heads and over the tokens that attend, then over layers. All layers count. The paper
    maps the result to [0, 1] by its minimum and maximum. Here it stays as it is. A layer's attention is freed before
    the next layer runs.

    Args:
        model: A transformer in evaluation mode. Takes (N, 3, H, W) in [0, 1], returns logits (N, C).
        layer: Dotted name of its grid of tokens.
        images: (N, 3, H, W), float, in [0, 1].
        classes: The class to explain for each image, (N,).
        upsample_fn: Upsamples maps of the grid to the size of the images. By default it stretches them.

    Returns:
        Maps (N, H, W), not negative. Zero where nothing supports the class.

    Raises:
        UserError: The network has no attention over one grid of tokens.

    Reference:
        Bousselham et al., LeGrad: an explainability method for vision transformers via feature formation sensitivity,
        2025, section 3. The mean over all tokens is that of the authors' code.
    """
    transformer = find_transformer(model, layer)
    parts = transformer.chunks(images, num_layers=1)
    maps = [_sensitivity(transformer, images[part], classes[part]) for part in parts]
    return upsample_fn(torch.cat(maps), images.shape[-2:])


def _sensitivity(transformer: Transformer, images: Tensor, classes: Tensor) -> Tensor:
    """Computes maps (N, h, w) of the grid."""
    attentions: list[Tensor] = []
    total = torch.zeros(())

    def watch(attention: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        attentions.append(attention.detach().requires_grad_())
        return attentions[-1]

    def differentiate(_block: nn.Module, _inputs: Any, tokens: Tensor) -> Tensor:
        nonlocal total
        target = _layer_logits(transformer, tokens).gather(1, classes[:, None]).sum()
        (gradient,) = torch.autograd.grad(target, attentions.pop())
        total = total + gradient.clamp(min=0).mean(dim=(1, 2))
        torch.set_grad_enabled(False)
        return tokens.detach()

    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for block in transformer.blocks:
            stack.enter_context(block.register_forward_hook(differentiate))
        stack.enter_context(ExplicitAttention(watch))
        transformer.network(images)
    return transformer.grid.to_grid(total[:, :, None])[:, 0] / len(transformer.blocks)


def _layer_logits(transformer: Transformer, tokens: Tensor) -> Tensor:
    """Returns the logits (N, C) of the mean of the tokens (N, L, K) of a layer."""
    # The classifier reads the first token or the mean of those behind the prefix. Here all of them are the mean.
    pooled = tokens.mean(dim=1, keepdim=True).expand(-1, transformer.grid.num_prefix + 1, -1)
    logits: Tensor = transformer.body.forward_head(transformer.body.norm(pooled))  # type: ignore[operator]  # timm's
    return logits


LEGRAD = Method(
    name="legrad",
    explain=legrad,
    source="Bousselham et al., LeGrad, 2025, arXiv 2404.03214, section 3",
    uses_grid=True,
    needs_attention=True,
)
