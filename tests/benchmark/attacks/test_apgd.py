"""Auto-PGD equals a slow, literal version of itself, beats PGD and keeps its bounds."""

import math

import pytest
import torch
from torch.nn import functional

from benchmark.attacks.apgd import APGD, _checkpoint_spans, _is_better, _Point, _StepSizes, apgd
from benchmark.attacks.ball import Ball
from benchmark.attacks.losses import cross_entropy, dlr, margin
from benchmark.attacks.noise import noise
from benchmark.attacks.pgd import PGD, fgsm, pgd

EPS = {"l2": 4.0, "linf": 5 / 255}


def attack(norm: str = "linf", **changes) -> APGD:
    return APGD(**({"norm": norm, "eps": EPS[norm], "steps": 10, "loss": "ce"} | changes))


def loss(model, images, labels) -> float:
    with torch.no_grad():
        return float(functional.cross_entropy(model(images), labels))


def literal_loss(logits: torch.Tensor, label: int, name: str) -> torch.Tensor:
    """The loss of one image, from the formulas of the paper."""
    if name == "ce":
        others = [number for number in range(len(logits)) if number != label]
        return (logits[others] - logits[label]).exp().sum().log1p()
    ordered = sorted(range(len(logits)), key=lambda number: -float(logits[number].detach()))
    other = next(number for number in ordered if number != label)
    if name == "margin":
        return logits[other] - logits[label]
    return -(logits[label] - logits[other]) / (logits[ordered[0]] - logits[ordered[2]])


