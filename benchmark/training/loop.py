"""The training loop, shared by all regimes."""

import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from benchmark.training.regimes import Regime
from benchmark.training.settings import Settings
from benchmark.training.state import CheckpointFile, History, State
from benchmark.training.tensor_data import TensorData
from benchmark.training.trainer import Trainer

Report = Callable[[int, History], None]
"""Called after each epoch with the number of finished epochs and the history so far."""


def train(  # noqa: PLR0913 - data, regime, settings and callbacks
    model: nn.Module,
    data: TensorData,
    *,
    regime: Regime,
    settings: Settings,
    report: Report,
    validation: TensorData | None = None,
    frozen: Sequence[nn.Module] = (),
    file: CheckpointFile | None = None,
) -> History:
    """Trains a network in place.

    With validation images, the network ends with the weights of the epoch of the lowest validation loss. Epochs on
    small images do not count.
    Random numbers come from torch's global generators. Seed them before you build the network.

    Args:
        model: On the device. Returns logits (N, C).
        data: Training images, on the device.
        regime: How to train.
        settings: How long and how fast.
        report: Receives the progress.
        validation: Images that select the best epoch, by the regime's own loss. Never test images.
        frozen: BatchNorm layers that stay in evaluation mode. See :func:`architectures.groups.freeze`.
        file: Stores the state after each epoch. An existing file is resumed.

    Returns:
        The history of the training.

    Raises:
        TrainingFailedError: The loss is not finite. The message names the epoch.
        UserError: Memory does not even hold two images at a time.
    """
    trainer = Trainer(model, data, regime, settings, frozen=frozen)
    state = trainer.state
    if file:
        file.load(state, data.device)
    history = state.history
    start = time.perf_counter() - history.seconds
    while len(history.losses) < trainer.epochs and not history.stopped:
        trainer.train_epoch()
        update_best(trainer, validation)
        history.seconds = time.perf_counter() - start
        if file and len(history.losses) < trainer.epochs:
            file.save(state)
        report(len(history.losses), history)
    if state.best_weights is not None:
        model.load_state_dict(state.best_weights)
    trainer.recalibrate_batchnorm()
    history.seconds = time.perf_counter() - start
    return history


def update_best(trainer: Trainer, validation: TensorData | None) -> None:
    """Stores the weights if their validation loss is the lowest so far, and decides whether to stop."""
    state, history, patience = trainer.state, trainer.state.history, trainer.settings.patience
    if validation is None or not len(validation):
        history.best = len(history.losses)
        return
    epoch = len(history.losses)
    history.validation.append(trainer.compute_loss(trainer.at_size_of_epoch(validation, epoch - 1)))
    # Losses at two sizes do not compare, so the best epoch is one at full size.
    full_size = history.validation[trainer.small_epochs :]
    if not full_size:
        history.best = epoch
    elif full_size[-1] == min(full_size):
        history.best = epoch
        _store_best_weights(state)
    epochs_since_best = epoch - history.best
    history.stopped = bool(patience) and epochs_since_best >= patience


def _store_best_weights(state: State) -> None:
    """Copies the weights over those of the epoch before, so that memory never holds both."""
    weights = state.model.state_dict()
    if state.best_weights is None:
        state.best_weights = {name: torch.empty_like(value) for name, value in weights.items()}
    for name, value in weights.items():
        state.best_weights[name].copy_(value)
