"""The state of a training between two epochs, from which a killed training resumes without a difference."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.runtime.device import is_out_of_memory
from benchmark.storage.cache import discard
from benchmark.storage.files import atomic_file

SAVE_INTERVAL_S = 20.0
"""Minimum time between two saved states in seconds, since a state is three times as large as the model."""


@dataclass(kw_only=True, slots=True)
class History:
    """The history of a training.

    Attributes:
        losses: Mean loss of every epoch.
        validation: Loss on the validation images after every epoch. Empty without such images.
        best: The epoch, from 1, whose weights are the result. 0 before the first epoch.
        micro_batch: Images per forward pass. Smaller than a batch where memory ran out.
        stopped: Whether training stopped early because the validation loss no longer fell.
        seconds: Time of the training, without interruptions.
    """

    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: int = 0
    micro_batch: int = 0
    stopped: bool = False
    seconds: float = field(default=0.0, compare=False)


@dataclass(kw_only=True, slots=True)
class State:
    """Everything that the next epoch depends on.

    Attributes:
        model: The network.
        optimizer: Its optimizer.
        schedule: Learning rate schedule.
        memory: Tensors that the regime carries from step to step.
        history: Losses so far.
        best_weights: Weights of the best epoch. None before the first epoch and without validation images.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    memory: dict[str, Tensor] = field(default_factory=dict)
    history: History = field(default_factory=History)
    best_weights: dict[str, Tensor] | None = None


class CheckpointFile:
    """The file that stores the state of an unfinished training."""

    def __init__(self, path: Path, seconds: float = SAVE_INTERVAL_S) -> None:
        self.path = path
        self._seconds = seconds
        self._last = time.monotonic()

    def save(self, state: State) -> None:
        """Writes the state, unless the last write is too recent."""
        if time.monotonic() - self._last < self._seconds:
            return
        history = state.history
        # The key "kept" is that of existing files. Another name would invalidate them.
        content = {
            "model": state.model.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "schedule": state.schedule.state_dict(),
            "memory": state.memory,
            "kept": state.best_weights,
            "history": {name: getattr(history, name) for name in History.__slots__},
            "random": _random_state(),
            "name": self.path.name,
        }
        with atomic_file(self.path) as temporary:
            torch.save(content, temporary)
        self._last = time.monotonic()

    def load(self, state: State, device: torch.device) -> None:
        """Restores a state from the file. Does nothing without a file. A damaged file is removed.

        Raises:
            UserError: The file is damaged in a way that is noticed late. It is removed.
        """
        if (content := self._read(device)) is None:
            return
        try:
            state.model.load_state_dict(content["model"])
            state.optimizer.load_state_dict(content["optimizer"])
            state.schedule.load_state_dict(content["schedule"])
            state.memory = content["memory"]
            state.best_weights = content["kept"]
            state.history = History(**content["history"])
            _set_random_state(content["random"])
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.remove()
            raise UserError(f"{self.path} was damaged and is removed; run again") from error

    def _read(self, device: torch.device) -> dict[str, Any] | None:
        """Reads the file. None if it is missing, damaged or that of another training."""
        if not self.path.exists() and not self.path.is_symlink():
            return None
        try:
            # The checksums of the archive, which torch ignores.
            with ZipFile(self.path) as archive:
                damaged = archive.testzip()
            # Tensors and plain values only: unpickling cannot run code.
            content: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
            if damaged is None and content.get("name", self.path.name) == self.path.name:
                return content
        except Exception as error:
            if is_out_of_memory(error):
                raise
            damaged = (str(error).splitlines() or [""])[0][:80]
        discard(self.path, damaged or "it is that of another training")
        return None

    def remove(self) -> None:
        """Removes the file once the trained model is stored."""
        self.path.unlink(missing_ok=True)


def _random_state() -> dict[str, Any]:
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def _set_random_state(random: dict[str, Any]) -> None:
    torch.set_rng_state(random["cpu"].cpu())
    if random["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in random["cuda"]])
