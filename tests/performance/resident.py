"""A training by Loupe's own loop on SYNTHETIC images that lie on the device: noise, drawn once."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from architectures import Architecture
from architectures.groups import freeze, layer_groups
from benchmark.registry import entries
from benchmark.runtime.device import prefers_bfloat16, use_exact_arithmetic
from benchmark.training.regimes import Batch, Regime
from benchmark.training.settings import Settings
from benchmark.training.tensor_data import TensorData
from benchmark.training.trainer import Trainer

CLASSES = 6
EPOCHS = 500
"""Most epochs that may be made of a training; as many are taken for made, so that delayed attacks have begun."""


def resident_training(
    architecture: str, regime: str, *, side: int, batch: int, steps: int, device: torch.device
) -> Trainer:
    """A training at half its time, of so many steps an epoch, with random weights, in the precision that pays."""
    torch.manual_seed(0)
    entry, way = entries(Architecture)[architecture], entries(Regime)[regime]
    model = entry.build(CLASSES).to(device, memory_format=torch.channels_last)
    number = batch * steps
    # As the decoded images lie: pixel by pixel, the channels together.
    pixels = torch.randint(0, 256, (number, side, side, 3), dtype=torch.uint8).to(device).permute(0, 3, 1, 2)
    masks = torch.rand(number, side, side).to(device, torch.float16) if way.needs_masks else None
    data = TensorData(images=pixels, labels=torch.arange(number, device=device) % CLASSES, masks=masks)
    settings = Settings(
        epochs=2 * EPOCHS * way.batch_replays, batch_size=batch, learning_rate=1e-4, bfloat16=prefers_bfloat16(device)
    )
    frozen = freeze(model, layer_groups(model, entry.input_size), way.frozen) if way.frozen else ()
    trainer = Trainer(model, data, way, settings, frozen=frozen)
    trainer.state.history.losses = [1.0] * EPOCHS
    return trainer


def images_per_epoch(trainer: Trainer) -> int:
    """Images that an epoch learns from; one that is used again counts again."""
    return trainer.steps_per_epoch * trainer.batch_size * trainer.regime.batch_replays


def resident_batch(trainer: Trainer) -> Batch:
    """The first images of a training as its steps are given them, without augmentation."""
    data = trainer.data
    chosen = torch.arange(trainer.batch_size, device=data.images.device)
    images = torch.rand(trainer.batch_size, *data.images.shape[1:]).to(
        data.images.device, memory_format=torch.channels_last
    )
    masks = None if data.masks is None else data.masks[chosen].float()
    return trainer._batch(chosen, images, masks, progress=0.9)


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Arithmetic as `run` sets it, for the time of the block."""
    cudnn, precision = torch.backends.cudnn, torch.get_float32_matmul_precision()
    before = cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic
    use_exact_arithmetic()
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before
        torch.set_float32_matmul_precision(precision)
