"""Budgets hold in either norm, for images of any side and layout."""

import pytest
import torch

from benchmark.attacks.ball import Ball


def changes(number: int = 6) -> torch.Tensor:
    return torch.randn(number, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def size(delta: torch.Tensor, norm: str) -> torch.Tensor:
    return delta.flatten(1).norm(dim=1) if norm == "l2" else delta.flatten(1).abs().amax(dim=1)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_too_large_changes_are_cut_to_the_budget_and_others_left(norm, channels_last):
    delta = changes()
    if channels_last:
        delta = delta.contiguous(memory_format=torch.channels_last)
    delta[0] *= 1e-4
    ball = Ball(norm, 5.0 if norm == "l2" else 0.05)
    cut = ball.project(delta)
    torch.testing.assert_close(cut[0], delta[0])
    torch.testing.assert_close(size(cut[1:], norm), torch.full((5,), ball.radius(8)))


def test_nothing_within_the_budget_is_nearer_than_the_projection():
    delta, others = changes(), changes(12)[6:]
    for ball in (Ball("l2", 5.0), Ball("linf", 0.05)):
        nearest = (ball.project(delta) - delta).flatten(1).norm(dim=1)
        assert (nearest <= (ball.project(others) - delta).flatten(1).norm(dim=1)).all()


def test_no_step_of_size_one_gains_more_than_the_direction():
    gradient, others = changes(), changes(12)[6:]
    for norm in ("l2", "linf"):
        step, other = Ball(norm, 1.0).direction(gradient), others / size(others, norm).reshape(-1, 1, 1, 1)
        torch.testing.assert_close(size(step, norm), torch.ones(6))
        assert ((step * gradient).sum(dim=(1, 2, 3)) > (other * gradient).sum(dim=(1, 2, 3))).all()


@pytest.mark.parametrize("size_", [1e-40, 1e-30, 1e-18, 1e18, 1e30])
def test_a_direction_has_full_length_however_small_or_large_the_gradient(size_):
    gradient = changes()
    expected = Ball("l2", 1.0).direction(gradient)
    results = Ball("l2", 1.0).direction(size_ * gradient)
    torch.testing.assert_close(results, expected, atol=1e-3 if size_ == 1e-40 else 1e-6, rtol=0)
    torch.testing.assert_close(size(results, "l2"), torch.ones(6))


def test_a_projection_leaves_no_change_and_a_budget_of_nothing_alone():
    assert Ball("l2", 0.0).project(torch.zeros(2, 3, 4, 4)).eq(0).all()
    assert Ball("l2", 0.0).project(changes()).eq(0).all()


def test_without_a_gradient_there_is_no_direction():
    for norm in ("l2", "linf"):
        assert Ball(norm, 1.0).direction(torch.zeros(2, 3, 4, 4)).eq(0).all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_random_images_fill_the_ball(norm):
    torch.manual_seed(0)
    images = torch.full((200, 3, 8, 8), 0.5)
    ball = Ball(norm, 2.0 if norm == "l2" else 0.1)
    fraction = size(ball.random(images) - images, norm) / ball.radius(8)
    assert fraction.max() <= 1 + 1e-5
    assert fraction.max() > 0.95
    if norm == "l2":
        assert fraction.min() < 0.05


@pytest.mark.parametrize(
    ("norm", "eps"), [("l1", 1.0), ("L2", 1.0), ("l2", -0.1), ("l2", float("nan")), ("linf", float("inf"))]
)
def test_budgets_that_make_no_sense_are_refused(norm, eps):
    with pytest.raises(ValueError, match="is invalid"):
        Ball(norm, eps)
