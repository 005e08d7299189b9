"""The training loop: one for all regimes."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.training.augmentation import augmentation, augmented
from benchmark.training.compilation import Compiled
from benchmark.training.regimes import Batch, Regime
from benchmark.training.state import CheckpointFile, History, State
from benchmark.training.tensor_data import TensorData, class_weights, slice_batch

Report = Callable[[int, History], None]
"""Called after each epoch with the number of epochs done and how it went so far."""


class TrainingFailedError(RuntimeError):
    """The loss is no number any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How long and how fast to train.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: Peak of the schedule of AdamW: a warm-up over 30 % of the steps, then a cosine down to nothing
            (Smith and Topin, Super-convergence, 2019).
        bfloat16: Whether the network runs in bfloat16 autocast.
        patience: The training ends when the validation loss has not fallen for so many epochs; 0 never ends it early.
        compile: One of :data:`benchmark.config.presets.COMPILE_MODES`; None compiles nothing.
        clip: Largest norm of the gradient of all weights; larger ones are scaled down to it.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    bfloat16: bool
    patience: int = 0
    compile: str | None = None
    clip: float = 5.0

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        if self.epochs < 1 or self.batch_size < 1 or self.patience < 0:
            raise ValueError(f"{self} makes no sense: epochs and batch_size must be positive, patience not negative")
        if not (self.learning_rate > 0 and self.clip > 0):
            raise ValueError(f"{self} makes no sense: learning rate and clip must be positive")


def train(  # noqa: PLR0913 - what is learned, how, and who is told
    model: nn.Module,
    lesson: TensorData,
    *,
    regime: Regime,
    settings: Settings,
    report: Report,
    validation: TensorData | None = None,
    frozen: Sequence[nn.Module] = (),
    file: CheckpointFile | None = None,
) -> History:
    """Trains a network in place; with validation images, to the weights of the epoch of the lowest loss on them.

    Random numbers come from torch's global generators: seed them before the network is built.

    Args:
        model: On the device; gives logits (N, C).
        lesson: What to learn from, on the device.
        regime: How to train.
        settings: How long and how fast.
        report: Told of progress.
        validation: Images to choose the best epoch by, in the regime's own loss; never test images.
        frozen: BatchNorm layers that shall stay in evaluation mode; see :func:`architectures.groups.freeze`.
        file: Where the state is saved after each epoch, and found again.

    Returns:
        How it went.

    Raises:
        TrainingFailedError: The loss is no number any more; the message says how far it went.
        UserError: Memory does not even hold two images at a time.
    """
    trainer = _Trainer(model, lesson, regime, settings, frozen=frozen)
    state = trainer.state
    if file:
        file.load(state, lesson.device)
    history = state.history
    epochs = trainer.epochs
    while len(history.losses) < epochs and not history.stopped:
        trainer.epoch()
        update_best(trainer, validation, settings)
        if file and len(history.losses) < epochs:
            file.save(state)
        report(len(history.losses), history)
    if state.best_weights is not None:
        model.load_state_dict(state.best_weights)
    trainer.recalibrate_batchnorm()
    return history


def update_best(trainer: "_Trainer", validation: TensorData | None, settings: Settings) -> None:
    """Keeps the weights if they are the best so far, and says whether to go on."""
    state, history = trainer.state, trainer.state.history
    if validation is None or not len(validation):
        history.best = len(history.losses)
        return
    history.validation.append(trainer.loss_on(validation))
    lowest = min(history.validation)
    if history.validation[-1] == lowest:
        history.best = len(history.losses)
        state.best_weights = {name: value.detach().clone() for name, value in state.model.state_dict().items()}
    since = len(history.losses) - history.best
    history.stopped = bool(settings.patience) and since >= settings.patience


