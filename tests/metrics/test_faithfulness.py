from dataclasses import replace

import numpy as np
import pytest
import torch

from metrics.faithfulness import Curves, blurred, deletion, insertion, insertion_deletion
from tests.metrics.maps import Inputs, build_context, model, seeded

BLACK = torch.zeros((), dtype=torch.float64)


def compute_curves(inputs, *, classifier=model, steps=7, fill=BLACK, batch_size=64):
    context = replace(build_context(inputs, batch_size), model=classifier, steps=steps, fills={"test": fill})
    return context.curves("test")


def literal(inputs, i, steps, fill):
    """Both curves of one image, a pixel at a time, in numpy's order."""
    image, base = inputs.images[i].numpy(), np.broadcast_to(fill.numpy(), inputs.images.shape)[i]
    height, width = image.shape[1:]
    # lexsort's last key is the first to count; a smaller random number goes first among equals
    order = np.lexsort([inputs.ties[i].numpy().ravel(), -inputs.saliency[i].numpy().ravel()])
    down, up, fractions = [], [], []
    for k in range(steps + 1):
        deleted, inserted, count = image.copy(), base.copy(), 0
        for rank, index in enumerate(order):
            if rank * steps // (height * width) < k:
                row, column = divmod(index, width)
                deleted[:, row, column] = base[:, row, column]
                inserted[:, row, column] = image[:, row, column]
                count += 1
        for curve, picture in ((down, deleted), (up, inserted)):
            curve.append(model(torch.tensor(picture)[None]).softmax(1)[0, inputs.classes[i]].item())
        fractions.append(count / (height * width))
    return down, up, fractions


@pytest.mark.parametrize("steps", [1, 2, 7, 42])
def test_equals_the_literal_loop(steps):
    inputs = seeded(5, 6, 7)
    fill = torch.rand(5, 3, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    curves = compute_curves(inputs, steps=steps, fill=fill)
    for i in range(5):
        down, up, fractions = literal(inputs, i, steps, fill)
        assert curves.deletion[i].tolist() == pytest.approx(down, abs=1e-12)
        assert curves.insertion[i].tolist() == pytest.approx(up, abs=1e-12)
        assert curves.fractions.tolist() == pytest.approx(fractions, abs=1e-12)


def test_two_by_two_by_hand():
    """A classifier that sums pixels: p = sigmoid(sum), so each step is known on paper."""

    def summing(images):
        return torch.stack([images.sum((1, 2, 3)), torch.zeros(len(images))], 1)

    image = torch.tensor([[4.0, 1.0], [2.0, 3.0]]).expand(1, 3, 2, 2) / 3  # channels sum to 4, 1, 2, 3
    inputs = Inputs(
        saliency=torch.tensor([[[0.9, 0.1], [0.5, 0.7]]]),  # order: 4, 3, 2, 1
        reference=None,
        mask=None,
        images=image,
        classes=torch.tensor([0]),
        ties=torch.zeros(1, 2, 2),
    )
    curves = compute_curves(inputs, classifier=summing, steps=4, fill=torch.zeros(3, 1, 1), batch_size=3)
    up = torch.tensor([0.0, 4.0, 7.0, 9.0, 10.0]).sigmoid()
    down = torch.tensor([10.0, 6.0, 3.0, 1.0, 0.0]).sigmoid()
    torch.testing.assert_close(curves.insertion[0].float(), up)
    torch.testing.assert_close(curves.deletion[0].float(), down)
    area_up = (up[0] / 2 + up[1:4].sum() + up[4] / 2).item() / 4
    area_down = (down[0] / 2 + down[1:4].sum() + down[4] / 2).item() / 4
    assert insertion(curves).item() == pytest.approx(area_up, abs=1e-6)
    assert deletion(curves).item() == pytest.approx(area_down, abs=1e-6)
    assert insertion_deletion(curves).item() == pytest.approx(area_up - area_down, abs=1e-6)


def test_unequal_steps_are_weighted_by_their_true_size():
    inputs = seeded(1, 1, 5)
    assert compute_curves(inputs, steps=2).fractions.tolist() == pytest.approx([0, 3 / 5, 1])
    curves = Curves(
        deletion=torch.tensor([[1.0, 0.0, 0.0]]),
        insertion=torch.tensor([[0.0, 1.0, 1.0]]),
        fractions=torch.tensor([0.0, 0.6, 1.0]),
    )
    assert deletion(curves).item() == pytest.approx(0.3)
    assert insertion(curves).item() == pytest.approx(0.7)


def test_end_points_are_image_and_baseline_and_are_computed_once():
    inputs, seen = seeded(3), []

    def counting(images):
        seen.append(len(images))
        return model(images)

    curves = compute_curves(inputs, classifier=counting, steps=7, batch_size=10)
    assert sum(seen) == 3 * (2 * (7 - 1) + 2)
    assert max(seen) <= 10
    assert torch.equal(curves.insertion[:, 0], curves.deletion[:, -1])
    assert torch.equal(curves.insertion[:, -1], curves.deletion[:, 0])
    whole = model(inputs.images).softmax(1).gather(1, inputs.classes[:, None])[:, 0]
    torch.testing.assert_close(curves.deletion[:, 0], whole)


@pytest.mark.parametrize("batch_size", [1, 5, 14, 1000])
def test_the_chunk_does_not_count(batch_size):
    inputs = seeded(6)
    expected, actual = compute_curves(inputs), compute_curves(inputs, batch_size=batch_size)
    torch.testing.assert_close(actual.deletion, expected.deletion, rtol=0, atol=1e-12)
    torch.testing.assert_close(actual.insertion, expected.insertion, rtol=0, atol=1e-12)


def test_companions_do_not_count_for_a_convolutional_network_in_single_precision():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 3),
    ).eval()
    inputs = seeded(6)
    inputs = inputs.replace(images=inputs.images.float())
    together = compute_curves(inputs, classifier=network, fill=torch.zeros(()), batch_size=64)
    for i in range(6):
        alone = compute_curves(inputs.take([i]), classifier=network, fill=torch.zeros(()), batch_size=3)
        torch.testing.assert_close(alone.insertion[0], together.insertion[i], rtol=0, atol=1e-6)


