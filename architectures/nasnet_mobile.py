"""NASNetMobile: NASNet-A (4 @ 1056), the only architecture here that timm lacks.

The implementation follows Zoph et al. 2018, figure 4 and the appendix. The paper leaves some details open: the stem,
the factorized reduction and the position of the ReLUs. They follow Keras, so the number of parameters is that of Keras,
5,326,716 with 1000 classes. Two differences change no shape. Padding is symmetric, where Keras pads only the far side.
Pooling ignores the padding, where Keras includes its zeros.

There are no published weights that can be loaded.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from architectures import Architecture
from architectures.network import Network

STEM_FILTERS = 32
PENULTIMATE_FILTERS = 1056
REPEATS = 4


def norm(filters: int) -> nn.BatchNorm2d:
    """Builds BatchNorm with the epsilon of Keras, but the momentum of torch.

    With the .9997 of Keras, the running statistics need ten thousand steps to forget their initial values. A short run
    has far fewer.
    """
    return nn.BatchNorm2d(filters, eps=1e-3)


def pointwise(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Builds a 1 x 1 convolution."""
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


def separable(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Builds two separable convolutions, the first with the stride, each followed by BatchNorm.

    The cell applies the ReLU before the first one, because several branches share the input.
    """

    def depthwise(filters: int, stride: int) -> nn.Conv2d:
        return nn.Conv2d(filters, filters, kernel, stride, kernel // 2, groups=filters, bias=False)

    return nn.Sequential(
        depthwise(inputs, stride),
        pointwise(inputs, outputs),
        norm(outputs),
        nn.ReLU(inplace=True),
        depthwise(outputs, 1),
        pointwise(outputs, outputs),
        norm(outputs),
    )


def squeeze(inputs: int, outputs: int) -> nn.Sequential:
    """Projects an input of a cell to the number of filters of the cell."""
    return nn.Sequential(nn.ReLU(), pointwise(inputs, outputs), norm(outputs))


class Halve(nn.Module):
    """Projects an input of twice the side of the cell: half of the filters read even pixels, half odd ones."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = pointwise(inputs, outputs // 2, stride=2)
        self.odd = pointwise(inputs, outputs // 2, stride=2)
        self.norm = norm(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Maps features (N, C, H, W) to (N, outputs, H / 2, W / 2), sides rounded up."""
        rectified = relu(features)
        shifted = pad(rectified, (-1, 1, -1, 1))
        halved: Tensor = self.norm(torch.cat([self.even(rectified), self.odd(shifted)], dim=1))
        return halved


class Cell(nn.Module):
    """Base class of both cells: projects the two inputs to the same number of filters and the same side.

    Args:
        current: Channels of the previous cell's output.
        previous: Channels of the output of the cell before that. None for the first cell, which reads the stem
            twice and uses the second one unchanged.
        filters: Filters of each branch.
        halve: Whether the second input has twice the side of the first.

    Attributes:
        branches: Number of branches in the output, which has ``branches * filters`` channels.
    """

    branches: int

    def __init__(self, current: int, previous: int | None, filters: int, *, halve: bool) -> None:
        super().__init__()
        self.current = squeeze(current, filters)
        self.previous: nn.Module = nn.Identity()
        self.previous_filters = current
        if previous is not None:
            self.previous = Halve(previous, filters) if halve else squeeze(previous, filters)
            self.previous_filters = filters
        self.mean_pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


class NormalCell(Cell):
    """A cell of stride 1 whose output has six times its filters (figure 4, left)."""

    branches = 6

    def __init__(self, current: int, previous: int | None, filters: int, *, halve: bool) -> None:
        super().__init__(current, previous, filters, halve=halve)
        self.current_5x5 = separable(filters, filters, 5)
        self.current_3x3 = separable(filters, filters, 3)
        self.previous_5x5 = separable(filters, filters, 5)
        self.previous_3x3_first = separable(filters, filters, 3)
        self.previous_3x3_second = separable(filters, filters, 3)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Computes the next features, (N, 6 filters, H, W)."""
        h, p = self.current(current), self.previous(previous)
        h_rectified, p_rectified = relu(h), relu(p)
        parts = [
            p,
            self.current_5x5(h_rectified) + self.previous_3x3_first(p_rectified),
            self.previous_5x5(p_rectified) + self.previous_3x3_second(p_rectified),
            self.mean_pool(h) + p,
            2 * self.mean_pool(p),  # The searched cell adds two identical poolings.
            self.current_3x3(h_rectified) + h,
        ]
        return torch.cat(parts, dim=1)


class ReductionCell(Cell):
    """A cell of stride 2 whose output has four times its filters (figure 4, right)."""

    branches = 4

    def __init__(self, current: int, previous: int | None, filters: int, *, halve: bool) -> None:
        super().__init__(current, previous, filters, halve=halve)
        self.current_5x5 = separable(filters, filters, 5, stride=2)
        self.previous_7x7_first = separable(self.previous_filters, filters, 7, stride=2)
        self.previous_7x7_second = separable(self.previous_filters, filters, 7, stride=2)
        self.previous_5x5 = separable(self.previous_filters, filters, 5, stride=2)
        self.reduced_3x3 = separable(filters, filters, 3)
        self.max_halve = nn.MaxPool2d(3, stride=2, padding=1)
        self.mean_halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Computes the next features, (N, 4 filters, H / 2, W / 2), sides rounded up."""
        h, p = self.current(current), self.previous(previous)
        p_rectified = relu(p)
        h_max = self.max_halve(h)
        inner = self.current_5x5(relu(h)) + self.previous_7x7_first(p_rectified)
        first = h_max + self.previous_7x7_second(p_rectified)
        second = self.mean_halve(h) + self.previous_5x5(p_rectified)
        third = first + self.mean_pool(inner)
        fourth = h_max + self.reduced_3x3(relu(inner))
        return torch.cat([first, second, third, fourth], dim=1)


class NASNetMobile(nn.Module):
    """Stem with two reduction cells, then three blocks of normal cells, separated by reduction cells."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, STEM_FILTERS, 3, stride=2, bias=False), norm(STEM_FILTERS))
        self.cells = nn.ModuleList(build_cells())
        self.relu = nn.ReLU()
        self.classifier = nn.Linear(PENULTIMATE_FILTERS, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Computes logits (N, num_classes) of normalized images (N, 3, H, W)."""
        current = previous = self.stem(images)
        for cell in self.cells:
            current, previous = cell(current, previous), current
        logits: Tensor = self.classifier(self.relu(current).mean(dim=(2, 3)))
        return logits


def build_cells() -> list[Cell]:
    """Builds all cells in order. Each cell reads the outputs of the two previous ones."""
    filters = PENULTIMATE_FILTERS // 24  # The last block has six branches, and its filters are doubled twice.
    plan: list[tuple[type[Cell], int]] = [(ReductionCell, filters // 4), (ReductionCell, filters // 2)]
    plan += [(NormalCell, filters)] * REPEATS
    for block in (2 * filters, 4 * filters):
        plan += [(ReductionCell, block)] + [(NormalCell, block)] * REPEATS
    built: list[Cell] = []
    current, previous, halve = STEM_FILTERS, None, False
    for kind, branch in plan:
        built.append(kind(current, previous, branch, halve=halve))
        current, previous, halve = kind.branches * branch, current, kind is ReductionCell
    return built


def build(num_classes: int) -> Network:
    """Builds the network with random weights and the normalization of Keras: [0, 1] to [-1, 1]."""
    return Network(NASNetMobile(num_classes), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


NASNET_MOBILE = Architecture(
    name="nasnet_mobile",
    build=build,
    pretrained=None,
    target_layer="body.relu",
    input_size=224,
    learning_rate=3e-3,
    quick_epochs=5,
    source="Zoph et al., 2018, arXiv 1707.07012",
)
