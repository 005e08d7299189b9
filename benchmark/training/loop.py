"""The training loop: one for all regimes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torchvision.transforms import v2

from benchmark.training.regimes import Batch, Regime


class TrainingFailedError(RuntimeError):
    """The loss is no number any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How long and how fast to train.

    Attributes:
        epochs: Passes over the training images.
        batch: Images per step.
        learning_rate: Peak of the one-cycle schedule of AdamW.
        bfloat16: Whether the network runs in bfloat16 autocast.
    """

    epochs: int
    batch: int
    learning_rate: float
    bfloat16: bool


def augmentation() -> nn.Module:
    """Flips, turns, zooms and changes of light, drawn once per batch and applied on its device."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomAffine(degrees=20, scale=(0.8, 1.25), interpolation=v2.InterpolationMode.BILINEAR),
            v2.ColorJitter(brightness=0.15, contrast=0.15),
        ]
    )


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    regime: Regime,
    settings: Settings,
    report: Callable[[int, float], None],
) -> list[float]:
    """Trains a network in place.

    Random numbers come from torch's global generators: seed them before the network is built.

    Args:
        model: On the device; gives logits (N, C).
        images: All training images, (N, 3, H, W), uint8, on the device.
        labels: (N,), int64, on the device.
        regime: How to train.
        settings: How long and how fast.
        report: Called after each epoch with the number of epochs done and the mean loss.

    Returns:
        Mean loss of each epoch.

    Raises:
        TrainingFailedError: The loss is no number any more; the message names the epoch.
    """
    batch = min(settings.batch, len(images))
    steps = len(images) // batch
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=settings.learning_rate, total_steps=settings.epochs * steps + 1
    )
    weights = class_weights(labels)
    augment = augmentation()
    losses: list[float] = []
    model.train()
    for epoch in range(settings.epochs):
        total = torch.zeros((), device=images.device)
        order = torch.randperm(len(images)).to(images.device)
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            progress = (epoch * steps + step) / (settings.epochs * steps)
            inputs = augment(to_float(images[chosen]))
            with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.bfloat16):
                batch_now = Batch(images=inputs, labels=labels[chosen], class_weights=weights, progress=progress)
                loss = regime.objective(model, batch_now)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.detach()
        losses.append(float(total) / steps)
        if losses[-1] != losses[-1]:
            raise TrainingFailedError(f"the loss of epoch {epoch + 1} is no number; try a smaller learning rate")
        report(epoch + 1, losses[-1])
    _settle_batchnorm(model, images, batch, settings)
    return losses


def class_weights(labels: Tensor) -> Tensor:
    """Weights (C,) that make every class count the same; their mean over the images is one."""
    counts = torch.bincount(labels)
    return len(labels) / (len(counts) * counts.clamp(min=1))


def to_float(images: Tensor) -> Tensor:
    """Pixels (N, 3, H, W) from uint8 to [0, 1], channels last."""
    return (images.float() / 255).contiguous(memory_format=torch.channels_last)


def _settle_batchnorm(model: nn.Module, images: Tensor, batch: int, settings: Settings) -> None:
    """Estimates the BatchNorm statistics anew with the final weights, on the training images as they are.

    A short run ends long before the running averages have forgotten where they began (Wu and Johnson,
    Rethinking "Batch" in BatchNorm, 2021, section 3).
    """
    whole = [images[start : start + batch] for start in range(0, len(images) - batch + 1, batch)]
    with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.bfloat16):
        update_bn((to_float(part) for part in whole), model)
    model.eval()
