"""Maps can be moved while the prediction stays; the measure counts what is left of the highest pixels."""

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis.extra import numpy as arrays
from torch import nn
from torch.nn import functional

from benchmark.attacks.ball import Ball
from benchmark.attacks.maps import MapAttack, _build_gain_fn, _explain, attack_maps, top_k_intersection
from benchmark.attacks.noise import noise
from benchmark.saliency.grad_cam import grad_cam

EPS = {"l2": 6.0, "linf": 8 / 255}
LAYER = "5"
AIMS = ["away", "top-k", "target"]


def attack(norm: str = "linf", **changes) -> MapAttack:
    settings = {"norm": norm, "eps": EPS[norm], "steps": 15, "step": 0.2, "aim": "top-k", "keep_class": True}
    return MapAttack(**(settings | changes))


def predicted(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(images).argmax(dim=1)


def moved_by(model: nn.Module, images: torch.Tensor, how: MapAttack) -> torch.Tensor:
    """With the map of the next image for a target, where one is asked for."""
    classes = predicted(model, images)
    target = grad_cam(model, LAYER, images, classes).roll(1, dims=0) if how.aim == "target" else None
    return attack_maps(model, LAYER, images, classes, how, target=target)


def unlike(maps: torch.Tensor, target: torch.Tensor) -> float:
    """Mean squared difference of maps at a mean of one."""
    return float(functional.mse_loss(*(batch / batch.mean(dim=(1, 2), keepdim=True) for batch in (maps, target))))


def literal_intersection(before: np.ndarray, after: np.ndarray, fraction: float) -> float:
    """Sorts the pixels of one pair of maps by value, then place."""
    count = max(1, round(fraction * before.size))

    def highest(values: np.ndarray) -> set[int]:
        order = sorted(range(values.size), key=lambda index: (-values.flat[index], index))
        return set(order[:count])

    return len(highest(before) & highest(after)) / count


@hypothesis.given(
    maps=arrays.arrays(np.float32, (2, 3, 4, 5), elements=hypothesis.strategies.sampled_from([0.0, 0.25, 0.5, 1.0])),
    fraction=hypothesis.strategies.sampled_from([0.01, 0.1, 0.3, 0.5, 1.0]),
)
@hypothesis.settings(max_examples=50, deadline=None)
def test_the_intersection_equals_a_literal_count(maps, fraction):
    before, after = torch.from_numpy(maps)
    expected = [literal_intersection(one, other, fraction) for one, other in zip(maps[0], maps[1], strict=True)]
    assert top_k_intersection(before, after, fraction).tolist() == pytest.approx(expected)


def test_the_intersection_by_hand():
    before = torch.zeros(3, 10, 10)
    before[:, 0, :10] = torch.arange(10.0) + 1
    after = before.clone()
    after[1] = before[1].flip(0)
    after[2, 0, :4], after[2, 9, :4] = 0, 5
    assert top_k_intersection(before, after).tolist() == pytest.approx([1, 0, 0.6])
    # Of equals the first count: a flat map has its highest pixels in the first row.
    assert top_k_intersection(before, torch.ones(3, 10, 10)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_shares_that_make_no_sense_are_refused(fraction):
    with pytest.raises(ValueError, match="is invalid"):
        top_k_intersection(torch.ones(1, 2, 2), torch.ones(1, 2, 2), fraction)
    with pytest.raises(ValueError, match="is invalid"):
        attack(fraction=fraction)


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        top_k_intersection(torch.ones(1, 2, 2), torch.ones(1, 2, 3))


@pytest.mark.parametrize("layer", ["4", LAYER], ids=["before-a-relu-in-place", "behind-it"])
def test_maps_with_their_graph_equal_grad_cam(problem, layer):
    model, images, labels = problem(4)
    maps, logits = _explain(model, layer, labels, images.clone().requires_grad_())
    # Channels speak for and against: the sum is as near as its largest values are rounded, 16 units in the last place.
    expected = grad_cam(model, layer, images, labels)
    atol = 16 * torch.finfo(torch.float32).eps * float(expected.max())
    torch.testing.assert_close(maps, expected, atol=atol, rtol=1e-5)
    torch.testing.assert_close(logits, model(images).double())


def test_one_step_follows_the_closed_form_of_a_pooled_head(problem):
    """There the map is the rectified sum of activations, weighted by the classifier's row."""
    model, images, _ = problem(3, 4)
    classes = predicted(model, images)
    inputs = images.clone().requires_grad_()
    cam = torch.einsum("nk,nkhw->nhw", model[8].weight[classes], model[:6](inputs)).relu()
    cam = functional.interpolate(cam[:, None], size=32, mode="bilinear")[:, 0]
    original = cam.detach()
    (slope,) = torch.autograd.grad(-((original * cam).sum(dim=(1, 2)) / cam.sum(dim=(1, 2))).sum(), inputs)
    how = attack("l2", eps=0.1, steps=1, step=1.0, aim="away", penalty=0.0)
    step = attack_maps(model, LAYER, images, classes, how) - images
    expected = how.radius(32) * slope / slope.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(step, expected, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("aim", ["away", "top-k"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("classes", [2, 3])
def test_most_maps_leave_their_place_and_no_prediction_changes(problem, classes, norm, aim):
    model, images, _ = problem(classes, 32)
    before = predicted(model, images)
    moved = moved_by(model, images, attack(norm, aim=aim, steps=30, step=0.1))
    maps = grad_cam(model, LAYER, images, before)
    assert torch.equal(predicted(model, moved), before)
    left = top_k_intersection(maps, grad_cam(model, LAYER, moved, before))
    assert (left < 0.5).float().mean() > 0.7
    noisy = noise(images, Ball(norm, EPS[norm]), torch.Generator().manual_seed(0))
    assert top_k_intersection(maps, grad_cam(model, LAYER, noisy, before)).mean() > 0.85


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_map_comes_nearer_to_a_target_with_budget_and_steps(problem, norm):
    model, images, _ = problem(2, 16)
    classes = predicted(model, images)
    maps = grad_cam(model, LAYER, images, classes)
    target = maps.roll(1, dims=0)

    def distance(eps: float, steps: int) -> float:
        how = attack(norm, aim="target", eps=eps * EPS[norm], steps=steps)
        moved = attack_maps(model, LAYER, images, classes, how, target=target)
        return unlike(grad_cam(model, LAYER, moved, classes), target)

    assert distance(0, 4) > distance(0.25, 4) > distance(0.5, 4) > distance(1, 4)
    assert distance(1, 0) > distance(1, 2) > distance(1, 8)
    assert distance(1, 15) < 0.5 * distance(1, 0)


@pytest.mark.parametrize("aim", ["away", "top-k"])
def test_maps_leave_their_place_further_with_budget_and_steps(problem, aim):
    model, images, _ = problem(3)
    classes = predicted(model, images)
    maps = grad_cam(model, LAYER, images, classes)

    def left(eps: float, steps: int) -> float:
        moved = moved_by(model, images, attack(aim=aim, eps=eps * EPS["linf"], steps=steps))
        return float(top_k_intersection(maps, grad_cam(model, LAYER, moved, classes)).mean())

    assert 1 == left(0, 15) > left(0.5, 15) > left(1, 15) > left(2, 15)
    assert 1 == left(1, 0) > left(1, 2) > left(1, 8)


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_stays_in_the_ball_and_in_the_range(problem, norm, channels_last, classes):
    model, images, _ = problem(classes, 12)
    images[0], images[1] = 0.0, 1.0
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    for aim in AIMS:
        how = attack(norm, aim=aim, steps=4)
        moved = moved_by(model, images, how)
        assert moved.isfinite().all()
        delta = (moved - images).flatten(1)
        assert (delta.norm(dim=1) if norm == "l2" else delta.abs().amax(dim=1)).max() <= how.radius(32) * (1 + 1e-5)
        assert moved.min() >= 0
        assert moved.max() <= 1
        assert torch.equal(predicted(model, moved), predicted(model, images))


def close_calls(problem) -> tuple[nn.Module, torch.Tensor]:
    """Two classes show in each image, so that little decides between them."""
    model, images, _ = problem(3, 48)
    return model, (images + images.roll(1, dims=0)) / 2


@pytest.mark.parametrize("aim", AIMS)
def test_the_prediction_is_kept_by_every_image_even_where_it_is_easily_lost(problem, aim):
    model, images = close_calls(problem)
    before = predicted(model, images)
    moved = moved_by(model, images, attack(aim=aim))
    assert torch.equal(predicted(model, moved), before)
    alone = torch.cat([predicted(model, moved[number : number + 1]) for number in range(len(moved))])
    assert torch.equal(alone, before)


def test_the_scale_of_the_logits_is_no_defence(problem):
    model, images, _ = problem(2, 12)
    model[8].weight.data.mul_(1e-5)
    model[8].bias.data.mul_(1e-5)
    classes = predicted(model, images)
    moved = moved_by(model, images, attack())
    maps = [grad_cam(model, LAYER, batch, classes) for batch in (images, moved)]
    assert top_k_intersection(*maps).mean() < 0.5
    assert torch.equal(predicted(model, moved), classes)


def test_a_prediction_that_may_go_goes_and_one_that_is_defended_costs_the_map_less(problem):
    model, images = close_calls(problem)
    classes = predicted(model, images)
    target = grad_cam(model, LAYER, images, classes).roll(1, dims=0)
    free = moved_by(model, images, attack(aim="target", keep_class=False))
    assert (predicted(model, free) != classes).sum() > 5

    def distance(penalty: float) -> float:
        moved = moved_by(model, images, attack(aim="target", penalty=penalty))
        return unlike(grad_cam(model, LAYER, moved, classes), target)

    assert distance(1.0) < distance(0.0)


def with_hidden_layer(middle: type[nn.Module]) -> nn.Module:
    """A head whose slope depends on the image; the saliency layer is "3"."""
    torch.manual_seed(0)
    features = [nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3), middle(), nn.AvgPool2d(3), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(256, 32), middle(), nn.Linear(32, 3))


@pytest.mark.parametrize("middle", [nn.ReLU, nn.SiLU])
def test_heads_that_are_not_linear_are_attacked_too(middle):
    model = with_hidden_layer(middle)
    images = torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    classes = predicted(model, images)
    maps = grad_cam(model, "3", images, classes)
    moved = attack_maps(model, "3", images, classes, attack())
    assert torch.equal(predicted(model, moved), classes)
    left = top_k_intersection(maps, grad_cam(model, "3", moved, classes))
    assert left.mean() < 0.6


def test_the_slope_of_a_map_runs_through_its_weights_too():
    model = with_hidden_layer(nn.SiLU)
    # Small numbers pass a SiLU almost as through a line.
    model[2].weight.data.mul_(3)
    model[6].weight.data.mul_(20)
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    classes, mask = torch.tensor([0]), torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(1))
    inputs = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad((_explain(model, "3", classes, inputs)[0] * mask).sum(), inputs)
    step = 0.005 * slope / slope.norm()
    ahead, behind = (float((grad_cam(model, "3", images + way * step, classes) * mask).sum()) for way in (1, -1))
    assert float(slope.norm()) == pytest.approx((ahead - behind) / 0.01, rel=0.015)


def test_the_best_iterate_is_kept_though_steps_are_far_too_long(problem):
    model, images, _ = problem(3, 8)
    classes = predicted(model, images)
    region = grad_cam(model, LAYER, images, classes)
    region = region >= region.flatten(1).quantile(0.9, dim=1)[:, None, None]

    def inside(steps: int) -> torch.Tensor:
        maps = grad_cam(model, LAYER, moved_by(model, images, attack(eps=0.3, step=3.0, steps=steps)), classes)
        return (maps * region).sum(dim=(1, 2)) / maps.sum(dim=(1, 2))

    every = torch.stack([inside(steps) for steps in range(8)])
    assert (every.diff(dim=0) < 1e-3).all()


def red_and_green() -> tuple[nn.Module, torch.Tensor]:
    """A network of two channels, how red a pixel is and how green, and gray images with a square of either.

    Red speaks for class 0 and green against it; the class predicted is the third, by a lead of 0.25 over the red. The
    saliency layer is "1". So the red images have a map of class 0 and the green ones, whatever the kernels, have none.
    """
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])[:, :, None, None])
        model[4].weight.copy_(torch.tensor([[64.0, -64.0], [-64.0, 0.0], [0.0, 0.0]]))
        model[0].bias.zero_()
        model[4].bias.copy_(torch.tensor([0.0, 0.0, 1.25]))
    images = torch.full((8, 3, 32, 32), 0.5)
    for number in range(8):
        # A mean of 1/64 over the image, with a slope of the map inside the square.
        images[number, number % 2, 8:16, 8:16] += torch.linspace(0.125, 0.375, 8)[:, None]
    return model.eval(), images


