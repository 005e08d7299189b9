from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch

from metrics import imputation
from metrics.imputation import impute
from metrics.road import NOISE_STD, PERCENTAGES, imputed_probability, road, road_combined
from metrics.smoothing import gaussian_blur
from tests.metrics.maps import build_context, seeded
from tests.metrics.quantus_oracle import quantus

WEIGHTS = {(a, b): (1 / 6 if 0 in {a, b} else 1 / 12) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)}


def direct(image, missing):
    """The same equations, written out pixel by pixel and given to a sparse direct solver."""
    height, width = missing.shape
    unknown = {index: number for number, index in enumerate(zip(*np.nonzero(missing), strict=True))}
    matrix, right = scipy.sparse.lil_matrix((len(unknown), len(unknown))), np.zeros((len(unknown), len(image)))
    for (row, column), number in unknown.items():
        for (down, across), weight in WEIGHTS.items():
            index = row + down, column + across
            if not (0 <= index[0] < height and 0 <= index[1] < width):
                continue
            matrix[number, number] += weight
            if index in unknown:
                matrix[number, unknown[index]] -= weight
            else:
                right[number] += weight * image[:, *index]
    filled = image.copy()
    filled[:, missing] = scipy.sparse.linalg.spsolve(matrix.tocsc(), right).reshape(right.shape).T
    return filled


def holes(fraction, height, width, *, smooth):
    saliency = torch.rand(3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    saliency = gaussian_blur(saliency, height / 10) if smooth else saliency
    least = saliency.flatten(1).quantile(1 - fraction, dim=1)
    return saliency > least[:, None, None]


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_imputation_equals_a_direct_solver(fraction, smooth):
    images, missing = seeded(3, 33, 20).images, holes(fraction, 33, 20, smooth=smooth)
    actual = impute(images, missing)
    for i in range(3):
        expected = direct(images[i].numpy(), missing[i].numpy())
        np.testing.assert_allclose(actual[i], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(impute(images.float(), missing), actual, rtol=0, atol=2e-4)  # single precision


@pytest.mark.parametrize(("fraction", "calls"), [(0.02, 3), (0.1, 3), (0.24, 3), (0.5, 0)])
def test_few_missing_pixels_are_solved_directly_to_the_same_values(fraction, calls, monkeypatch):
    images, missing = seeded(3, 33, 20).images, holes(fraction, 33, 20, smooth=True)
    with mock.patch.object(imputation, "solve_missing", wraps=imputation.solve_missing) as solver:
        actual = impute(images, missing)
    assert solver.call_count == calls
    monkeypatch.setattr(imputation, "MAX_DIRECT_FRACTION", 0)
    torch.testing.assert_close(actual, impute(images, missing), rtol=0, atol=1e-5)


def test_imputation_equals_quantus():
    image, missing = seeded(1, 40, 40).images, holes(0.5, 40, 40, smooth=True)[:1]
    indices = missing.flatten().nonzero()[:, 0].numpy()
    expected = quantus.functions.perturb_func.noisy_linear_imputation(image[0].numpy(), indices, noise=0)
    np.testing.assert_allclose(impute(image, missing)[0], expected, rtol=0, atol=1e-5)


def test_imputation_depends_on_no_other_image(monkeypatch):
    images, missing = seeded(3, 33, 20).images, holes(0.5, 33, 20, smooth=True)
    missing[0] = False
    missing[0, 3, 4] = True  # solved at once, while the others go on
    missing[1] = True
    missing[1, 0, 0] = False
    together = impute(images, missing)
    alone = torch.cat([impute(images[[i]], missing[[i]]) for i in range(3)])
    # To rounding, which products of matrices do in another order for another number of them.
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-10)
    monkeypatch.setitem(imputation.MAX_UNKNOWNS, "cpu", 1)
    torch.testing.assert_close(impute(images, missing), alone, rtol=0, atol=1e-10)
    assert torch.equal(together[0, :, 0], images[0, :, 0])
    torch.testing.assert_close(together[1], images[1, :, :1, :1].expand(3, 33, 20))


def test_nothing_missing_changes_nothing_and_everything_missing_is_refused():
    images = seeded(2).images
    missing = torch.zeros(2, 12, 15, dtype=torch.bool)
    assert torch.equal(impute(images, missing), images)
    with pytest.raises(ValueError, match="every pixel is missing"):
        impute(images, ~missing)


def test_what_missing_pixels_show_does_not_count():
    images, missing = seeded(1).images, holes(0.5, 12, 15, smooth=True)[:1]
    hidden = torch.where(missing[:, None], torch.nan, images)
    torch.testing.assert_close(impute(hidden, missing), impute(images, missing))


@pytest.mark.parametrize("least_first", [True, False])
def test_curves_equal_the_literal_loop(least_first):
    """Named faults of Quantus 0.6.0: ROAD crashes on color images, and of several batches it returns the first."""
    inputs = seeded(2)
    context = build_context(inputs)
    for i in range(2):
        keys = inputs.ties[i].flatten().numpy(), -inputs.saliency[i].flatten().numpy()
        order = np.lexsort(keys)[:: -1 if least_first else 1]
        noise = NOISE_STD * np.random.default_rng([int(context.seeds[i]), *b"road"]).standard_normal((3, 12, 15))
        for column, percentage in enumerate(PERCENTAGES):
            missing = np.zeros(180, dtype=bool)
            missing[order[: 180 * percentage // 100]] = True
            missing = missing.reshape(12, 15)
            changed = torch.tensor(direct(inputs.images[i].numpy(), missing) + noise * missing)
            expected = context.model(changed[None]).softmax(1)[0, inputs.classes[i]].item()
            assert imputed_probability(context, least_first=least_first)[i, column].item() == pytest.approx(
                expected, rel=1e-5
            )


def test_both_scores_are_means_of_curves_that_are_asked_once():
    context, calls = build_context(seeded(2)), []

    def counting(images):
        calls.append(len(images))
        return build_context(seeded(2)).model(images)

    context = replace(context, model=counting)
    low, both = road(context), road_combined(context)
    assert sum(calls) == 2 * 2 * len(PERCENTAGES)
    most, least = (imputed_probability(context, least_first=least) for least in (False, True))
    torch.testing.assert_close(low, most.mean(1))
    torch.testing.assert_close(both, (least - most).mean(1))