def test_ties_are_broken_by_the_given_numbers_and_not_by_the_raster():
    inputs = seeded(1, 4, 4).replace(saliency=torch.zeros(1, 4, 4))
    shown = []

    def watching(images):
        shown.append(images.clone())
        return model(images)

    compute_curves(inputs.replace(images=torch.ones(1, 3, 4, 4, dtype=torch.float64)), classifier=watching, steps=4)
    after_one_step = shown[1][0, 0]  # the first query is the original image
    deletion_steps = inputs.ties[0] <= inputs.ties[0].flatten().sort().values[3]
    assert torch.equal(after_one_step == 0, deletion_steps)


def test_a_constant_map_scores_near_zero_on_average_and_a_good_map_above():
    inputs = seeded(64)
    constant = inputs.replace(saliency=torch.ones_like(inputs.saliency))
    assert insertion_deletion(compute_curves(constant)).mean().abs() < 0.02
    height, width = inputs.saliency.shape[1:]
    red = inputs.replace(
        classes=torch.zeros(64, dtype=torch.int64),
        saliency=inputs.images[:, 0] * torch.linspace(-1, 1, height)[:, None].expand(height, width),
    )
    assert (insertion_deletion(compute_curves(red)) > 0.1).all()  # the model's own evidence for class 0


def test_a_map_that_is_not_finite_has_no_curve_and_its_neighbor_has():
    inputs = seeded(2)
    inputs.saliency[0, 2, 2] = torch.nan
    curves = compute_curves(inputs)
    assert curves.deletion.isnan().all(1).tolist() == [True, False]
    assert insertion_deletion(curves).isnan().tolist() == [True, False]


def test_no_graph_is_kept():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 12 * 15, 3)).double()
    inputs = seeded(2)
    curves = compute_curves(inputs, classifier=network)
    assert not curves.deletion.requires_grad
    assert not insertion(curves).is_inference()  # usable like any tensor


@pytest.mark.parametrize("steps", [0, 181])
def test_steps_must_fit_the_image(steps):
    with pytest.raises(ValueError, match=f"steps is {steps}.*180"):
        compute_curves(seeded(1), steps=steps)


def test_shapes_must_agree():
    inputs = seeded(2)
    with pytest.raises(ValueError, match="must agree"):
        compute_curves(inputs.replace(saliency=inputs.saliency[:, :6]))


def test_blurred_keeps_color_and_loses_detail():
    image = torch.zeros(1, 3, 80, 100)
    image[:, 0] = 0.8
    image[:, 1, ::2] = 1.0  # stripes
    soft = blurred(image)
    assert soft.dtype == image.dtype
    torch.testing.assert_close(soft[:, 0], image[:, 0])
    assert soft[0, 1, 20:60].std() < 0.01
    assert image[0, 1].std() > 0.4
