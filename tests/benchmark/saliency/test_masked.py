"""RISE and occlusion equal slow loops."""

import pytest
import torch
from torch import nn

from benchmark.saliency import occlusion as occlusion_module
from benchmark.saliency import rise as module
from benchmark.saliency.masked import MAX_BATCH_SIZE
from benchmark.saliency.occlusion import GRAY, occlusion
from benchmark.saliency.rise import GRID, NUM_MASKS, SHOW_PROBABILITY, rise
from tests.benchmark.saliency.networks import Small, images

CLASSES = torch.tensor([2, 1])


def probability(model, image, label):
    with torch.no_grad():
        return model(image[None]).double().softmax(dim=1)[0, label]


def test_rise_is_the_covariance_of_mask_and_probability(monkeypatch):
    number = MAX_BATCH_SIZE + 6
    monkeypatch.setattr(module, "NUM_MASKS", number)
    model, inputs = Small(), images()
    masks = torch.cat(list(module._masks((64, 64), torch.device("cpu")))).double()
    assert len(masks) == number
    expected = []
    for image, label in zip(inputs, CLASSES, strict=True):
        results = torch.stack([probability(model, image * mask.float(), label) for mask in masks])
        # The paper's map, and that of a network that always says the mean.
        paper, pedestal = (torch.einsum("m,mhw->hw", p, masks) for p in (results, results.mean().expand(number)))
        expected.append(((paper - pedestal) / (number * SHOW_PROBABILITY)).clamp(min=0))
    expected = torch.stack(expected)
    ours = rise(model, "", inputs, CLASSES).double()
    torch.testing.assert_close(ours, expected, atol=1e-5 * expected.max().item(), rtol=0)


@pytest.mark.parametrize("size", [(96, 96), (50, 71), (8, 20)])
def test_masks_are_smooth_grids_moved_at_random(size):
    masks = torch.cat(list(module._masks(size, torch.device("cpu"))))
    assert masks.shape == (NUM_MASKS, *size)
    assert masks.min() == 0
    assert masks.max() == 1
    assert abs(masks.mean() - SHOW_PROBABILITY) < 0.02
    # Every pixel is shown as often as any other, border or not.
    assert (masks.mean(dim=0) - SHOW_PROBABILITY).abs().max() < 5 * (
        SHOW_PROBABILITY * (1 - SHOW_PROBABILITY) / NUM_MASKS
    ) ** 0.5
    for dim, side in enumerate(size, start=1):
        # A cell of a grid fades into the next one over the width of a cell.
        steps = masks.diff(dim=dim).abs()
        assert steps.max() <= 1 / -(-side // GRID) * (GRID + 1) / GRID + 1e-6
    assert len({mask.numpy().tobytes() for mask in masks}) == NUM_MASKS


def test_a_larger_set_begins_with_the_smaller_one(monkeypatch):
    """Chunks are filled one after the other, so that a number that is no multiple of them is no trouble either."""
    device = torch.device("cpu")
    first = next(module._masks((32, 32), device))
    monkeypatch.setattr(module, "NUM_MASKS", MAX_BATCH_SIZE + 3)
    again = list(module._masks((32, 32), device))
    assert [len(part) for part in again] == [MAX_BATCH_SIZE, 3]
    assert torch.equal(again[0], first)


class Sum(nn.Module):
    """The probability of the second class follows the brightness of the left half."""

    def forward(self, x):
        left = x[..., :32].mean(dim=(1, 2, 3)) * 8 - 6
        return torch.stack([-left, left], dim=1)


def test_occlusion_is_the_mean_fall_over_the_windows_that_cover_a_pixel(monkeypatch):
    monkeypatch.setattr(occlusion_module, "WINDOWS_PER_SIDE", 4)
    model, inputs, classes = Sum().eval(), images(2, 64, 64), torch.tensor([1, 0])
    expected = torch.zeros(2, 64, 64, dtype=torch.float64)
    side = 64 // 4
    for index, (image, label) in enumerate(zip(inputs, classes, strict=True)):
        falls, covers = torch.zeros(64, 64, dtype=torch.float64), torch.zeros(64, 64)
        for top in range(0, 64 - side + 1, side // 2):
            for left in range(0, 64 - side + 1, side // 2):
                covered = image.clone()
                window = (slice(top, top + side), slice(left, left + side))
                covered[:, window[0], window[1]] = GRAY
                falls[window] += probability(model, image, label) - probability(model, covered, label)
                covers[window] += 1
        expected[index] = (falls / covers).clamp(min=0)
    ours = occlusion(model, "", inputs, classes).double()
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-4)
    assert expected.max() > 0.01
    assert ours[0, :, 40:].sum() == 0
    # Bright pixels speak against the first class: covering them does it no harm.
    assert ours[1].sum() == 0


@pytest.mark.parametrize(("height", "width"), [(100, 97), (23, 31)])
def test_occlusion_is_as_strong_at_each_rim_whatever_the_side(height, width):
    """A network that sees brightness alone loses as much by a window at any rim. A cut window would cover less."""

    class Brightness(nn.Module):
        def forward(self, x):
            light = x.mean(dim=(1, 2, 3)) * 8 - 7
            return torch.stack([-light, light], dim=1)

    maps = occlusion(Brightness().eval(), "", torch.ones(1, 3, height, width), torch.tensor([1]))[0]
    middle = slice(height // 3, -(height // 3)), slice(width // 3, -(width // 3))
    left, right = maps[middle[0], 0].mean(), maps[middle[0], -1].mean()
    top, bottom = maps[0, middle[1]].mean(), maps[-1, middle[1]].mean()
    assert left > 0
    torch.testing.assert_close(right, left, rtol=0.02, atol=0)
    torch.testing.assert_close(bottom, top, rtol=0.02, atol=0)
