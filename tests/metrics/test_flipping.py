from dataclasses import replace

import numpy as np
import pytest
import torch

from metrics.flipping import mean_height, pixel_flipping
from tests.metrics.gray import gray_context, run_quantus
from tests.metrics.maps import build_context, seeded


@pytest.mark.parametrize("steps", [8, 40])
def test_equals_quantus(steps):
    """Its area has steps of length 1; on one channel it flips what we flip."""
    context = gray_context(steps=steps)
    settings = {"features_in_step": 320 // steps, "return_auc_per_sample": True}
    areas = run_quantus("PixelFlipping", context, softmax=True, **settings)
    np.testing.assert_allclose(pixel_flipping(context).numpy() * (steps - 1), areas, rtol=1e-5)


def test_a_pixel_is_all_its_channels():
    """Named fault of Quantus 0.6.0: of a color image it flips single channels, three times as many steps."""
    shown = []

    def watching(images):
        shown.append(images)
        return torch.zeros(len(images), 3)

    context = replace(build_context(seeded(1).replace(images=torch.ones(1, 3, 12, 15))), model=watching, steps=180)
    dark = {"minimum": torch.tensor(0.0)}
    pixel_flipping(replace(context, fills=dark))
    black = torch.cat(shown) == 0
    assert torch.equal(black.all(1), black.any(1))
    assert sorted(black.all(1).sum((1, 2)).tolist()) == list(range(1, 181))


def test_it_is_the_deletion_curve_without_its_first_point():
    context = build_context(seeded(3))
    np.testing.assert_allclose(
        pixel_flipping(context), np.trapezoid(context.curves("minimum").deletion[:, 1:], axis=1) / 6
    )


def test_a_curve_of_one_point_is_that_point():
    assert mean_height(torch.tensor([[0.3]])).tolist() == pytest.approx([0.3])