@pytest.mark.every_kernel
def test_an_image_without_a_map_is_left_alone_and_no_map_vanishes():
    model, images = red_and_green()
    classes = torch.zeros(8, dtype=torch.long)
    maps = grad_cam(model, "1", images, classes).sum(dim=(1, 2))
    assert (maps > 0).tolist() == [True, False] * 4
    assert predicted(model, images).tolist() == [2] * 8
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    for aim in ("away", "top-k"):
        moved = attack_maps(model, "1", images, classes, attack("l2", aim=aim, eps=100.0))
        assert torch.equal(moved[maps == 0], images[maps == 0])
        assert (grad_cam(model, "1", moved, classes).sum(dim=(1, 2)) > 0).equal(maps > 0)
        nothing = torch.zeros(1, 32, 32)
        assert _build_gain_fn(attack(aim=aim), nothing, None)(nothing) == 0
    # Less red defends the prediction. A step leaves none at all, and a map that is gone must not count as the best.
    assert not all(grad_cam(model, "1", batch[::2], classes[::2]).any() for batch in list(seen))
    assert all(batch.isfinite().all() for batch in seen)


@pytest.mark.parametrize("aim", ["away", "top-k"])
def test_an_image_is_attacked_alike_alone_and_in_company(problem, aim):
    model, images, _ = problem(3, 6)
    how = attack("l2", aim=aim, steps=6)
    together = moved_by(model, images, how)
    alone = torch.cat([moved_by(model, images[number : number + 1], how) for number in range(6)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_the_model_is_left_as_it_was(problem, untouched):
    model, images, labels = problem(3)
    with untouched(model):
        assert not attack_maps(model, LAYER, images, labels, attack(steps=2)).requires_grad


def test_no_steps_leave_the_images_as_they_are(problem):
    model, images, labels = problem(2)
    assert torch.equal(attack_maps(model, LAYER, images, labels, attack(steps=0)), images)


def test_a_target_is_given_where_it_is_aimed_at_and_nowhere_else(problem):
    model, images, labels = problem(2, 4)
    with pytest.raises(ValueError, match="needs a target, the others take none"):
        attack_maps(model, LAYER, images, labels, attack(aim="target"))
    with pytest.raises(ValueError, match="needs a target, the others take none"):
        attack_maps(model, LAYER, images, labels, attack(), target=torch.ones(4, 32, 32))
    with pytest.raises(ValueError, match=r"has shape \(4, 8, 8\); it must be \(4, 32, 32\)"):
        attack_maps(model, LAYER, images, labels, attack(aim="target"), target=torch.ones(4, 8, 8))


@pytest.mark.parametrize(
    "change", [{"eps": -1.0}, {"steps": -1}, {"step": 0.0}, {"aim": "up"}, {"penalty": -1.0}, {"penalty": float("nan")}]
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="is invalid"):
        attack(**change)
