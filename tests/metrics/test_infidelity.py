import math
from dataclasses import replace

import captum.metrics
import numpy as np
import pytest
import torch

from metrics.infidelity import compute_square_losses, infidelity
from metrics.regions import patch_labels
from tests.metrics.gray import HEIGHT, WIDTH, gray_context
from tests.metrics.maps import build_context, noisy, seeded


def captum_infidelity(context, side, *, normalize):
    """Captum's infidelity of each image, its perturbation each square of the grid in turn."""
    labels = patch_labels(HEIGHT, WIDTH, side)
    number = int(labels.max()) + 1
    actual = []
    for i in range(len(context.images)):

        def perturb(images):
            hidden = labels == torch.arange(number)[:, None, None]
            lost = torch.where(hidden[:, None], images - images.min(), 0.0)
            return lost, images - lost

        value = captum.metrics.infidelity(
            context.model,
            perturb,
            context.images[i][None].double(),
            context.saliency[i][None, None],
            target=int(context.classes[i]),
            n_perturb_samples=number,
            normalize=normalize,
        )
        actual.append(value.item())
    return np.array(actual)


def test_equals_captum():
    """Captum's optimal scaling may be negative, ours may not; a map and its negative settle which sign fits."""
    context = gray_context()
    grid = compute_square_losses(context, 2)  # ten squares along the shorter side of 16
    unscaled = ((grid.predicted - grid.actual) ** 2).mean(1)
    np.testing.assert_allclose(unscaled, captum_infidelity(context, 2, normalize=False), rtol=1e-5)
    fits = (grid.predicted * grid.actual).sum(1) > 0
    scaled = captum_infidelity(context, 2, normalize=True) / (grid.actual**2).mean(1).numpy()
    np.testing.assert_allclose(infidelity(context)[fits], scaled[fits], rtol=1e-5)
    assert infidelity(context)[~fits].tolist() == [1.0] * int((~fits).sum())
    context.saliency.neg_()
    np.testing.assert_allclose(infidelity(context)[~fits], scaled[~fits.numpy()], rtol=1e-5)
    assert 0 < fits.sum() < len(fits)


def test_the_scale_does_not_count_and_the_exact_map_has_none():
    inputs = seeded(3)
    inputs = inputs.replace(images=inputs.images[:, :1].expand(-1, 3, -1, -1).clone())
    context = build_context(inputs)
    before = infidelity(context)
    context.saliency.mul_(1e-6)
    torch.testing.assert_close(infidelity(context), before)
    # The classifier's logits are means of a channel times a ramp: in gray images that ramp is the exact map.
    rows, columns = torch.linspace(-1, 1, 12, dtype=torch.float64), torch.linspace(-1, 1, 15, dtype=torch.float64)
    exact = torch.stack([rows[:, None].expand(12, 15), columns.expand(12, 15), rows[:, None] * columns])
    context.saliency.copy_(exact[context.classes])
    assert infidelity(context).tolist() == pytest.approx([0] * 3, abs=1e-9)


def test_a_zero_map_foretells_nothing_and_a_model_that_never_changes_is_undefined():
    inputs = seeded(2)
    inputs.saliency[0] = 0
    inputs.images[1] = 0.3
    assert infidelity(build_context(inputs)).nan_to_num(-1).tolist() == [1.0, -1.0]


def test_what_rounding_takes_is_no_loss():
    """Of a black image no square can be hidden; what is left is the rounding of a batch of another size."""
    inputs = seeded(2)
    inputs.images[1] = 0.0
    context = replace(build_context(inputs), images=inputs.images.float(), model=noisy)
    actual = infidelity(context).tolist()
    assert 0 <= actual[0] <= 1
    assert math.isnan(actual[1])
