"""NASNetMobile is NASNet-A (4 @ 1056), as the paper draws it and Keras counts it."""

import pytest
import torch
from torch import nn

from architectures.nasnet_mobile import (
    NASNET_MOBILE,
    Halve,
    NASNetMobile,
    NormalCell,
    ReductionCell,
    build,
)
from architectures.network import parameter_count


def shapes(side, kind):
    """Output shapes of all modules of a kind, in the order in which they run."""
    with torch.device("meta"):
        body = NASNetMobile(6)
    seen = []
    for module in body.modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[1:])))
    body(torch.empty(1, 3, side, side, device="meta"))
    return seen


def test_parameters_equal_those_of_keras_exactly():
    with torch.device("meta"):
        assert parameter_count(build(1000)) - 5_326_716 == 0


def test_cells_and_their_channels():
    with torch.device("meta"):
        kinds = [type(cell) for cell in NASNetMobile(2).cells]
    block = [NormalCell] * 4
    assert kinds == [ReductionCell] * 2 + block + [ReductionCell] + block + [ReductionCell] + block
    widths = [channels for channels, _, _ in shapes(224, (NormalCell, ReductionCell))]
    assert widths == [44, 88, *[264] * 4, 352, *[528] * 4, 704, *[1056] * 4]


@pytest.mark.parametrize(("side", "grids"), [(224, (56, 28, 14, 7)), (96, (24, 12, 6, 3)), (331, (83, 42, 21, 11))])
def test_feature_grids(side, grids):
    first, second, third, last = grids
    heights = [height for _, height, _ in shapes(side, (NormalCell, ReductionCell))]
    assert heights == [first, *[second] * 5, *[third] * 5, *[last] * 5]


def test_every_change_of_side_is_followed_by_one_factorised_reduction():
    assert [channels for channels, _, _ in shapes(96, Halve)] == [22, 44, 88, 176]


@pytest.mark.parametrize("side", [4, 5])
def test_halving_sees_even_pixels_in_one_half_and_odd_ones_in_the_other(side):
    halve = Halve(1, 2).eval()
    nn.init.ones_(halve.even.weight)
    nn.init.ones_(halve.odd.weight)
    features = torch.arange(1.0, side * side + 1).view(1, 1, side, side)
    even, odd = halve(features)[0] * (1 + halve.norm.eps) ** 0.5
    torch.testing.assert_close(even, features[0, 0, ::2, ::2])
    inside = features[0, 0, 1::2, 1::2]
    torch.testing.assert_close(odd[: side // 2, : side // 2], inside)
    assert not odd[side // 2 :].any()


def test_normal_cell_stacks_the_branches_of_the_paper():
    """Without the separable convolutions only poolings and identities are left, which can be worked out by hand."""
    cell = NormalCell(4, 4, 2, halve=False).eval()
    for name, branch in cell.named_children():
        if name.startswith(("current_", "previous_")):
            nn.init.zeros_(branch[-1].weight)
    current, previous = torch.rand(2, 1, 4, 6, 6).unbind()
    h, p = cell.current(current), cell.previous(previous)
    blurred_h, blurred_p = (nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) for x in (h, p))
    zero = torch.zeros_like(h)
    expected = torch.cat([p, zero, zero, blurred_h + p, blurred_p + blurred_p, h], dim=1)
    torch.testing.assert_close(cell(current, previous), expected)


def test_reduction_cell_stacks_the_branches_of_the_paper():
    cell = ReductionCell(4, 4, 2, halve=False).eval()
    for name, branch in cell.named_children():
        if name.startswith(("current_", "previous_", "reduced_")):
            nn.init.zeros_(branch[-1].weight)
    current, previous = torch.rand(2, 1, 4, 6, 6).unbind()
    h = cell.current(current)
    largest = nn.functional.max_pool2d(h, 3, 2, 1)
    mean = nn.functional.avg_pool2d(h, 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(cell(current, previous), torch.cat([largest, mean, largest, largest], dim=1))


def test_nobody_publishes_weights():
    assert NASNET_MOBILE.pretrained is None


def test_a_few_steps_from_random_weights_learn_colors():
    torch.manual_seed(0)
    network = build(3)
    labels = torch.arange(12) % 3
    images = 0.5 * torch.rand(12, 3, 96, 96)
    images[torch.arange(12), labels, 32:64, 32:64] += 0.5
    optimizer = torch.optim.AdamW(network.parameters(), NASNET_MOBILE.learning_rate)
    losses = []
    for _ in range(6):
        loss = nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.7
    assert losses[-1] < 0.3