def literal(model, image: torch.Tensor, label: int, how: APGD) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Algorithm 1 for a single image, from the image itself: all iterates, and the one to return."""
    radius = how.eps * image.shape[-1] / 224 if how.norm == "l2" else how.eps

    def slope(x: torch.Tensor) -> tuple[float, torch.Tensor, bool]:
        x = x.clone().requires_grad_()
        logits = model(x[None])[0].double()
        value = literal_loss(logits, label, how.loss)
        (gradient,) = torch.autograd.grad(value, x)
        return float(value.detach()), gradient, int(logits.argmax()) != label

    def project(x: torch.Tensor) -> torch.Tensor:
        if how.norm == "linf":
            return torch.minimum(torch.maximum(x, image - radius), image + radius).clamp(0, 1)
        delta = x - image
        return (image + delta * min(1.0, radius / max(float(delta.norm()), 1e-30))).clamp(0, 1)

    def uphill(x: torch.Tensor, gradient: torch.Tensor, size: float) -> torch.Tensor:
        length = max(float(gradient.norm()), 1e-30)
        return project(x + size * (gradient.sign() if how.norm == "linf" else gradient / length))

    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    checkpoints = sorted({math.ceil(round(fraction * how.steps, 6)) for fraction in shares if fraction < 1})

    values, points = [], [image]
    value, gradient, wrong = slope(image)
    values.append(value)
    trail = [(value, gradient, wrong, image)]
    current, size, best_then, halved_then = 0, 2 * radius, value, False
    last_image, rises = image, 0
    x = image
    for number in range(how.steps):
        aim = uphill(x, gradient, size)
        fraction = 1.0 if number == 0 else 0.75
        ahead = project(x + fraction * (aim - x) + (1 - fraction) * (x - last_image))
        last_image, last_value = x, value
        x = ahead
        value, gradient, wrong = slope(x)
        points.append(x)
        trail.append((value, gradient, wrong, x))
        rises += value > last_value
        if number + 1 in checkpoints:
            span = number + 1 - checkpoints[current]
            current += 1
            best = max(trail, key=lambda point: point[0])
            halved = rises < 0.75 * span or (not halved_then and best[0] <= best_then)
            best_then, halved_then, rises = best[0], halved, 0
            if halved:
                size /= 2
                value, gradient, _, x = best
    return points, max(trail, key=lambda point: (point[2], point[0]))[3]


@pytest.mark.parametrize("steps", [1, pytest.param(7, marks=pytest.mark.every_kernel), 30])
@pytest.mark.parametrize("name", ["ce", "dlr", "margin"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_every_iterate_equals_that_of_the_literal_algorithm(problem, norm, name, steps):
    model, images, labels = problem(4, 6)
    model, images = model.double(), images.double()
    seen = []
    handle = model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    results = apgd(model, images, labels, attack(norm, steps=steps, loss=name))
    handle.remove()
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        points, best = literal(model, image, label, attack(norm, steps=steps, loss=name))
        torch.testing.assert_close(torch.stack([batch[number] for batch in seen]), torch.stack(points))
        torch.testing.assert_close(results[number], best)


def test_checkpoints_are_those_of_the_paper():
    assert list(_checkpoint_spans(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sum(_checkpoint_spans(100).values()) == 99
    assert _checkpoint_spans(10) == {3: 3, 5: 2, 6: 1, 7: 1, 8: 1, 9: 1, 10: 1}
    assert _checkpoint_spans(0) == {}


def test_steps_are_halved_where_the_loss_rises_too_rarely_or_its_best_stands_still():
    step_sizes = _StepSizes(8.0, torch.zeros(4))
    for rose in [[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]]:
        step_sizes.count(torch.tensor(rose, dtype=torch.bool))
    # Two rises of four are too few, three are enough, unless the highest loss is that of the start.
    assert step_sizes.check(torch.tensor([1.0, 1.0, 1.0, 0.0]), 4).tolist() == [True, False, False, True]
    assert step_sizes.size.flatten().tolist() == [4, 8, 8, 4]
    for _ in range(2):
        step_sizes.count(torch.ones(4, dtype=torch.bool))
    # A best that stands still is forgiven once after a halving.
    assert step_sizes.check(torch.tensor([1.0, 1.0, 2.0, 0.0]), 2).tolist() == [False, True, False, False]
    assert step_sizes.check(torch.full((4,), 3.0), 0).tolist() == [False, False, False, False]
    assert step_sizes.check(torch.full((4,), 4.0), 1).tolist() == [True, True, True, True]
    assert step_sizes.size.flatten().tolist() == [2, 2, 4, 2]


def test_the_cross_entropy_is_that_of_torch_and_exact_where_that_is_zero():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 0])
    torch.testing.assert_close(
        cross_entropy(logits, labels), functional.cross_entropy(logits, labels, reduction="none")
    )
    lead = torch.tensor([60.0], dtype=torch.float64, requires_grad=True)
    sure = torch.stack([lead, torch.zeros(1, dtype=torch.float64)], dim=1)
    assert functional.cross_entropy(sure, torch.tensor([0])) == 0
    results = cross_entropy(sure, torch.tensor([0]))
    torch.testing.assert_close(results.item(), math.exp(-60), rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(results, lead)[0].item(), -math.exp(-60), rtol=1e-12, atol=0)
    wrong = cross_entropy(sure.detach(), torch.tensor([1]))
    assert wrong.item() == 60


def test_losses_by_hand():
    logits, labels = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]]), torch.tensor([0, 2])
    torch.testing.assert_close(margin(logits, labels), torch.tensor([-1.0, 4.0]))
    torch.testing.assert_close(dlr(logits, labels), torch.tensor([-1 / 2, 4 / 5]))
    for factor in (1e-20, 100):
        torch.testing.assert_close(dlr(factor * logits, labels), dlr(logits, labels))
    torch.testing.assert_close(dlr(torch.ones(1, 3), torch.tensor([1])), torch.zeros(1))
    four = torch.tensor([[3.0, 1.0, 2.0, -9.0]])
    torch.testing.assert_close(dlr(four, torch.tensor([1])), torch.tensor([2 / 2.0]))


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_stays_in_the_ball_and_in_the_range(problem, norm, channels_last, classes):
    model, images, labels = problem(classes)
    images[0], images[1] = 0.0, 1.0
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    for name in ("ce", "margin", "dlr")[: 2 if classes == 2 else 3]:
        how = attack(norm, loss=name)
        moved = apgd(model, images, labels, how)
        delta = (moved - images).flatten(1)
        assert (delta.norm(dim=1) if norm == "l2" else delta.abs().amax(dim=1)).max() <= how.radius(32) * (1 + 1e-5)
        assert moved.min() >= 0
        assert moved.max() <= 1


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_noise_then_fgsm_then_pgd_then_apgd(problem, norm, classes):
    model, images, labels = problem(classes, 48)
    moved = [
        images,
        noise(images, Ball(norm, EPS[norm]), torch.Generator().manual_seed(0)),
        pgd(model, images, labels, fgsm(norm, EPS[norm])),
        pgd(model, images, labels, PGD(norm=norm, eps=EPS[norm], steps=20, step=0.125, random_start=False)),
        apgd(model, images, labels, attack(norm, steps=20)),
    ]
    losses = [loss(model, batch, labels) for batch in moved]
    # Noise may lower a loss as well as raise it.
    assert losses[1:] == sorted(losses[1:])
    assert losses[2] > 2 * max(losses[:2])


@pytest.mark.parametrize("name", ["ce", "dlr", "margin"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_fewer_images_withstand_more_budget_and_more_steps(problem, norm, name):
    model, images, labels = problem(4, 48)

    def withstand(eps: float, steps: int) -> float:
        moved = apgd(model, images, labels, attack(norm, eps=eps * EPS[norm], steps=steps, loss=name))
        return float((model(moved).argmax(dim=1) == labels).float().mean())

    assert withstand(0, 10) >= withstand(0.5, 10) >= withstand(1, 10) >= withstand(2, 10) == 0
    assert withstand(1, 0) > withstand(1, 1) >= withstand(1, 20)


def test_a_wrong_iterate_is_preferred_to_one_of_higher_loss():
    def points(losses: list[float], wrong: list[bool]) -> _Point:
        pixels = torch.zeros(len(losses), 3, 1, 1)
        return _Point(pixels, pixels, torch.tensor(losses), torch.tensor(wrong))

    new = points([1.0, 3.0, 3.0, 1.0, 2.0], [True, False, True, False, True])
    old = points([2.0, 2.0, 2.0, 2.0, 2.0], [False, True, True, False, True])
    assert _is_better(new, old).tolist() == [True, False, True, False, False]


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_an_image_is_attacked_alike_alone_and_in_company(problem, norm):
    model, images, labels = problem(4, 8)
    together = apgd(model, images, labels, attack(norm))
    alone = torch.cat([apgd(model, images[i : i + 1], labels[i : i + 1], attack(norm)) for i in range(8)])
    # Where the slope of a pixel is zero but for rounding, its sign may differ.
    assert ((together - alone).abs() < 1e-5).float().mean() > 0.999


def test_the_model_is_left_as_it_was(problem, untouched):
    model, images, labels = problem(3)
    with untouched(model):
        assert not apgd(model, images, labels, attack()).requires_grad


def test_no_steps_leave_the_images_as_they_are(problem):
    model, images, labels = problem(2)
    assert torch.equal(apgd(model, images, labels, attack(steps=0)), images)


def test_dlr_needs_three_classes(problem):
    model, images, labels = problem(2)
    with pytest.raises(ValueError, match="3 classes or more, the model has 2; use loss='margin'"):
        apgd(model, images, labels, attack(loss="dlr"))


@pytest.mark.parametrize("change", [{"eps": -1.0}, {"steps": -1}, {"loss": "mse"}])
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="is invalid"):
        attack(**change)
