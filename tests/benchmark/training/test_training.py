"""Trainings learn, repeat, resume, stop, choose the best epoch and make do with less memory."""

from dataclasses import replace
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from torch import nn

from benchmark.attacks.pgd import PGD
from benchmark.errors import UserError
from benchmark.registry import entries
from benchmark.runtime.tensors import to_float
from benchmark.training.augmentation import augment_batch, build_augmentation
from benchmark.training.loop import train, update_best
from benchmark.training.losses.adversarial import adversarial_cost, adversarial_objective
from benchmark.training.regimes import Batch, Regime
from benchmark.training.regimes.standard import STANDARD, cross_entropy
from benchmark.training.settings import Settings
from benchmark.training.state import CheckpointFile, History
from benchmark.training.tensor_data import TensorData, class_weights
from benchmark.training.trainer import Trainer, TrainingFailedError

SETTINGS = Settings(epochs=8, batch_size=8, learning_rate=0.01, bfloat16=False)
SILENT: Any = lambda *_: None  # noqa: E731


def data(images: int = 36) -> TensorData:
    """Two classes told apart by their color, with a mask each."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(images) % 2
    pixels = torch.randint(60, 120, (images, 3, 16, 16), generator=generator)
    pixels[torch.arange(images), labels * 2] += 90
    masks = torch.zeros(images, 16, 16, dtype=torch.float16)
    masks[:, 4:12, 4:12] = 1
    masks[0] = torch.nan
    return TensorData(images=pixels.to(torch.uint8), labels=labels, masks=masks)


class WithMask(nn.Sequential):
    """A small network that also predicts a mask."""

    def with_mask(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        grid = self[2](self[1](self[0](images)))
        drawn = nn.functional.interpolate(grid.mean(dim=1, keepdim=True), images.shape[-2:], mode="bilinear")[:, 0]
        return self[5](self[4](self[3](grid))), drawn


def network() -> nn.Module:
    torch.manual_seed(0)
    return WithMask(
        nn.Conv2d(3, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )


def trained(regime: Regime, settings: Settings = SETTINGS, **more: Any) -> tuple[nn.Module, History]:
    model = network()
    training_data = data() if regime.needs_masks else replace(data(), masks=None)
    return model, train(model, training_data, regime=regime, settings=settings, report=SILENT, **more)


def same(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize("name", entries(Regime))
def test_a_regime_lowers_its_loss_and_learns(name):
    # At its own pace: a thirtieth of the learning rate takes thirty times as long.
    regime = replace(entries(Regime)[name], lr_scale=1.0)
    settings = replace(SETTINGS, learning_rate=0.03, epochs=5 * regime.batch_replays)
    model = network()
    training_data = data(24) if regime.needs_masks else replace(data(24), masks=None)
    history = train(model, training_data, regime=regime, settings=settings, report=SILENT)
    assert history.losses[-1] < 0.85 * history.losses[0]
    with torch.no_grad():
        assert (model(to_float(training_data.images)).argmax(dim=1) == training_data.labels).float().mean() > 0.9


@pytest.mark.parametrize("name", ["adversarial", "scaat", "free", "gaussian-noise"])
def test_the_same_seed_gives_the_same_weights(name):
    settings = replace(SETTINGS, epochs=16)
    assert same(trained(entries(Regime)[name], settings)[0], trained(entries(Regime)[name], settings)[0])


def test_images_that_find_no_room_on_the_device_come_to_it_batch_by_batch():
    training_data = replace(data(), labels=data().labels.to("meta"))
    assert training_data.pixels(slice(4, 7)).device.type == training_data.device.type == "meta"
    assert training_data.pixels(slice(4, 7)).shape == (3, 3, 16, 16)
    here = data().pixels(torch.tensor([5, 4]))
    assert torch.equal(here, to_float(data().images[[5, 4]]))


def test_weights_in_channels_last_learn_from_their_own_gradients(monkeypatch):
    """The fused AdamW pairs weights and gradients as they lie in memory, and says nothing where that differs."""

    def weights():
        model, training_data = network().to(memory_format=torch.channels_last), replace(data(), masks=None)
        train(model, training_data, regime=STANDARD, settings=replace(SETTINGS, epochs=1), report=SILENT)
        return dict(model.named_parameters())

    fused, adamw = weights(), torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *words, **more: adamw(*words, **more | {"fused": False}))
    torch.testing.assert_close(fused, weights())


def test_bfloat16_trains_too():
    _, history = trained(STANDARD, replace(SETTINGS, bfloat16=True))
    assert history.losses[-1] < 0.8 * history.losses[0]


def test_the_model_ends_in_evaluation_mode_with_settled_statistics():
    model, _ = trained(STANDARD)
    assert not any(module.training for module in model.modules())
    with torch.no_grad():
        maps = model[0](to_float(data().images[:32]))
    torch.testing.assert_close(model[1].running_mean, maps.mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_progress_is_reported_after_each_epoch():
    seen = []
    settings = replace(SETTINGS, epochs=3)
    history = train(
        network(),
        replace(data(), masks=None),
        regime=STANDARD,
        settings=settings,
        report=lambda done, so_far: seen.append((done, so_far.losses[-1])),
    )
    assert seen == list(enumerate(history.losses, start=1))
    assert history.best == 3


def test_a_loss_that_is_no_number_stops_the_training_and_tells_the_last_one_that_was():
    def objective(model, batch):
        return cross_entropy(model, batch) * (torch.inf if batch.progress >= 0.5 else 1.0)

    broken = replace(STANDARD, name="broken", objective=objective)
    with pytest.raises(TrainingFailedError, match=r"loss of epoch 2 is not finite; the last finite one was 0\.\d+"):
        trained(broken, replace(SETTINGS, epochs=2))


class KilledError(Exception):
    """Stands for a signal."""


@pytest.mark.parametrize("name", ["standard", "scaat", "free"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_killed_training_resumes_to_the_same_bytes(tmp_path, name, at):
    regime, settings = (
        entries(Regime)[name],
        replace(SETTINGS, epochs=4 * entries(Regime)[name].batch_replays, patience=3),
    )
    validation = replace(data(10), masks=None)
    whole, expected = trained(regime, settings, validation=validation)
    file = CheckpointFile(tmp_path / "state.pt", seconds=0)

    def kill(done, _):
        if done == at:
            raise KilledError

    with pytest.raises(KilledError):
        train(
            network(),
            replace(data(), masks=None),
            regime=regime,
            settings=settings,
            report=kill,
            validation=validation,
            file=file,
        )
    torch.manual_seed(99)  # a new process has drawn other numbers
    model = network()
    torch.rand(7)
    history = train(
        model,
        replace(data(), masks=None),
        regime=regime,
        settings=settings,
        report=SILENT,
        validation=validation,
        file=CheckpointFile(tmp_path / "state.pt"),
    )
    assert same(model, whole)
    assert history == expected
    assert history.seconds > 0


def test_a_damaged_state_is_named_and_the_training_begins_again(tmp_path, caplog):
    whole, _ = trained(STANDARD)
    file = CheckpointFile(tmp_path / "state.pt", seconds=0)
    trained(STANDARD, file=file)
    content = file.path.read_bytes()
    with ZipFile(file.path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        place = content.index(archive.read(largest))
    changed = bytearray(content)
    changed[place] ^= 1
    for damage in (b"no state", bytes(changed)):
        file.path.write_bytes(damage)
        assert same(trained(STANDARD, file=file)[0], whole)
    assert len([line for line in caplog.messages if "state.pt is damaged" in line]) == 2


def test_a_state_that_memory_does_not_hold_is_not_removed(tmp_path, monkeypatch):
    file = CheckpointFile(tmp_path / "state.pt", seconds=0)
    trained(STANDARD, file=file)
    for function in ("torch.load", "torch.set_rng_state"):
        with monkeypatch.context() as patch:
            patch.setattr(function, lambda *_, **__: (_ for _ in ()).throw(MemoryError))
            with pytest.raises(MemoryError):
                trained(STANDARD, file=file)
        assert file.path.is_file()


def test_states_are_not_written_more_often_than_asked_for(tmp_path):
    trained(STANDARD, file=CheckpointFile(tmp_path / "state.pt", seconds=1000))
    assert not (tmp_path / "state.pt").exists()


def test_the_best_epoch_is_kept_and_a_training_that_gains_no_more_ends():
    training_data = data()
    # Validation by the wrong labels: the more is learned, the worse.
    wrong = TensorData(images=training_data.images, labels=1 - training_data.labels)
    model, history = trained(STANDARD, replace(SETTINGS, patience=2), validation=wrong)
    assert history.stopped
    assert len(history.losses) == history.best + 2
    assert history.validation[history.best - 1] == min(history.validation)
    right, full = trained(STANDARD, replace(SETTINGS, patience=2), validation=replace(training_data, masks=None))
    assert len(full.validation) == len(full.losses)
    assert full.best > history.best
    assert not same(model, right)


def test_memory_holds_one_copy_of_the_best_weights_and_no_gradients_between_epochs():
    settings = replace(SETTINGS, epochs=4)
    trainer = Trainer(network(), data(), STANDARD, settings, frozen=())
    addresses = []
    for _ in range(3):
        trainer.train_epoch()
        assert all(parameter.grad is None for parameter in trainer.state.model.parameters())
        trainer.state.history.validation.clear()  # so that each epoch is the best one
        update_best(trainer, replace(data(10), masks=None))
        best = trainer.state.best_weights
        addresses.append([weights.data_ptr() for weights in best.values()])
        assert all(torch.equal(best[name], value) for name, value in trainer.state.model.state_dict().items())
    assert addresses[0] == addresses[1] == addresses[2]


def test_validation_does_not_change_the_training():
    with_it = trained(entries(Regime)["gaussian-noise"], validation=replace(data(10), masks=None))[1]
    without = trained(entries(Regime)["gaussian-noise"])[1]
    assert with_it.losses == without.losses


def test_short_memory_halves_what_goes_through_at_once_and_not_the_batch(monkeypatch):
    seen = []

    def objective(model, batch):
        seen.append(len(batch.labels))
        if len(batch.labels) > 3:
            raise torch.OutOfMemoryError("too much")
        return cross_entropy(model, batch)

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    _, history = trained(replace(STANDARD, objective=objective), replace(SETTINGS, epochs=1))
    assert seen[:5] == [8, 4, 2, 2, 2]
    assert history.micro_batch == 2
    assert history.losses

    def never(*_):
        raise torch.OutOfMemoryError("too much")

    with pytest.raises(UserError, match="memory does not hold two images of this network"):
        trained(replace(STANDARD, objective=never), replace(SETTINGS, epochs=1))


def test_parts_of_a_batch_add_up_to_its_gradient(monkeypatch):
    def gradients(largest: int) -> list[torch.Tensor]:
        def objective(model, batch):
            if len(batch.labels) > largest:
                raise torch.OutOfMemoryError
            return nn.functional.cross_entropy(model(batch.images), batch.labels)

        model = network()
        model[1] = nn.Identity()  # BatchNorm sees the parts
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        training_data = replace(data(8), masks=None)
        train(
            model,
            training_data,
            regime=replace(STANDARD, objective=objective),
            settings=replace(SETTINGS, epochs=1),
            report=SILENT,
        )
        return [parameter.detach() for parameter in model.parameters()]

    for whole, part in zip(gradients(8), gradients(4), strict=True):
        torch.testing.assert_close(whole, part, atol=1e-5, rtol=1e-4)


def test_frozen_layers_stay_bit_for_bit():
    model = network()
    model[0].weight.requires_grad_(requires_grad=False)
    for parameter in model[1].parameters():
        parameter.requires_grad_(requires_grad=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(
        model,
        replace(data(), masks=None),
        regime=STANDARD,
        settings=SETTINGS,
        report=SILENT,
        frozen=[model[1]],
    )
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if not name.startswith("5."))
    assert not torch.equal(after["5.weight"], before["5.weight"])


def test_large_gradients_are_clipped():
    steep = replace(STANDARD, objective=lambda model, batch: 1e6 * cross_entropy(model, batch))
    norms, clipped = [], []
    original = nn.utils.clip_grad_norm_

    def spy(parameters, most):
        weights = list(parameters)
        norm = original(weights, most)
        norms.append(float(norm))
        clipped.append(sum(float(weight.grad.norm() ** 2) for weight in weights) ** 0.5)
        return norm

    model = network()
    nn.utils.clip_grad_norm_ = spy
    try:
        training_data = replace(data(8), masks=None)
        train(model, training_data, regime=steep, settings=replace(SETTINGS, epochs=1), report=SILENT)
    finally:
        nn.utils.clip_grad_norm_ = original
    assert norms[0] > 1e3
    assert max(clipped) <= SETTINGS.clip * 1.001


def test_masks_move_as_their_images_do():
    torch.manual_seed(3)
    masks = data(4).masks.float()
    masks[0] = 0
    images = masks[:, None].expand(-1, 3, -1, -1).clone()
    moved, drawn = augment_batch(build_augmentation(), images, masks)
    inside, outside = moved[1:, 0][drawn[1:] > 0.5], moved[1:, 0][drawn[1:] <= 0.5]
    assert inside.mean() > 0.7
    assert outside.mean() < 0.2
    assert not torch.equal(drawn, masks)
    assert type(moved) is torch.Tensor


def test_class_weights_balance_the_classes():
    torch.testing.assert_close(class_weights(torch.tensor([0, 0, 0, 1]), 2), torch.tensor([4 / 6, 2.0]))
    torch.testing.assert_close(class_weights(torch.tensor([0, 0, 2, 2]), 3)[[0, 2]], torch.tensor([1.0, 1.0]))


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"patience": -1}, {"clip": 0.0}]
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="is invalid"):
        replace(SETTINGS, **change)


@pytest.mark.parametrize("change", [{"frozen": 5}, {"frozen": -1}, {"lr_scale": 0.0}, {"batch_replays": 0}])
def test_regimes_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="frozen must be in 0"):
        replace(STANDARD, **change)


def test_attacks_wait_for_their_time():
    attack = PGD(norm="linf", eps=0.2, steps=1, step=1.0, random_start=False)
    objective = adversarial_objective(attack, delay=0.5)
    training_data, model = data(8), network()

    def loss(progress: float) -> float:
        torch.manual_seed(0)
        batch = Batch(
            images=to_float(training_data.images),
            labels=training_data.labels,
            class_weights=torch.ones(2),
            progress=progress,
            indices=torch.arange(8),
            num_images=8,
        )
        return float(objective(model, batch).detach())

    assert loss(0.49) < loss(0.5)
    assert adversarial_cost(attack, delay=0.5) == 4
    assert adversarial_cost(PGD(norm="l2", eps=1, steps=7, step=0.2, random_start=True)) == 17


def test_small_images_come_first_and_the_best_epoch_is_one_at_full_size():
    sizes = []

    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        sizes.append(batch.images.shape[-1])
        return cross_entropy(model, batch)

    regime = replace(STANDARD, objective=loss)
    settings = replace(SETTINGS, epochs=6, batch_size=12, small_size=8, full_size_epochs=2)
    _, history = trained(regime, settings, validation=data(12))
    # Three steps and one validation batch an epoch.
    assert sizes == [8] * 16 + [16] * 8
    assert len(history.validation) == 6
    assert history.best == 5 + history.validation[4:].index(min(history.validation[4:]))


def test_a_training_on_small_images_learns_and_resumes_across_the_change_of_size(tmp_path):
    settings = replace(SETTINGS, small_size=8, full_size_epochs=3)
    whole, _ = trained(STANDARD, settings)
    with torch.no_grad():
        assert (whole(to_float(data().images)).argmax(dim=1) == data().labels).float().mean() > 0.9

    def kill(done: int, _history: History) -> None:
        if done == 5:
            raise KeyboardInterrupt

    file = CheckpointFile(tmp_path / "state.pt", seconds=0)
    with pytest.raises(KeyboardInterrupt):
        train(network(), replace(data(), masks=None), regime=STANDARD, settings=settings, report=kill, file=file)
    resumed = network()
    train(resumed, replace(data(), masks=None), regime=STANDARD, settings=settings, report=SILENT, file=file)
    assert same(whole, resumed)


def test_small_copies_belong_to_their_own_images():
    settings = replace(SETTINGS, small_size=8, full_size_epochs=3)
    trainer = Trainer(network(), data(), STANDARD, settings, frozen=())
    for gray in range(3):  # later images may have the address of earlier ones
        images = torch.full((2, 3, 16, 16), gray, dtype=torch.uint8)
        small = trainer.at_size_of_epoch(TensorData(images=images, labels=torch.zeros(2).long()), 0)
        assert small.images.shape[2:] == (8, 8)
        assert small.images.unique().tolist() == [gray]


def test_resized_images_keep_their_gray_and_their_masks_follow():
    small = data().resized(8)
    assert small.images.shape == (36, 3, 8, 8)
    assert small.images.dtype == torch.uint8
    assert torch.allclose(small.images.float().mean(dim=(2, 3)), data().images.float().mean(dim=(2, 3)), atol=1.5)
    assert small.masks is not None
    assert small.masks[1, 4, 4] == 1
    assert small.masks[1, 0, 0] == 0
    assert small.masks[0].isnan().all()


@pytest.mark.parametrize(
    "wrong", [{"full_size_epochs": 0}, {"full_size_epochs": 8}, {"full_size_epochs": 2, "patience": 3}]
)
def test_small_images_need_epochs_at_full_size_and_no_patience(wrong):
    with pytest.raises(ValueError, match="small images"):
        replace(SETTINGS, small_size=8, **wrong)
