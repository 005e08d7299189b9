import math
from dataclasses import replace

import captum.metrics
import numpy as np
import pytest
import torch

from metrics.infidelity import compute_square_losses, infidelity
from metrics.regions import patch_labels
from tests.metrics.gray import HEIGHT, WIDTH, gray_probe
from tests.metrics.maps import context, noisy, seeded


def of_captum(asked, side, *, normalize):
    """Captum's infidelity of each image, its perturbation each square of the grid in turn."""
    labels = patch_labels(HEIGHT, WIDTH, side)
    number = int(labels.max()) + 1
    found = []
    for i in range(len(asked.images)):

        def perturb(images):
            hidden = labels == torch.arange(number)[:, None, None]
            lost = torch.where(hidden[:, None], images - images.min(), 0.0)
            return lost, images - lost

        value = captum.metrics.infidelity(
            asked.model,
            perturb,
            asked.images[i][None].double(),
            asked.saliency[i][None, None],
            target=int(asked.classes[i]),
            n_perturb_samples=number,
            normalize=normalize,
        )
        found.append(value.item())
    return np.array(found)


def test_equals_captum():
    """Captum's optimal scaling may be negative, ours may not; a map and its negative settle which sign fits."""
    asked = gray_probe()
    grid = compute_square_losses(asked, 2)  # ten squares along the shorter side of 16
    unscaled = ((grid.predicted - grid.actual) ** 2).mean(1)
    np.testing.assert_allclose(unscaled, of_captum(asked, 2, normalize=False), rtol=1e-5)
    fits = (grid.predicted * grid.actual).sum(1) > 0
    scaled = of_captum(asked, 2, normalize=True) / (grid.actual**2).mean(1).numpy()
    np.testing.assert_allclose(infidelity(asked)[fits], scaled[fits], rtol=1e-5)
    assert infidelity(asked)[~fits].tolist() == [1.0] * int((~fits).sum())
    asked.saliency.neg_()
    np.testing.assert_allclose(infidelity(asked)[~fits], scaled[~fits.numpy()], rtol=1e-5)
    assert 0 < fits.sum() < len(fits)


def test_the_scale_does_not_count_and_the_exact_map_has_none():
    inputs = seeded(3)
    inputs = inputs.replace(images=inputs.images[:, :1].expand(-1, 3, -1, -1).clone())
    asked = context(inputs)
    before = infidelity(asked)
    asked.saliency.mul_(1e-6)
    torch.testing.assert_close(infidelity(asked), before)
    # The classifier's logits are means of a channel times a ramp: in gray images that ramp is the exact map.
    rows, columns = torch.linspace(-1, 1, 12, dtype=torch.float64), torch.linspace(-1, 1, 15, dtype=torch.float64)
    exact = torch.stack([rows[:, None].expand(12, 15), columns.expand(12, 15), rows[:, None] * columns])
    asked.saliency.copy_(exact[asked.classes])
    assert infidelity(asked).tolist() == pytest.approx([0] * 3, abs=1e-9)


def test_a_zero_map_foretells_nothing_and_a_model_that_never_changes_is_undefined():
    inputs = seeded(2)
    inputs.saliency[0] = 0
    inputs.images[1] = 0.3
    assert infidelity(context(inputs)).nan_to_num(-1).tolist() == [1.0, -1.0]


def test_what_rounding_takes_is_no_loss():
    """Of a black image no square can be hidden; what is left is the rounding of a batch of another size."""
    inputs = seeded(2)
    inputs.images[1] = 0.0
    asked = replace(context(inputs), images=inputs.images.float(), model=noisy)
    found = infidelity(asked).tolist()
    assert 0 <= found[0] <= 1
    assert math.isnan(found[1])
