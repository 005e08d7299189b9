"""Prints the table of the published DermXDB ranking in docs/alignment.md, and how it goes with the displacement.

Run from the repository: ``python -m docs.figures.dermxdb``. Layers are those of keras-applications 1.0.8: kernel,
stride and padding of all that change the grid. Of NASNet, our network takes the padding of Keras.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import kendalltau
from torch import Tensor, nn
from typer import echo

from architectures import Architecture
from architectures.geometry import Axis, grid_geometry, stretched
from benchmark.leaderboard.analysis.published import load_published_table
from benchmark.registry import select

SIZE = (400, 300)
NASNET, NASNET_SIZE = "nasnet_mobile", (224, 224)
Step = tuple[int, int, str]
"""Kernel, stride and padding."""
Layer = Step | list[list[Step]]
"""A step, or branches that are added or concatenated with equal weight."""

_POOL: Step = (2, 2, "valid")
_HALF: Step = (1, 2, "valid")
_SAME: Step = (3, 1, "same")
_RESNET_STEM: list[Layer] = [(7, 2, "3,3"), (3, 2, "1,1")]
_RESNET_V2_STAGE: Layer = [[(3, 2, "1,1")], [_HALF]]
_XCEPTION_BLOCK: Layer = [[_SAME, _SAME, (3, 2, "same")], [_HALF]]
_INCEPTION: list[Layer] = [
    (3, 2, "valid"),
    (3, 1, "valid"),
    _SAME,
    (3, 2, "valid"),
    (3, 1, "valid"),
    *[(3, 2, "valid")] * 3,
]
NETWORKS: dict[str, Sequence[Layer]] = {
    "vgg16": [_POOL] * 4,
    "resnet50": [*_RESNET_STEM, *[_HALF] * 3],
    "resnet50_v2": [*_RESNET_STEM, *[_RESNET_V2_STAGE] * 3],
    "densenet121": [*_RESNET_STEM, *[_POOL] * 3],
    "mobilenet": [(3, 2, "same"), *[(3, 2, "0,1")] * 4],
    "mobilenet_v2": [(3, 2, "same"), *[(3, 2, "correct")] * 4],
    "efficientnet_b0": [(kernel, 2, "correct") for kernel in (3, 3, 5, 3, 5)],
    "inception_v3": _INCEPTION,
    "inception_resnet_v2": _INCEPTION,
    "xception": [(3, 2, "valid"), (3, 1, "valid"), *[_XCEPTION_BLOCK] * 4],
}


def padding(pixels: int, kernel: int, stride: int, kind: str) -> tuple[int, int]:
    """Returns the padding before and after. "correct" is the rule of `correct_pad` in keras-applications."""
    if kind == "valid":
        return 0, 0
    if kind == "same":
        total = max((-(-pixels // stride) - 1) * stride + kernel - pixels, 0)
        return total // 2, total - total // 2
    if kind == "correct":
        return kernel // 2 - 1 + pixels % 2, kernel // 2
    before, after = kind.split(",")
    return int(before), int(after)


def follow(axis: Axis, layer: Layer) -> Axis:
    """Returns the grid that a layer makes of another one."""
    if isinstance(layer, tuple):
        kernel, stride, kind = layer
        before, after = padding(axis.cells, kernel, stride, kind)
        return Axis(
            first=axis.first + axis.spacing * ((kernel - 1) / 2 - before),
            spacing=axis.spacing * stride,
            cells=(axis.cells + before + after - kernel) // stride + 1,
            pixels=axis.pixels,
        )
    branches = [follow_all(axis, branch) for branch in layer]
    first = sum(branch.first for branch in branches) / len(branches)
    return Axis(first=first, spacing=branches[0].spacing, cells=branches[0].cells, pixels=axis.pixels)


def follow_all(axis: Axis, layers: Sequence[Layer]) -> Axis:
    """Returns the grid after all layers."""
    for layer in layers:
        axis = follow(axis, layer)
    return axis


class KerasPadding(nn.Module):
    """The padding of Keras before a layer of stride 2."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Pads the grid."""
        sides = [side for size in (x.shape[3], x.shape[2]) for side in padding(size, self.kernel, 2, "correct")]
        return nn.functional.pad(x, sides)


def use_keras_padding(network: nn.Module) -> None:
    """Replaces all layers of stride 2 that pad."""
    for name, child in network.named_children():
        stride, kernel, pad = (_first(getattr(child, key, 0)) for key in ("stride", "kernel_size", "padding"))
        if stride == 2 and kernel > 1:
            if pad:
                child.padding = (0, 0) if isinstance(child, nn.Conv2d) else 0  # type: ignore[assignment]
                setattr(network, name, nn.Sequential(KerasPadding(kernel), child))
        else:
            use_keras_padding(child)


def _first(value: int | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else value


def compute_axes() -> dict[str, tuple[Axis, Axis]]:
    """Computes rows and columns of the grids of all networks."""
    axes = {}
    for name, layers in NETWORKS.items():
        rows, columns = (follow_all(Axis(first=0, spacing=1, cells=side, pixels=side), layers) for side in SIZE)
        axes[name] = rows, columns
    entry = select(Architecture, [NASNET])[0]
    network = entry.build(2)
    use_keras_padding(network)
    grid = grid_geometry(network, entry.target_layer, NASNET_SIZE)
    return axes | {NASNET: (grid.rows, grid.columns)}


def off(rows: Axis, columns: Axis) -> float:
    """Computes the mean distance between shown and true centers, as a share of the sides."""
    down, right = (
        ((stretched(axis.cells, axis.pixels).centers - axis.centers) / axis.pixels).numpy() for axis in (rows, columns)
    )
    return float(np.hypot(down[:, None], right).mean())


def main() -> None:
    """Prints the table and the correlations."""
    axes = compute_axes()
    values = load_published_table("dermxdb-2023").values
    published = [values[name, "map_f1"] for name in ("A", "B")]
    # Rounded, since distances that are equal by symmetry are ties.
    distances = {name: round(off(*both), 6) for name, both in axes.items()}
    echo("| network | grid | centers begin at | displacement, px | in % | off, % | F1 of set A | of set B |")
    echo("|---|---|---|---|---|---|---|---|")
    for name in sorted(axes, key=lambda name: distances[name]):
        rows, columns = axes[name]
        shares = [100 * axis.displacement / axis.pixels for axis in (rows, columns)]
        f1 = [f"{scores[name][0]:.3f}" if name in scores else "" for scores in published]
        cells = [
            name,
            f"{rows.cells} x {columns.cells}",
            f"{rows.first:g}, {columns.first:g}",
            f"{rows.displacement:+.1f}, {columns.displacement:+.1f}",
            f"{shares[0]:+.1f}, {shares[1]:+.1f}",
            f"{100 * distances[name]:.1f}",
            *f1,
        ]
        echo(f"| {' | '.join(cells)} |")
    for title, without in (("all", ""), ("without vgg16", "vgg16"), ("without nasnet_mobile", NASNET)):
        for set_name, table in zip("AB", published, strict=True):
            names = sorted(table.keys() - {without})
            result = kendalltau([distances[name] for name in names], [table[name][0] for name in names])
            echo(f"{title}, set {set_name}: tau {result.statistic:+.2f} (p {result.pvalue:.2f})")


if __name__ == "__main__":
    main()
