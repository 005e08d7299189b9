"""Gradient-weighted attention relevance, the "generic" rule for transformers of self-attention."""

import torch
from torch import Tensor, nn

from benchmark.saliency import Method, UpsampleFn
from benchmark.saliency.activations import upsample
from benchmark.saliency.attention import ExplicitAttention, Transformer, find_transformer


def attention_relevance(
    model: nn.Module, layer: str, images: Tensor, classes: Tensor, upsample_fn: UpsampleFn = upsample
) -> Tensor:
    """Computes the relevance of each patch to what the classifier reads.

    The weights of a layer are its attention times the gradient of the class's logit, rectified and averaged over heads.
    Relevance begins as the identity R and grows layer by layer: R + weights @ R. The map is the row of the class token,
    or the mean of the rows of the patches that the classifier averages, without the identity itself. This row alone is
    stored. It grows from the last layer to the first, in the order in which the backward pass computes the gradients.

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
        Chefer et al., Generic attention-model explainability for interpreting bi-modal and encoder-decoder
        transformers, 2021, equations 5 and 6.
    """
    transformer = find_transformer(model, layer)
    parts = transformer.chunks(images, num_layers=len(transformer.blocks))
    return upsample_fn(
        torch.cat([_relevance(transformer, images[part], classes[part]) for part in parts]), images.shape[-2:]
    )


def _relevance(transformer: Transformer, images: Tensor, classes: Tensor) -> Tensor:
    """Computes maps (N, h, w) of the grid."""
    attentions: list[Tensor] = []
    readout, growth = torch.empty(0), torch.empty(0)

    def grow(attention: Tensor, gradient: Tensor) -> None:
        # Relevance less the identity: a small growth would vanish in a sum with the readout.
        weights = (attention * gradient).clamp_(min=0)
        growth.add_((torch.stack([readout, growth], dim=1)[:, None] @ weights).sum(dim=2).mean(dim=1))

    def watch(attention: Tensor) -> Tensor:
        # No gradient is needed in front of the first attention: the graph begins there.
        torch.set_grad_enabled(True)
        if not attentions:
            attention = attention.detach().requires_grad_()
        else:
            detached = attention.detach()
            attention.register_hook(lambda gradient: grow(detached, gradient))
        attentions.append(attention)
        return attention

    with torch.no_grad(), ExplicitAttention(watch):
        logits = transformer.network(images)
    first = attentions[0]
    attentions.clear()
    readout = transformer.readout(first.detach())
    growth = torch.zeros_like(readout)
    with torch.enable_grad():
        target = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(target, first)
    grow(first.detach(), gradient)
    return transformer.grid.to_grid(growth[:, :, None])[:, 0]


ATTENTION_RELEVANCE = Method(
    name="attention-relevance",
    explain=attention_relevance,
    source="Chefer et al., Generic attention-model explainability, 2021, arXiv 2103.15679, equations 5 and 6",
    uses_grid=True,
    needs_attention=True,
)
