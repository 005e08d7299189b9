"""Pixels that are missing, filled in from their neighbors so smoothly that their outline tells nothing."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-6}
"""Largest residual of a solved system, relative to its right-hand side. (In single precision, values are then right to
about 1e-4, a hundredth of ROAD's noise.)
"""
REVIEW = 4
"""Iterations after which systems that are solved leave the batch."""
COARSER = 4
"""How many times as coarse each level is as the one before.

With 2, an iteration takes twice as long and four fewer are needed.
"""
TOGETHER = {"cpu": 2**18}
"""Most unknowns solved at once, by kind of device: on a CPU hardly more than its caches hold."""


def impute(images: Tensor, missing: Tensor) -> Tensor:
    """Images in which every missing pixel is the weighted mean of its eight neighbors, missing or not.

    Neighbors by side weigh 1/6, by corner 1/12; where the image ends, the weights within it count. The equations of
    the missing pixels, D u - W u = W x, are solved by conjugate gradients for all images and channels at once. The
    preconditioner is the diagonal D of every level of a pyramid (Bramble, Pasciak and Xu 1990): about 28 iterations
    at any size, where D of the finest level alone takes hundreds. A solved system stays as it is, so that no image
    depends on another.

    Args:
        images: (N, C, H, W), real; what missing pixels show does not count.
        missing: (N, H, W), bool; at least one pixel of each image is there.

    Returns:
        Images, (N, C, H, W); float64 stays float64, all else becomes float32. Pixels that are there stay as they are.

    Reference:
        Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML 2022, section 4.2,
        noisy linear imputation, here without the noise.

    Example:
        >>> image = torch.tensor([[[[1.0, 7.0, 3.0]]]])
        >>> impute(image, torch.tensor([[[False, True, False]]])).round(decimals=3).tolist()
        [[[[1.0, 2.0, 3.0]]]]
    """
    if not (~missing).flatten(1).any(1).all():
        raise ValueError("an image of which every pixel is missing cannot be imputed")
    dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
    known = torch.where(missing[:, None], 0, images).to(dtype)
    holes = missing[:, None].expand_as(known).to(dtype)
    systems = [values.reshape(-1, 1, *images.shape[2:]) for values in (known, holes)]
    together = max(TOGETHER.get(images.device.type, 2**26) // missing[0].numel(), 1)
    solved = [_solve(*parts) for parts in zip(*(values.split(together) for values in systems), strict=True)]
    return known + torch.cat(solved).view_as(known)


def _solve(known: Tensor, holes: Tensor) -> Tensor:
    """The missing pixels of planes (M, 1, H, W), zero elsewhere; holes are 1 where a pixel is missing."""
    diagonal = _neighbors(torch.ones_like(holes[:1]))
    target = holes * _neighbors(known)
    u = holes * _guess(known, 1 - holes)
    levels = _levels(holes)
    residual = target - holes * (diagonal * u - _neighbors(u))
    limit = TOLERANCE[known.dtype] ** 2 * _dot(target, target)
    direction = scaled = _precondition(residual, diagonal, holes, levels)
    product = _dot(residual, scaled)
    solution, rows = u.clone(), torch.arange(len(holes), device=holes.device)
    for iteration in range(1, max(holes[0].numel(), 100)):
        going = _dot(residual, residual) > limit
        if iteration % REVIEW == 0:
            solution[rows] = u
            left = going.view(-1).nonzero()[:, 0]
            if not len(left):
                break
            if len(left) < len(rows):
                levels = [level.take(left) for level in levels]
                rows, u, residual, direction, holes, product, going, limit = (
                    values[left] for values in (rows, u, residual, direction, holes, product, going, limit)
                )
        image = (diagonal * direction).sub_(_neighbors(direction)).mul_(holes)
        length = torch.where(going, product / _dot(direction, image), 0)
        u.addcmul_(length, direction)
        residual.addcmul_(length, image, value=-1)
        scaled = _precondition(residual, diagonal, holes, levels)
        before, product = product, _dot(residual, scaled)
        direction = scaled.addcmul_(torch.where(going, product / before, 0), direction)
    return solution


@dataclass(frozen=True, slots=True)
class _Level:
    """A coarser grid: h x w of the finer one's H x W, a quarter of the sides, rounded up.

    Attributes:
        rows: From its rows to the finer ones, (H, h): bilinear interpolation.
        columns: From its columns to the finer ones, transposed, (w, W).
        diagonal: Of the equations on it, (M, 1, h, w): 1 inside a hole, more where its rim runs through.
    """

    rows: Tensor
    columns: Tensor
    diagonal: Tensor

    def coarser(self, values: Tensor) -> Tensor:
        """Sums onto this grid, with the weights of the interpolation."""
        return self.rows.T @ values @ self.columns.T

    def finer(self, values: Tensor) -> Tensor:
        """Values of this grid, interpolated."""
        return self.rows @ values @ self.columns

    def take(self, systems: Tensor) -> "_Level":
        """The same for some of the systems."""
        return replace(self, diagonal=self.diagonal[systems])


def _levels(holes: Tensor) -> list[_Level]:
    """The coarser grids, each a quarter of the one before, down to a side of 1."""
    levels, rim = list[_Level](), holes * _neighbors(1 - holes)
    while min(rim.shape[-2:]) > 1:
        rows, columns = (_interpolation(side).to(rim) for side in rim.shape[-2:])
        rim = rows.T @ rim @ columns
        levels.append(_Level(rows, columns.T.contiguous(), 1 + rim))
    return levels


def _interpolation(side: int) -> Tensor:
    """The matrix (side, coarser side) of linear interpolation; beyond the ends, the end is repeated."""
    coarse = torch.eye(-(-side // COARSER))[None]
    return interpolate(coarse, scale_factor=COARSER, mode="linear")[0, :, :side].T


def _precondition(residual: Tensor, diagonal: Tensor, holes: Tensor, levels: list[_Level]) -> Tensor:
    """The residual over the diagonal of each level, added up: an estimate of the error at every scale."""
    residuals = [residual]
    for level in levels:
        residuals.append(level.coarser(residuals[-1]))
    error = torch.zeros_like(residuals[-1])
    for level, coarse in zip(reversed(levels), reversed(residuals), strict=False):  # the finest is added below
        error = level.finer(error.addcdiv_(coarse, level.diagonal))
    return error.addcdiv_(residual, diagonal).mul_(holes)


def _neighbors(values: Tensor) -> Tensor:
    """Weighted sum W of the eight neighbors: (1 2 1) along both sides less the center; beyond the border, nothing."""
    across = 2 * values
    across[..., 1:] += values[..., :-1]
    across[..., :-1] += values[..., 1:]
    both = across / 6
    both[..., 1:, :].add_(across[..., :-1, :], alpha=1 / 12)
    both[..., :-1, :].add_(across[..., 1:, :], alpha=1 / 12)
    return both.sub_(values, alpha=1 / 3)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each system, (M, 1, 1, 1)."""
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))[:, None, None, None]


def _guess(known: Tensor, there: Tensor) -> Tensor:
    """A first guess everywhere: the mean of what is known in ever larger squares, until something is."""
    height, width = known.shape[-2:]
    if height == width == 1:
        return known
    even = (0, width % 2, 0, height % 2)
    sums, counts = (avg_pool2d(pad(values, even), 2) for values in (known, there))
    coarse = _guess(torch.where(counts > 0, sums / counts, 0), (counts > 0).to(known))
    fine = interpolate(coarse, scale_factor=2)[..., :height, :width]
    return torch.where(there > 0, known, fine)