class _Trainer:
    """One training: the state and how to take it an epoch further."""

    def __init__(
        self, model: nn.Module, lesson: TensorData, regime: Regime, settings: Settings, *, frozen: Sequence[nn.Module]
    ) -> None:
        self.lesson, self.regime, self.settings, self.frozen = lesson, regime, settings, frozen
        self.batch = min(settings.batch_size, len(lesson))
        self.steps = len(lesson) // self.batch
        self.epochs = math.ceil(settings.epochs / regime.batch_replays)
        self.total = self.epochs * self.steps * regime.batch_replays
        weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        peak = settings.learning_rate * regime.lr_scale
        optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=0.01, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=self.total + 1)
        self.state = State(model=model, optimizer=optimizer, schedule=schedule)
        # A network with a mask head is asked for more than logits.
        compiled = settings.compile is not None and not regime.needs_masks
        self.network = Compiled(model, str(settings.compile)) if compiled else model
        self.state.history.micro_batch = self.batch
        self.augment = augmentation()
        with torch.no_grad():
            classes = model.eval()(lesson.pixels(slice(1))).shape[1]
        self.class_weights = class_weights(lesson.labels, classes)

    def epoch(self) -> None:
        """One pass over the training images."""
        history, device = self.state.history, self.lesson.device
        self._learning_mode()
        total = torch.zeros((), device=device)
        order = torch.randperm(len(self.lesson)).to(device)
        done = len(history.losses) * self.steps * self.regime.batch_replays
        for step in range(self.steps):
            chosen = order[step * self.batch : (step + 1) * self.batch]
            masks = None if self.lesson.masks is None else self.lesson.masks[chosen].float()
            images, masks = augmented(self.augment, self.lesson.pixels(chosen), masks)
            for replay in range(self.regime.batch_replays):
                progress = (done + step * self.regime.batch_replays + replay) / self.total
                total += self._step(self._batch(chosen, images, masks, progress))
        loss = float(total) / (self.steps * self.regime.batch_replays)
        if not math.isfinite(loss):
            last = f"; the last finite one was {history.losses[-1]:.3f}" if history.losses else ""
            raise TrainingFailedError(
                f"the loss of epoch {len(history.losses) + 1} is no number{last}; try a smaller learning rate"
            )
        history.losses.append(loss)

    def loss_on(self, lesson: TensorData) -> float:
        """The regime's loss on other images, in evaluation mode; its random numbers are the same every time."""
        device = lesson.device
        self.state.model.eval()
        total = torch.zeros((), device=device)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            for start in range(0, len(lesson), self.batch):
                places = torch.arange(start, min(start + self.batch, len(lesson)), device=device)
                masks = None if lesson.masks is None else lesson.masks[places].float()
                batch = Batch(
                    images=lesson.pixels(places),
                    labels=lesson.labels[places],
                    class_weights=self.class_weights,
                    progress=1.0,
                    places=places,
                    number=len(lesson),
                    masks=masks,
                )
                total += self._loss(self.state.model, batch).detach() * len(places)
        return float(total) / len(lesson)

    def recalibrate_batchnorm(self) -> None:
        """Estimates the BatchNorm statistics anew with the final weights, on the training images as they are.

        A short run ends long before the running averages have forgotten where they began (Wu and Johnson,
        Rethinking "Batch" in BatchNorm, 2021, section 3). Frozen layers stay as they are.
        """
        model, lesson = self.state.model, self.lesson
        best_weights = {id(layer) for layer in self.frozen}
        layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and id(m) not in best_weights]
        momenta = [layer.momentum for layer in layers]
        self._learning_mode()
        for layer in layers:
            layer.reset_running_stats()
        hooks = [layer.register_forward_pre_hook(_plain_mean()) for layer in layers]
        # A mask head has BatchNorm too, which only this pass goes through.
        forward = model.with_mask if self.regime.needs_masks else model
        with torch.no_grad(), self._precision():
            for start in range(0, len(lesson) - self.batch + 1, self.batch):
                forward(lesson.pixels(slice(start, start + self.batch)))  # type: ignore[operator]
        for layer, momentum, hook in zip(layers, momenta, hooks, strict=True):
            hook.remove()
            layer.momentum = momentum
        model.eval()

    def _learning_mode(self) -> None:
        self.network.train()
        for layer in self.frozen:
            layer.eval()

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.lesson.device.type, torch.bfloat16, enabled=self.settings.bfloat16)

    def _loss(self, network: nn.Module, batch: Batch) -> Tensor:
        with self._precision():
            return self.regime.objective(network, batch)

    def _batch(self, chosen: Tensor, images: Tensor, masks: Tensor | None, progress: float) -> Batch:
        return Batch(
            images=images,
            labels=self.lesson.labels[chosen],
            class_weights=self.class_weights,
            progress=progress,
            places=chosen,
            number=len(self.lesson),
            masks=masks,
            memory=self.state.memory,
        )

    def _step(self, batch: Batch) -> Tensor:
        """One update of the weights; the mean loss of the batch."""
        state = self.state
        if self.network is not state.model:
            torch.compiler.cudagraph_mark_step_begin()
        while True:
            try:
                state.optimizer.zero_grad(set_to_none=True)
                loss = self._gradients(batch)
                break
            except torch.OutOfMemoryError:
                self._use_less_memory()
        nn.utils.clip_grad_norm_(state.model.parameters(), self.settings.clip)
        state.optimizer.step()
        state.schedule.step()
        return loss

    def _gradients(self, batch: Batch) -> Tensor:
        """Gradients of the whole batch, a part at a time where memory is short."""
        total = torch.zeros((), device=batch.images.device)
        number, size = len(batch.labels), self.state.history.micro_batch
        for start in range(0, number, size):
            part = batch if size >= number else slice_batch(batch, slice(start, start + size))
            loss = self._loss(self.network, part) * (len(part.labels) / number)
            loss.backward()
            total += loss.detach()
        return total

    def _use_less_memory(self) -> None:
        """Halves the part of a batch that goes through the network at once; the batch of an update stays the same."""
        history = self.state.history
        if history.micro_batch < 4:
            raise UserError("memory does not hold two images of this network; use a smaller side or another device")
        if self.regime.batch_replays > 1:
            # What it carries from replay to replay belongs to the images of a whole batch.
            raise UserError(f"memory does not hold a batch, which {self.regime.name} needs whole; use a smaller side")
        history.micro_batch = math.ceil(history.micro_batch / 2)
        torch.cuda.empty_cache()


def _plain_mean() -> Callable[[nn.Module, object], None]:
    """A hook that makes the running averages of a BatchNorm layer the plain mean over the batches it is called with.

    As momentum None does, but that reads its counter of batches from the device, and every layer would wait for it.
    """
    calls = itertools.count(1)

    def weigh(layer: nn.Module, _inputs: object) -> None:
        layer.momentum = 1.0 / next(calls)  # type: ignore[assignment]  # modules may hold plain values

    return weigh
