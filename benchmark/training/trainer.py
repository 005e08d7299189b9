"""One training: the network, its optimizer and the steps of an epoch."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.runtime.device import is_out_of_memory
from benchmark.training.augmentation import augment_batch, build_augmentation
from benchmark.training.compilation import Compiled
from benchmark.training.regimes import Batch, Regime
from benchmark.training.settings import Settings
from benchmark.training.state import State
from benchmark.training.tensor_data import TensorData, class_weights, slice_batch


class TrainingFailedError(RuntimeError):
    """The loss is not finite."""


class Trainer:
    """One training: its state, and the epochs that advance it."""

    def __init__(
        self, model: nn.Module, data: TensorData, regime: Regime, settings: Settings, *, frozen: Sequence[nn.Module]
    ) -> None:
        self.data, self.regime, self.settings, self.frozen = data, regime, settings, frozen
        self.batch_size = min(settings.batch_size, len(data))
        self.steps_per_epoch = len(data) // self.batch_size
        self.epochs = math.ceil(settings.epochs / regime.batch_replays)
        self.total_steps = self.epochs * self.steps_per_epoch * regime.batch_replays
        weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        peak = settings.learning_rate * regime.lr_scale
        optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=0.01, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=self.total_steps + 1)
        self.state = State(model=model, optimizer=optimizer, schedule=schedule)
        # A network with a mask head returns more than logits, which the compiled pass does not support.
        compiled = settings.compile is not None and not regime.needs_masks
        self.network = Compiled(model, str(settings.compile)) if compiled else model
        self.state.history.micro_batch = self.batch_size
        self._small: dict[TensorData, TensorData] = {}
        self.augment = build_augmentation()
        with torch.no_grad():
            classes = model.eval()(data.pixels(slice(1))).shape[1]
        self.class_weights = class_weights(data.labels, classes)

    def train_epoch(self) -> None:
        """One pass over the training images."""
        history = self.state.history
        data = self.at_size_of_epoch(self.data, len(history.losses))
        self._set_train_mode()
        total = torch.zeros((), device=data.device)
        order = torch.randperm(len(data))
        # Where the images are, so that no step waits for indices.
        here = order.to(data.images.device)
        there = here.to(data.device)
        done = len(history.losses) * self.steps_per_epoch * self.regime.batch_replays
        for step in range(self.steps_per_epoch):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            indices = there[part]
            masks = None if data.masks is None else data.masks[indices].float()
            images, masks = augment_batch(self.augment, data.pixels(here[part]), masks)
            for replay in range(self.regime.batch_replays):
                progress = (done + step * self.regime.batch_replays + replay) / self.total_steps
                total += self._step(self._batch(indices, images, masks, progress))
        # The gradients of the last step are as large as the network.
        self.state.optimizer.zero_grad(set_to_none=True)
        loss = float(total) / (self.steps_per_epoch * self.regime.batch_replays)
        if not math.isfinite(loss):
            last = f"; the last finite one was {history.losses[-1]:.3f}" if history.losses else ""
            raise TrainingFailedError(
                f"the loss of epoch {len(history.losses) + 1} is not finite{last}; try a smaller learning rate"
            )
        history.losses.append(loss)

    @property
    def small_epochs(self) -> int:
        """Number of epochs on small images, which come first."""
        if self.settings.small_size is None:
            return 0
        return self.epochs - math.ceil(self.settings.full_size_epochs / self.regime.batch_replays)

    def at_size_of_epoch(self, data: TensorData, epoch: int) -> TensorData:
        """Returns the images at the size of an epoch, from 0. Small ones are computed once."""
        if self.settings.small_size is None or epoch >= self.small_epochs:
            self._small.clear()  # no later epoch needs them
            return data
        if data not in self._small:
            self._small[data] = data.resized(self.settings.small_size)
        return self._small[data]

    def compute_loss(self, data: TensorData) -> float:
        """Computes the regime's loss on other images, in evaluation mode, with the same random numbers every time."""
        device = data.device
        self.state.model.eval()
        total = torch.zeros((), device=device)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            for start in range(0, len(data), self.batch_size):
                part = slice(start, start + self.batch_size)
                indices = torch.arange(start, min(part.stop, len(data)), device=device)
                masks = None if data.masks is None else data.masks[part].float()
                batch = Batch(
                    images=data.pixels(part),
                    labels=data.labels[indices],
                    class_weights=self.class_weights,
                    progress=1.0,
                    indices=indices,
                    num_images=len(data),
                    masks=masks,
                )
                total += self._loss(self.state.model, batch).detach() * len(indices)
        return float(total) / len(data)

    def recalibrate_batchnorm(self) -> None:
        """Estimates the BatchNorm statistics again with the final weights, on the training images without augmentation.

        In a short run, the running averages still depend on their initial values at the end (Wu and Johnson,
        Rethinking "Batch" in BatchNorm, 2021, section 3). Frozen layers do not change.
        """
        model, data = self.state.model, self.data
        frozen = {id(layer) for layer in self.frozen}
        layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and id(m) not in frozen]
        momenta = [layer.momentum for layer in layers]
        self._set_train_mode()
        for layer in layers:
            layer.reset_running_stats()
        hooks = [layer.register_forward_pre_hook(_cumulative_mean_hook()) for layer in layers]
        # A mask head has BatchNorm layers too, and only `with_mask` runs them.
        forward = model.with_mask if self.regime.needs_masks else model
        with torch.no_grad(), self._autocast():
            for start in range(0, len(data) - self.batch_size + 1, self.batch_size):
                forward(data.pixels(slice(start, start + self.batch_size)))  # type: ignore[operator]
        for layer, momentum, hook in zip(layers, momenta, hooks, strict=True):
            hook.remove()
            layer.momentum = momentum
        model.eval()

    def _set_train_mode(self) -> None:
        self.network.train()
        for layer in self.frozen:
            layer.eval()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.data.device.type, torch.bfloat16, enabled=self.settings.bfloat16)

    def _loss(self, network: nn.Module, batch: Batch) -> Tensor:
        with self._autocast():
            return self.regime.objective(network, batch)

    def _batch(self, indices: Tensor, images: Tensor, masks: Tensor | None, progress: float) -> Batch:
        return Batch(
            images=images,
            labels=self.data.labels[indices],
            class_weights=self.class_weights,
            progress=progress,
            indices=indices,
            num_images=len(self.data),
            masks=masks,
            memory=self.state.memory,
        )

    def _step(self, batch: Batch) -> Tensor:
        """Updates the weights once and returns the mean loss of the batch."""
        state = self.state
        if self.network is not state.model:
            torch.compiler.cudagraph_mark_step_begin()
        while True:
            try:
                state.optimizer.zero_grad(set_to_none=True)
                loss = self._gradients(batch)
                break
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve_micro_batch()
        nn.utils.clip_grad_norm_(state.model.parameters(), self.settings.clip)
        state.optimizer.step()
        state.schedule.step()
        return loss

    def _gradients(self, batch: Batch) -> Tensor:
        """Accumulates the gradients of the whole batch, in micro-batches where memory is short."""
        total = torch.zeros((), device=batch.images.device)
        num_images, size = len(batch.labels), self.state.history.micro_batch
        for start in range(0, num_images, size):
            part = batch if size >= num_images else slice_batch(batch, slice(start, start + size))
            # Weighted by size, so that the sum is the mean loss of the batch.
            loss = self._loss(self.network, part) * (len(part.labels) / num_images)
            loss.backward()
            total += loss.detach()
        return total

    def _halve_micro_batch(self) -> None:
        """Halves the micro-batch. The batch of an update stays the same."""
        history = self.state.history
        if history.micro_batch < 4:
            raise UserError(
                "memory does not hold two images of this network; use a smaller image size or another device"
            )
        if self.regime.batch_replays > 1:
            # What it carries from replay to replay belongs to a whole batch.
            raise UserError(
                f"memory does not hold a batch, which {self.regime.name} needs whole; use a smaller image size"
            )
        history.micro_batch = math.ceil(history.micro_batch / 2)
        torch.cuda.empty_cache()


def _cumulative_mean_hook() -> Callable[[nn.Module, object], None]:
    """Returns a hook that makes the running averages of a BatchNorm layer the plain mean over its batches.

    It equals momentum None. That option reads its counter of batches from the device, so every layer would wait.
    """
    calls = itertools.count(1)

    def set_momentum(layer: nn.Module, _inputs: object) -> None:
        layer.momentum = 1.0 / next(calls)  # type: ignore[assignment]  # modules may hold plain values

    return set_momentum
