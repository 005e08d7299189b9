"""Attention weights of a transformer, layer by layer. The attention methods build on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from architectures.network import Network
from architectures.token_grid import TokenGrid
from benchmark.errors import UserError

MAX_WEIGHTS = 2**25
"""Maximum number of attention weights of the layers that are in memory at the same time, except for a single image."""
REMEDY = "use a CAM method such as grad-cam"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transformer:
    """A network whose blocks each attend once, from all tokens to all tokens.

    Attributes:
        network: The network.
        body: timm's network in it.
        blocks: Its blocks, in order.
        grid: The tokens as a grid.
        averages: Whether the classifier reads the mean of the patch tokens. Else it reads the class token, the first.
    """

    network: Network
    body: nn.Module
    blocks: Sequence[nn.Module]
    grid: TokenGrid
    averages: bool

    def readout(self, attention: Tensor) -> Tensor:
        """Returns the weight of each token in what the classifier reads, (N, L), for attention (N, heads, L, L)."""
        weights = attention.new_zeros(len(attention), attention.shape[-1])
        if self.averages:
            weights[:, self.grid.num_prefix :] = 1 / (attention.shape[-1] - self.grid.num_prefix)
        else:
            weights[:, 0] = 1
        return weights

    def chunks(self, images: Tensor, num_layers: int) -> Iterator[slice]:
        """Divides images so that the attention weights of a number of layers are at most MAX_WEIGHTS."""
        height, width = self.network.sides.fit(*images.shape[-2:])
        stride = self.body.feature_info[-1]["reduction"]  # type: ignore[index]  # every network of timm's has it
        tokens = height * width // stride**2 + self.grid.num_prefix
        heads = self.blocks[0].attn.num_heads  # type: ignore[union-attr]  # find_transformer has checked it
        size = max(1, int(MAX_WEIGHTS // (num_layers * heads * tokens**2)))  # type: ignore[operator]  # a number
        for start in range(0, len(images), size):
            yield slice(start, start + size)


def find_transformer(model: nn.Module, layer: str) -> Transformer:
    """Returns the parts of a network that attention methods need.

    Args:
        model: The network. May be on the meta device.
        layer: Dotted name of the target layer.

    Raises:
        UserError: The network has no attention over one grid of tokens, or a classifier that reads them otherwise.
    """
    body = model.body if isinstance(model, Network) else model
    grid = model.get_submodule(layer)
    blocks = getattr(body, "blocks", ())
    has_attention = bool(len(blocks)) and all(hasattr(getattr(block, "attn", None), "num_heads") for block in blocks)
    if not isinstance(model, Network) or not isinstance(grid, TokenGrid) or not has_attention:
        kind = type(body).__name__
        raise UserError(f"{kind} has no attention over one grid of tokens, which attention methods need; {REMEDY}")
    pooling = getattr(body, "global_pool", "")
    if pooling not in {"token", "avg"}:
        raise UserError(
            f"the classifier reads its tokens by {pooling!r}, which attention methods do not know; {REMEDY}"
        )
    return Transformer(network=model, body=body, blocks=list(blocks), grid=grid, averages=pooling == "avg")


class ExplicitAttention(TorchFunctionMode):
    """Computes attention weights explicitly and passes them to a function, while it is active.

    It intercepts calls, not modules, as networks differ in the modules that call them. The fused function of torch
    returns no weights. Here it is computed in steps.

    Args:
        transform: Takes attention weights (N, heads, L, L), whose rows add up to 1, and returns those to use.
    """

    def __init__(self, transform: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.transform = transform

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls the function, with explicit weights if it is an attention."""
        name = getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            return self._attend(*args, **(kwargs or {}))
        output = func(*args, **(kwargs or {}))
        return self.transform(output) if name == "softmax" and _is_attention(output) else output

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        _dropout_p: float = 0.0,
        _is_causal: bool = False,  # noqa: FBT001, FBT002 - the arguments of torch's
        scale: float | None = None,
        **_: Any,
    ) -> Tensor:
        scores = (query * (scale or query.shape[-1] ** -0.5)) @ key.transpose(-2, -1)
        if attn_mask is not None:
            is_bool = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -torch.inf) if is_bool else scores + attn_mask
        return self.transform(scores.softmax(dim=-1)) @ value


def _is_attention(weights: Any) -> bool:
    return isinstance(weights, Tensor) and weights.ndim == 4 and weights.shape[-1] == weights.shape[-2] > 1
