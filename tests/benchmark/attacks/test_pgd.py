"""Attacks keep their bounds, leave the model as it was and get stronger with budget and steps."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.attacks.mode import evaluating
from benchmark.attacks.pgd import PGD, fgsm, pgd


def network(classes: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, classes),
    )


def batch(classes: int, images: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(images, 3, 28, 28, generator=generator), torch.arange(images) % classes


def attack(norm: str = "l2", **changes) -> PGD:
    settings = {"norm": norm, "eps": 1.0 if norm == "l2" else 4 / 255, "steps": 4, "step": 0.5, "random_start": False}
    return PGD(**(settings | changes))


def loss(model, images, labels) -> float:
    with evaluating(model), torch.no_grad():
        return float(functional.cross_entropy(model(images), labels))


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_an_attack_stays_in_the_ball_and_in_the_range(norm, channels_last, random_start, classes):
    images, labels = batch(classes)
    images[0], images[1] = 0.0, 1.0
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    how = attack(norm, random_start=random_start)
    moved = pgd(network(classes), images, labels, how)
    delta = (moved - images).flatten(1)
    size = delta.norm(dim=1) if norm == "l2" else delta.abs().amax(dim=1)
    assert size.max() <= how.radius(28) * (1 + 1e-5)
    assert size.min() > 0
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_one_step_in_l2_is_the_gradient_at_full_length():
    model, (images, labels) = network(3).eval(), batch(3, 1)
    images = 0.4 + 0.2 * images
    inputs = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(functional.cross_entropy(model(inputs), labels), inputs)
    moved = pgd(model, images, labels, attack(steps=1, step=1.0, eps=0.8))
    torch.testing.assert_close(moved - images, 0.8 * 28 / 224 * slope / slope.norm(), atol=1e-6, rtol=1e-4)


def test_the_l2_budget_grows_with_the_side_and_the_linf_budget_does_not():
    assert attack("l2", eps=3.0).radius(224) == 3.0
    assert attack("l2", eps=3.0).radius(112) == 1.5
    assert attack("linf", eps=0.1).radius(112) == 0.1


def test_fgsm_is_the_sign_of_the_gradient():
    model, (images, labels) = network(3).eval(), batch(3, 4)
    images = 0.4 + 0.2 * images
    inputs = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(functional.cross_entropy(model(inputs), labels), inputs)
    torch.testing.assert_close(pgd(model, images, labels, fgsm("linf", 0.01)), images + 0.01 * slope.sign())


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_best_iterate_is_never_worse_than_any(norm):
    model, (images, labels) = network(4), batch(4)
    # Steps far too long for the budget, so that the loss goes up and down.
    many = {"eps": 100 * attack(norm).eps, "step": 3.0}

    def losses(**changes) -> torch.Tensor:
        moved = pgd(model, images, labels, attack(norm, **many, **changes))
        with evaluating(model), torch.no_grad():
            return functional.cross_entropy(model(moved), labels, reduction="none")

    every = torch.stack([losses(steps=steps) for steps in range(9)])
    torch.testing.assert_close(losses(steps=8, keep_best=True), every.amax(dim=0))
    assert not every[-1].equal(every.amax(dim=0))


def test_another_objective_is_raised_instead():
    """As TRADES does: away from its own prediction, whatever the labels."""
    model, (images, labels) = network(4).eval(), batch(4)
    clean = model(images).detach().log_softmax(dim=1)

    def divergence(logits: torch.Tensor) -> torch.Tensor:
        return functional.kl_div(logits.log_softmax(dim=1), clean, reduction="none", log_target=True).sum(dim=1)

    how = attack(random_start=True, keep_best=True, eps=4.0)
    torch.manual_seed(0)
    start = pgd(model, images, labels, attack(random_start=True, steps=0, eps=4.0))
    torch.manual_seed(0)
    moved = pgd(model, images, labels, how, objective=divergence)
    torch.manual_seed(0)
    assert torch.equal(moved, pgd(model, images, 3 - labels, how, objective=divergence))
    assert divergence(model(moved)).sum() > 2 * divergence(model(start)).sum()
    # At the image itself the divergence is least, and its gradient says nothing.
    stuck = pgd(model, images, labels, attack(), objective=divergence)
    assert divergence(model(stuck)).sum() < 0.1 * divergence(model(moved)).sum()


def test_a_loss_of_the_whole_batch_will_do_unless_the_best_is_kept():
    model, (images, labels) = network(4), batch(4)

    def objective(logits: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, labels)

    together = pgd(model, images, labels, attack(), objective=objective)
    torch.testing.assert_close(together, pgd(model, images, labels, attack()))
    with pytest.raises(ValueError, match="one loss per image"):
        pgd(model, images, labels, attack(keep_best=True), objective=objective)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_loss_grows_with_the_budget_and_with_the_steps(norm):
    model, (images, labels) = network(4), batch(4)
    unit = attack(norm).eps

    def reached(eps: float, steps: int) -> float:
        return loss(model, pgd(model, images, labels, attack(norm, eps=eps * unit, steps=steps)), labels)

    assert loss(model, images, labels) < reached(1, 4) < reached(2, 4) < reached(4, 4)
    assert reached(4, 1) <= reached(4, 4) <= reached(4, 12) + 1e-6


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_gradients_beat_noise_of_the_same_size(norm):
    model, (images, labels) = network(3), batch(3)
    noise = pgd(model, images, labels, attack(norm, steps=0, random_start=True))
    assert loss(model, noise, labels) < loss(model, pgd(model, images, labels, attack(norm)), labels)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_random_start_is_elsewhere_each_time(norm):
    model, (images, labels) = network(3), batch(3)
    first, second = (pgd(model, images, labels, attack(norm, steps=0, random_start=True)) for _ in range(2))
    for one, other in ((first, second), (first, images), (second, images)):
        assert (one - other).flatten(1).norm(dim=1).min() > 0


def test_no_steps_and_no_random_start_leave_the_images_as_they_are():
    images, labels = batch(2)
    assert torch.equal(pgd(network(2), images, labels, attack(steps=0)), images)


def test_the_model_is_left_as_it_was():
    model, (images, labels) = network(3).train(), batch(3)
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pgd(model, images, labels, attack(random_start=True))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert model[3].training
    assert not model[1].training


def test_batch_statistics_are_used_on_request_and_not_kept():
    model, (images, labels) = network(3).train(), batch(3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    by_batch = pgd(model, images, labels, attack(batch_statistics=True))
    assert not torch.equal(by_batch, pgd(model, images, labels, attack()))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert model[1].track_running_stats


def test_an_image_is_attacked_alike_alone_and_in_company():
    model, (images, labels) = network(3), batch(3)
    together = pgd(model, images, labels, attack())
    alone = torch.cat([pgd(model, images[i : i + 1], labels[i : i + 1], attack()) for i in range(len(images))])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("change", [{"eps": -1.0}, {"steps": -1}, {"step": 0.0}, {"eps": float("nan")}])
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="is invalid"):
        attack(**change)
