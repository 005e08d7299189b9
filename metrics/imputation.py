"""Imputation of missing pixels from their neighbors, so smooth that their outline does not show."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from metrics.sparse_solver import solve_missing

TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-6}
"""Maximum residual of a solved system, relative to its right-hand side.

In single precision, values are then correct to about 1e-4, which is a hundredth of ROAD's noise.
"""
CHECK_INTERVAL = 4
"""Number of iterations between two checks, at which solved systems leave the batch."""
COARSENING = 4
"""Ratio of the grid spacings of two levels.

With 2, an iteration takes twice as long, and only four fewer are needed.
"""
MAX_DIRECT_FRACTION = 0.25
"""Maximum fraction of missing pixels for the direct solver.

On an EPYC at 10 %, it takes 12 ms for an image of 224 px, and the iterations 47 ms. At 30 %, both take 54 ms.
"""
MAX_UNKNOWNS = {"cpu": 2**18}
"""Maximum number of unknowns in a batch, by device type. On a CPU, this is slightly more than its caches hold."""


def impute(images: Tensor, missing: Tensor) -> Tensor:
    """Returns images in which each missing pixel is the weighted mean of its eight neighbors, missing or not.

    Direct neighbors have weight 1/6, and diagonal neighbors 1/12. At the border of the image, only the weights within
    it count. The equations of the missing pixels, D u - W u = W x, are solved by conjugate gradients for all images and
    channels at once. The preconditioner is the diagonal D of every level of a pyramid (Bramble, Pasciak and Xu 1990).
    It needs about 28 iterations at any size, while D of the finest level alone needs hundreds. A solved system does not
    change any more, so that no image depends on another.

    These iterations visit all pixels. On a CPU, an image with few missing pixels is solved directly, which visits only
    these (:mod:`metrics.sparse_solver`).

    Args:
        images: (N, C, H, W), real. The values of missing pixels do not matter.
        missing: (N, H, W), bool. At least one pixel of each image is not missing.

    Returns:
        Images, (N, C, H, W). float64 stays float64, and all other types become float32. Other pixels do not change.

    Raises:
        ValueError: All pixels of an image are missing.

    Reference:
        Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML 2022, section 4.2,
        noisy linear imputation, here without the noise.

    Example:
        >>> image = torch.tensor([[[[1.0, 7.0, 3.0]]]])
        >>> impute(image, torch.tensor([[[False, True, False]]])).round(decimals=3).tolist()
        [[[[1.0, 2.0, 3.0]]]]
    """
    if not (~missing).flatten(1).any(1).all():
        raise ValueError("cannot impute an image of which every pixel is missing")
    dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
    observed = torch.where(missing[:, None], 0, images).to(dtype)
    if images.device.type != "cpu":
        return observed + _solve_iteratively(observed, missing)
    fractions = missing.flatten(1).double().mean(1)
    is_direct = fractions <= MAX_DIRECT_FRACTION
    imputed = observed.clone()
    for index in (is_direct & (fractions > 0)).nonzero()[:, 0].tolist():
        solution = solve_missing(observed[index].double().numpy(), missing[index].numpy())
        imputed[index][:, missing[index]] = torch.from_numpy(solution).to(dtype)
    if not is_direct.all():
        imputed[~is_direct] += _solve_iteratively(observed[~is_direct], missing[~is_direct])
    return imputed


def _solve_iteratively(observed: Tensor, missing: Tensor) -> Tensor:
    """Solves for the missing pixels (N, H, W) of channels (N, C, H, W) in batches. Other pixels of the result are 0."""
    holes = missing[:, None].expand_as(observed).to(observed)
    systems = [values.reshape(-1, 1, *observed.shape[2:]) for values in (observed, holes)]
    batch_size = max(MAX_UNKNOWNS.get(observed.device.type, 2**26) // missing[0].numel(), 1)
    batches = zip(*(values.split(batch_size) for values in systems), strict=True)
    return torch.cat([_solve(*batch) for batch in batches]).view_as(observed)


def _solve(observed: Tensor, holes: Tensor) -> Tensor:
    """Solves for the missing pixels of single channels by conjugate gradients.

    Args:
        observed: Channels, (M, 1, H, W), zero where a pixel is missing.
        holes: 1 where a pixel is missing, 0 elsewhere, (M, 1, H, W).

    Returns:
        The missing pixels, (M, 1, H, W), zero elsewhere.
    """
    diagonal = _neighbors(torch.ones_like(holes[:1]))
    target = holes * _neighbors(observed)
    u = holes * _initial_guess(observed, 1 - holes)
    levels = _levels(holes)
    residual = target - holes * (diagonal * u - _neighbors(u))
    limit = TOLERANCE[observed.dtype] ** 2 * _dot(target, target)
    direction = scaled = _precondition(residual, diagonal, holes, levels)
    product = _dot(residual, scaled)
    solution, rows = u.clone(), torch.arange(len(holes), device=holes.device)
    for iteration in range(1, max(holes[0].numel(), 100)):
        active = _dot(residual, residual) > limit
        if iteration % CHECK_INTERVAL == 0:
            solution[rows] = u
            remaining = active.view(-1).nonzero()[:, 0]
            if not len(remaining):
                break
            if len(remaining) < len(rows):
                levels = [level.take(remaining) for level in levels]
                rows, u, residual, direction, holes, product, active, limit = (
                    values[remaining] for values in (rows, u, residual, direction, holes, product, active, limit)
                )
        image = (diagonal * direction).sub_(_neighbors(direction)).mul_(holes)
        # Solved systems take steps of length 0 until they leave the batch.
        length = torch.where(active, product / _dot(direction, image), 0)
        u.addcmul_(length, direction)
        residual.addcmul_(length, image, value=-1)
        scaled = _precondition(residual, diagonal, holes, levels)
        previous, product = product, _dot(residual, scaled)
        direction = scaled.addcmul_(torch.where(active, product / previous, 0), direction)
    return solution


@dataclass(frozen=True, slots=True)
class _Level:
    """A coarser grid of h x w cells over a finer one of H x W. Its sides are a quarter, rounded up.

    Attributes:
        rows: Bilinear interpolation from its rows to the finer ones, (H, h).
        columns: The same for the columns, transposed, (w, W).
        diagonal: Diagonal of its equations, (M, 1, h, w). It is 1 inside a hole, and larger at the border of a hole.
    """

    rows: Tensor
    columns: Tensor
    diagonal: Tensor

    def coarser(self, values: Tensor) -> Tensor:
        """Returns the sums of finer values on this grid, with the weights of the interpolation."""
        return self.rows.T @ values @ self.columns.T

    def finer(self, values: Tensor) -> Tensor:
        """Returns values of this grid, interpolated to the finer one."""
        return self.rows @ values @ self.columns

    def take(self, systems: Tensor) -> "_Level":
        """Returns the same grid for a selection of systems."""
        return replace(self, diagonal=self.diagonal[systems])


def _levels(holes: Tensor) -> list[_Level]:
    """Builds the coarser grids. Each has a quarter of the side of the one before, down to a side of 1."""
    levels, border = list[_Level](), holes * _neighbors(1 - holes)
    while min(border.shape[-2:]) > 1:
        rows, columns = (_interpolation(side, border) for side in border.shape[-2:])
        border = rows.T @ border @ columns
        levels.append(_Level(rows, columns.T.contiguous(), 1 + border))
    return levels


def _interpolation(side: int, like: Tensor) -> Tensor:
    """Returns the matrix (side, coarser side) of linear interpolation, which replicates the ends, exact in any type."""
    coarse = torch.eye(-(-side // COARSENING), dtype=like.dtype, device=like.device)[None]
    return interpolate(coarse, scale_factor=COARSENING, mode="linear")[0, :, :side].T


def _precondition(residual: Tensor, diagonal: Tensor, holes: Tensor, levels: list[_Level]) -> Tensor:
    """Returns the sum over all levels of residual / diagonal: an estimate of the error at every scale."""
    residuals = [residual]
    for level in levels:
        residuals.append(level.coarser(residuals[-1]))
    error = torch.zeros_like(residuals[-1])
    for level, coarse in zip(reversed(levels), reversed(residuals), strict=False):  # the finest follows below
        error = level.finer(error.addcdiv_(coarse, level.diagonal))
    return error.addcdiv_(residual, diagonal).mul_(holes)


def _neighbors(values: Tensor) -> Tensor:
    """Returns the weighted sum W of the eight neighbors: (1 2 1) along both axes minus the center.

    Neighbors beyond the border count as 0.
    """
    across = 2 * values
    across[..., 1:] += values[..., :-1]
    across[..., :-1] += values[..., 1:]
    both = across / 6
    both[..., 1:, :].add_(across[..., :-1, :], alpha=1 / 12)
    both[..., :-1, :].add_(across[..., 1:, :], alpha=1 / 12)
    return both.sub_(values, alpha=1 / 3)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Returns the inner product of each system, (M, 1, 1, 1)."""
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))[:, None, None, None]


def _initial_guess(observed: Tensor, weights: Tensor) -> Tensor:
    """Returns a first guess for each pixel: the mean of what is observed in ever larger squares, until one has any.

    Args:
        observed: Values, (M, 1, H, W), zero where a pixel is missing.
        weights: 0 where a pixel is missing, 1 elsewhere, (M, 1, H, W).
    """
    height, width = observed.shape[-2:]
    if height == width == 1:
        return observed
    even = (0, width % 2, 0, height % 2)
    sums, counts = (avg_pool2d(pad(values, even), 2) for values in (observed, weights))
    coarse = _initial_guess(torch.where(counts > 0, sums / counts, 0), (counts > 0).to(observed))
    fine = interpolate(coarse, scale_factor=2)[..., :height, :width]
    return torch.where(weights > 0, observed, fine)
