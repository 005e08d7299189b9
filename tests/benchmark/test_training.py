"""Regimes lower their loss; the same seed gives the same bytes; BatchNorm is settled."""

import pytest
import torch
from torch import nn

from benchmark.registry import entries
from benchmark.training import loop
from benchmark.training.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.attacks import PGD
from benchmark.training.loop import Settings, TrainingFailedError, class_weights, train
from benchmark.training.regimes import Batch, Regime
from benchmark.training.regimes.standard import STANDARD

SETTINGS = Settings(epochs=8, batch=8, learning_rate=0.01, bfloat16=False)


def data(images: int = 36) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes told apart by their colour."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(images) % 2
    pixels = torch.randint(60, 120, (images, 3, 16, 16), generator=generator)
    pixels[torch.arange(images), labels * 2] += 90
    return pixels.to(torch.uint8), labels


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )


def trained(regime: Regime, settings: Settings = SETTINGS) -> tuple[nn.Module, list[float]]:
    model = network()
    images, labels = data()
    return model, train(model, images, labels, regime=regime, settings=settings, report=lambda *_: None)


@pytest.mark.parametrize("name", entries(Regime))
def test_a_regime_lowers_its_loss_and_learns(name):
    model, losses = trained(entries(Regime)[name])
    assert losses[-1] < 0.8 * losses[0]
    images, labels = data()
    with torch.no_grad():
        assert (model(loop.to_float(images)).argmax(dim=1) == labels).float().mean() > 0.9


def test_the_same_seed_gives_the_same_weights():
    first, second = (trained(entries(Regime)["adversarial"])[0].state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_bfloat16_trains_too():
    _, losses = trained(STANDARD, Settings(epochs=8, batch=8, learning_rate=0.01, bfloat16=True))
    assert losses[-1] < 0.8 * losses[0]


def test_the_model_ends_in_evaluation_mode_with_settled_statistics():
    model, _ = trained(STANDARD)
    assert not any(module.training for module in model.modules())
    images, _ = data()
    with torch.no_grad():
        maps = model[0](loop.to_float(images[:32]))
    torch.testing.assert_close(model[1].running_mean, maps.mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_progress_is_reported_after_each_epoch():
    images, labels = data()
    seen = []
    settings = Settings(epochs=3, batch=8, learning_rate=0.01, bfloat16=False)
    losses = train(
        network(),
        images,
        labels,
        regime=STANDARD,
        settings=settings,
        report=lambda done, loss: seen.append((done, loss)),
    )
    assert seen == list(enumerate(losses, start=1))


def test_a_loss_that_is_no_number_stops_the_training():
    broken = Regime(
        name="broken",
        objective=lambda model, batch: model(batch.images).sum() * torch.nan,
        cost=3,
        adversarial=False,
        description="",
        source="this test",
    )
    with pytest.raises(TrainingFailedError, match="loss of epoch 1 is no number"):
        trained(broken)


def test_class_weights_balance_the_classes():
    weights = class_weights(torch.tensor([0, 0, 0, 1]))
    torch.testing.assert_close(weights, torch.tensor([4 / 6, 2.0]))


def test_attacks_wait_for_their_time():
    attack = PGD(norm="linf", eps=0.2, steps=1, step=1.0, random_start=False)
    objective = adversarial_objective(attack, delay=0.5)
    images, labels = data(8)
    model = network()

    def loss(progress: float) -> float:
        torch.manual_seed(0)
        batch = Batch(images=loop.to_float(images), labels=labels, class_weights=torch.ones(2), progress=progress)
        return float(objective(model, batch).detach())

    assert loss(0.49) < loss(0.5)
    assert adversarial_cost(attack, delay=0.5) == 4
    assert adversarial_cost(PGD(norm="l2", eps=1, steps=7, step=0.2, random_start=True)) == 17
