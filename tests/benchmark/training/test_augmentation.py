"""The rotation and zoom of the training is torchvision's."""

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmark.training.augmentation import RotationAndZoom

SETTINGS = {"degrees": 20, "scale": (0.8, 1.25), "interpolation": v2.InterpolationMode.BILINEAR}


def transformed(transform, *inputs):
    torch.manual_seed(3)
    return transform(*inputs)


@pytest.mark.parametrize("shape", [(4, 3, 16, 16), (2, 3, 33, 40)])
def test_rotation_and_zoom_are_torchvisions_to_the_bit(shape):
    """The layout in memory too: the kernels that follow depend on it."""
    images = torch.rand(shape).contiguous(memory_format=torch.channels_last)
    masks = torch.rand(shape[0], *shape[2:])
    masks[0] = torch.nan
    theirs, ours = v2.RandomAffine(**SETTINGS), RotationAndZoom(**SETTINGS)
    plain, expected = transformed(ours, images), transformed(theirs, images)
    assert torch.equal(plain, expected)
    assert plain.stride() == expected.stride()
    pairs = tv_tensors.Image(images), tv_tensors.Mask(masks)
    for mine, other in zip(transformed(ours, *pairs), transformed(theirs, *pairs), strict=True):
        assert type(mine) is type(other)
        assert torch.equal(mine.nan_to_num(nan=7.0), other.nan_to_num(nan=7.0))
        assert mine.stride() == other.stride()
