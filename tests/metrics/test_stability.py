from dataclasses import replace

import pytest
import torch

from metrics.stability import NUM_SAMPLES, RADIUS, changes, local_lipschitz, max_sensitivity, neighbors
from tests.metrics import quantus_oracle
from tests.metrics.maps import build_context, seeded

BOTH = [max_sensitivity, local_lipschitz]
RIM = [RADIUS] * NUM_SAMPLES
NEAR_AND_FAR = [RADIUS * (draw + 1) / NUM_SAMPLES for draw in range(NUM_SAMPLES)]


def curved(_model, images, classes):
    """Maps that change with the image in a smooth way, differently for each class."""
    red, green, blue = images.double().unbind(1)
    return (red * green - 0.3 * blue**2) * (classes[:, None, None] + 1) + 0.1


def drawn_by(method, inputs):
    """Returns a context whose maps are those of the method."""
    return replace(build_context(inputs), saliency=method(None, inputs.images, inputs.classes), explain_fn=method)


@pytest.fixture
def curious():
    return drawn_by(curved, seeded(4))


def drawn_images(context, radii):
    """Every draw of every image, (draws, N, 3, H, W)."""
    images = range(len(context.images))
    return torch.stack([neighbors(context, images, [draw] * len(images), radii) for draw in range(len(radii))])


def test_max_sensitivity_equals_quantus_on_the_same_draws(curious):
    expected = quantus_oracle.max_sensitivity(curious, drawn_images(curious, RIM))
    assert max_sensitivity(curious).tolist() == pytest.approx(expected, rel=1e-5)


def test_local_lipschitz_equals_quantus_on_the_same_draws(curious):
    expected = quantus_oracle.local_lipschitz(curious, drawn_images(curious, NEAR_AND_FAR))
    assert local_lipschitz(curious).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_noise_is_uniform_in_the_ball_and_clipped_to_the_image(curious):
    moved = drawn_images(curious, RIM) - curious.images
    inner = (curious.images > RADIUS) & (curious.images < 1 - RADIUS)
    assert moved.abs().max() <= RADIUS
    fraction = (moved[:, inner].flatten() / RADIUS + 1) / 2
    assert fraction.histc(10, 0, 1).div(len(fraction)).tolist() == pytest.approx([0.1] * 10, abs=0.005)
    black = replace(curious, images=torch.zeros_like(curious.images))
    assert drawn_images(black, RIM).min() == 0
    assert (drawn_images(black, RIM) > 0).double().mean() == pytest.approx(0.5, abs=0.01)


def test_every_draw_and_every_image_has_noise_of_its_own(curious):
    moved = (drawn_images(curious, RIM) - curious.images).flatten(2).flatten(0, 1)
    assert (torch.corrcoef(moved) - torch.eye(len(moved))).abs().max() < 0.3


def test_the_noise_follows_the_seed_of_the_image_alone(curious):
    turned = replace(curious, images=curious.images.flip(0), seeds=curious.seeds.flip(0))
    torch.testing.assert_close(drawn_images(turned, RIM), drawn_images(curious, RIM).flip(1))


@pytest.mark.parametrize("metric", BOTH)
def test_maps_that_ignore_the_image_do_not_move(metric):
    inputs = seeded(3)
    constant = drawn_by(lambda _model, images, _classes: inputs.saliency[:1].expand(len(images), -1, -1), inputs)
    assert metric(constant).tolist() == [0, 0, 0]


def test_half_precision_costs_less_than_documented():
    inputs = seeded(3)
    maps = inputs.saliency[:1] / 3
    stored = drawn_by(lambda _model, images, _classes: maps.expand(len(images), -1, -1), inputs)
    stored = replace(stored, saliency=stored.saliency.half())
    assert 0 < max_sensitivity(stored).max() < 0.0005


@pytest.mark.parametrize("metric", BOTH)
@pytest.mark.parametrize("scale", [1e-200, 1e-6, 1e200])
def test_the_scale_of_a_map_does_not_count(metric, scale, curious):
    scaled = replace(curious, saliency=curious.saliency * scale)
    torch.testing.assert_close(metric(scaled), metric(curious))
    redrawn = replace(curious, explain_fn=lambda *inputs: curved(*inputs) * scale)
    torch.testing.assert_close(metric(redrawn), metric(curious))


@pytest.mark.parametrize("metric", BOTH)
def test_maps_that_jump_are_less_stable_than_smooth_ones(metric):
    inputs = seeded(4)

    def jumping(_model, images, _classes):
        return (images[:, 0] * 40).sin() + 1

    assert (metric(drawn_by(jumping, inputs)) > 5 * metric(drawn_by(curved, inputs))).all()


def test_near_neighbors_show_a_jump(curious):
    """A map that another replaces as soon as anything changes: the distance decides."""

    def swapped(_model, images, _classes):
        return torch.eye(12, 15, dtype=torch.float64).expand(len(images), -1, -1)

    change, moved = changes(replace(curious, explain_fn=swapped), NEAR_AND_FAR)
    assert change.std(dim=1).max() < 1e-12
    assert (moved[:, -1] / moved[:, 0]).tolist() == pytest.approx([10] * 4, rel=0.1)
    actual = local_lipschitz(replace(curious, explain_fn=swapped))
    torch.testing.assert_close(actual, change[:, 0] / moved.amin(dim=1))


@pytest.mark.parametrize("metric", BOTH)
def test_a_zero_map_is_undefined_and_one_that_vanishes_has_changed_by_its_whole(metric, curious):
    curious.saliency[0] = 0
    assert metric(curious).isnan().tolist() == [True, False, False, False]
    gone = replace(curious, explain_fn=lambda _model, images, _classes: torch.zeros(len(images), 12, 15))
    assert max_sensitivity(gone)[1:].tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("metric", BOTH)
def test_a_redrawn_map_that_is_not_finite_makes_the_score_undefined(metric, curious):
    broken = replace(curious, explain_fn=lambda _model, images, _classes: torch.full((len(images), 12, 15), torch.nan))
    assert metric(broken).isnan().all()
