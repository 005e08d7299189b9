from dataclasses import replace

import numpy as np
import pytest
import torch

from metrics.regions import (
    part_curve,
    patch_labels,
    probability_losses,
    rank_patches,
    region_perturbation,
    selectivity,
)
from tests.metrics.gray import HEIGHT, WIDTH, gray_context, run_quantus
from tests.metrics.maps import build_context, seeded


@pytest.mark.parametrize("side", [4, 3, 7])  # 3 and 7 leave cut patches at the border
def test_region_perturbation_equals_quantus(side):
    context = gray_context()
    settings = {"patch_size": side, "regions_evaluation": 6, "perturb_baseline": 0.25}
    actual = probability_losses(gray_context(fill=0.25), rank_patches(context, side), 6)
    np.testing.assert_allclose(actual, run_quantus("RegionPerturbation", context, softmax=True, **settings), rtol=1e-5)


def test_selectivity_equals_quantus():
    """It gives the curve without its first point; where the steps are as many as the patches, so do we."""
    context = gray_context(1, steps=HEIGHT * WIDTH)  # sides below 28 have patches of one pixel
    curves = np.array(run_quantus("Selectivity", context, softmax=True, patch_size=1))
    whole = context.unperturbed().probability.numpy()
    expected = np.trapezoid(np.concatenate([whole, curves], axis=1), axis=1) / (HEIGHT * WIDTH)
    np.testing.assert_allclose(selectivity(context), expected, rtol=1e-5)


def literal_patches(saliency, ties, side):
    """Masks of the patches, the most salient first, by a slow loop."""
    height, width = saliency.shape
    top, left = ((-height) % side) // 2, ((-width) % side) // 2
    actual = []
    for row in range(-top, height, side):
        for column in range(-left, width, side):
            mask = np.zeros((height, width), dtype=bool)
            mask[max(row, 0) : row + side, max(column, 0) : column + side] = True
            actual.append((-saliency[mask].sum(), ties[mask].sum(), mask))
    return [mask for *_, mask in sorted(actual, key=lambda entry: entry[:2])]


def test_equals_the_literal_loop_on_color_images_with_ties():
    inputs = seeded(3, 60, 30)  # patches of 2
    inputs.saliency[:, :40] = 0  # many equal patches
    context = build_context(inputs)
    for i in range(3):
        image, minimum = inputs.images[i], inputs.images[i].min()
        masks = literal_patches(inputs.saliency[i].numpy(), inputs.ties[i].numpy(), 2)
        lost, gone = [], torch.zeros(60, 30, dtype=torch.bool)
        for mask in masks[: int(np.ceil(len(masks) * 100 / 784))]:
            gone |= torch.tensor(mask)
            changed = torch.where(gone, minimum, image)
            before, after = (context.model(x[None]).softmax(1)[0, inputs.classes[i]] for x in (image, changed))
            lost.append((before - after).item())
        assert region_perturbation(context)[i].item() == pytest.approx(np.mean(lost), rel=1e-9)


def test_at_224_there_are_784_patches_of_8_pixels_of_which_100_go():
    labels = patch_labels(224, 224, 8)
    assert labels.unique(return_counts=True)[1].tolist() == [64] * 784
    seen = []

    def watching(images):
        seen.append((images == 0).all(1).sum((1, 2)))
        return torch.zeros(len(images), 2)

    inputs = seeded(1, 224, 224).replace(images=torch.ones(1, 3, 224, 224), classes=torch.tensor([0]))
    dark = {"minimum": torch.tensor(0.0)}
    region_perturbation(replace(build_context(inputs), model=watching, fills=dark))
    deletion_steps = torch.cat(seen)
    assert sorted(deletion_steps.tolist()) == [64 * k for k in range(101)]


def test_more_steps_than_patches_change_nothing():
    context = gray_context(2, steps=20)
    patches = rank_patches(context, 7)  # nine
    exact = replace(context, steps=9)
    numbers = torch.tensor([patches.num_patches] * 2)
    areas = []
    for one in (context, exact):
        curve = part_curve(one, patches.ranks, numbers, "minimum")
        areas.append(torch.trapezoid(curve.probability, curve.fractions, dim=1))
    assert patches.num_patches == 9 < context.steps
    torch.testing.assert_close(*areas, rtol=0, atol=1e-12)
