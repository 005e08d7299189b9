"""The tokens of a transformer as a grid, so that methods for convolutional networks can read and change them."""

from collections.abc import Sequence

from torch import Tensor, cat, nn

NAME = "grid"
"""Name of the grid inside a :class:`architectures.network.Network`."""


class TokenGrid(nn.Module):
    """An identity that sees the tokens of a layer as a grid (N, K, h, w).

    The output of the layer passes through it as a grid and returns to its own layout. Other modules see no difference.
    A hook on this module reads and replaces the grid. It has no weights.

    Attributes:
        layer: Dotted name of the layer in the body. It outputs (N, L, K), or (N, h, w, K).
        num_prefix: Number of the first tokens without a position: class token and registers. They pass by the grid.
        image_size: Height and width of the input of the body, which set the shape of the grid of (N, L, K).
    """

    def __init__(self, layer: str, num_prefix: int) -> None:
        super().__init__()
        self.layer = layer
        self.num_prefix = num_prefix
        self.image_size: Sequence[int] = (1, 1)

    def extra_repr(self) -> str:
        """Names the layer."""
        return f"{self.layer}, num_prefix={self.num_prefix}"

    def forward(self, grid: Tensor) -> Tensor:
        """Returns the grid (N, K, h, w) itself."""
        return grid

    def attach(self, body: nn.Module) -> None:
        """Passes the output of the layer through this module.

        Raises:
            AttributeError: The body has no such layer.
        """
        body.get_submodule(self.layer).register_forward_hook(self._pass)

    def shape(self, num_tokens: int) -> tuple[int, int]:
        """Returns the height and width of the grid of a number of tokens, prefix included.

        Raises:
            ValueError: No grid with the proportions of the image has as many cells.

        Example:
            >>> tokens = TokenGrid("norm", num_prefix=5)
            >>> tokens.image_size = (96, 160)
            >>> tokens.shape(65)
            (6, 10)
        """
        cells = num_tokens - self.num_prefix
        height, width = self.image_size
        rows = max(1, round((cells * height / width) ** 0.5))
        if cells < 1 or cells % rows:
            raise ValueError(f"{num_tokens} tokens of {self.layer!r} are no grid on an image of {height} x {width} px")
        return rows, cells // rows

    def to_grid(self, tokens: Tensor) -> Tensor:
        """Returns tokens (N, L, K) without the prefix as a grid (N, K, h, w)."""
        return tokens[:, self.num_prefix :].transpose(1, 2).unflatten(2, self.shape(tokens.shape[1]))

    def _pass(self, _layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if output.ndim == 4:
            passed: Tensor = self(output.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            return passed
        tokens: Tensor = self(self.to_grid(output)).flatten(2).transpose(1, 2)
        return cat([output[:, : self.num_prefix], tokens], dim=1) if self.num_prefix else tokens
