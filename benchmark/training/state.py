"""The state of a training between two epochs, so that one that was killed goes on as if nothing had happened."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.storage.files import atomic_file

SECONDS = 20.0
"""A state is saved after an epoch if the last one is so old: it is three times as large as the model."""


@dataclass(kw_only=True, slots=True)
class History:
    """How a training went.

    Attributes:
        losses: Mean loss of every epoch.
        validation: Loss on the validation images after every epoch; empty without such images.
        best: The epoch, from 1, whose weights were kept; 0 before there is one.
        micro_batch: Images that went through the network at once, less than a batch where memory ran out.
        stopped: Whether the training ended early since the validation loss fell no more.
    """

    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: int = 0
    micro_batch: int = 0
    stopped: bool = False


@dataclass(kw_only=True, slots=True)
class State:
    """Everything that the next epoch depends on.

    Attributes:
        model: The network.
        optimizer: Its optimizer.
        schedule: Of the learning rate.
        memory: What the regime keeps.
        history: How it went so far.
        best_weights: Weights of the best epoch; None until there is one, or where no validation chooses.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    memory: dict[str, Tensor] = field(default_factory=dict)
    history: History = field(default_factory=History)
    best_weights: dict[str, Tensor] | None = None


class CheckpointFile:
    """Where the state of a training is kept while it lasts."""

    def __init__(self, path: Path, seconds: float = SECONDS) -> None:
        self.path = path
        self._seconds = seconds
        self._last = time.monotonic()

    def save(self, state: State) -> None:
        """Writes the state, unless it was written a moment ago."""
        if time.monotonic() - self._last < self._seconds:
            return
        history = state.history
        told = {
            "model": state.model.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "schedule": state.schedule.state_dict(),
            "memory": state.memory,
            "kept": state.best_weights,
            "history": {name: getattr(history, name) for name in History.__slots__},
            "random": _random_state(),
        }
        with atomic_file(self.path) as temporary:
            torch.save(told, temporary)
        self._last = time.monotonic()

    def load(self, state: State, device: torch.device) -> None:
        """Brings a fresh state to where the file left off; nothing happens without a file.

        Raises:
            UserError: The file is damaged.
        """
        if not self.path.is_file():
            return
        try:
            # Tensors and plain values only: nothing is unpickled that could run.
            told: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
            state.model.load_state_dict(told["model"])
            state.optimizer.load_state_dict(told["optimizer"])
            state.schedule.load_state_dict(told["schedule"])
            state.memory = told["memory"]
            state.best_weights = told["kept"]
            state.history = History(**told["history"])
            _set_random_state(told["random"])
        except Exception as error:
            raise UserError(f"{self.path} is damaged; remove it and run again") from error

    def remove(self) -> None:
        """Removes the file once the model itself is kept."""
        self.path.unlink(missing_ok=True)


def _random_state() -> dict[str, Any]:
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def _set_random_state(told: dict[str, Any]) -> None:
    torch.set_rng_state(told["cpu"].cpu())
    if told["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in told["cuda"]])
