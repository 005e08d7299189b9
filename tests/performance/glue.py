"""A cell as somebody writes it who glues it together from what there is.

A network of timm's, torchvision's ImageFolder and transforms, a plain training loop, PGD as in torchattacks 3.5.1,
pytorch-grad-cam (Captum where that is not installed), and Quantus. The data, the schedule, the attacks and the numbers
of epochs, images and forward passes are those of Loupe's cell; what is free is the gluer's: number formats and layouts,
threads and workers, which :func:`tuned` tries out before anything is measured.
"""

import itertools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from tests.metrics.quantus_oracle import quantus

TRIED_STEPS = 6
EVALUATED_AT_ONCE = 32
QUIET = {"disable_warnings": True, "display_progressbar": False}

try:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
except ImportError:
    GradCAM = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be done; everything that decides the amount of work.

    Attributes:
        directory: Images in `train/CLASS/` and `test/CLASS/`, as ImageFolder wants them.
        masks: Of the test images in the order of ImageFolder, (T, S, S), bool.
        build: Makes the network.
        layer: Name of the layer for Grad-CAM.
        attack: Eps, size of a step and number of steps of the attack in the training, for values in [0, 1] and L2;
            None trains on the images as they are.
        delay: Share of the training before the attacks begin.
        judged: Places of the test images that are attacked to measure robustness, with the attack in `test_attack`.
        flipped: Places of the test images whose pixels are flipped, in `steps` steps.
    """

    directory: Path
    masks: np.ndarray
    build: Callable[[], nn.Module]
    layer: str
    side: int
    epochs: int
    batch: int
    learning_rate: float
    clip: float
    attack: tuple[float, float, int] | None
    delay: float
    judged: Sequence[int]
    test_attack: tuple[float, float, int]
    flipped: Sequence[int]
    steps: int


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is tuned."""

    threads: int
    workers: int
    layout: torch.memory_format


def augmentation() -> list[nn.Module]:
    """The usual ones, as strong as Loupe's."""
    return [
        v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(),
        v2.RandomAffine(degrees=20, scale=(0.8, 1.25), interpolation=v2.InterpolationMode.BILINEAR),
        v2.ColorJitter(brightness=0.15, contrast=0.15),
    ]


def read(task: Task, part: str, changes: Sequence[nn.Module] = ()) -> ImageFolder:
    """The images of a part, decoded when they are asked for."""
    small = [v2.PILToTensor(), v2.Resize((task.side, task.side)), *changes, v2.ToDtype(torch.float32, scale=True)]
    return ImageFolder(task.directory / part, v2.Compose(small))


class FromFiles:
    """Batches as the tutorials make them: every image decoded and changed by itself, in every epoch."""

    def __init__(self, task: Task, setting: Setting) -> None:
        self.images = read(task, "train", augmentation())
        self.labels = torch.tensor(self.images.targets)
        self.loader = DataLoader(
            self.images,
            task.batch,
            shuffle=True,
            drop_last=True,
            num_workers=setting.workers,
            persistent_workers=setting.workers > 0,
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.loader)

    def __len__(self) -> int:
        return len(self.loader)


class FromMemory:
    """Batches as somebody makes them who has looked for the slow places: decoded once, changed a batch at a time."""

    def __init__(self, task: Task, setting: Setting) -> None:
        whole = DataLoader(read(task, "train"), 64, num_workers=setting.workers)
        images, labels = zip(*whole, strict=True)
        self.labels = torch.cat(labels)
        self.data, self.batch = TensorDataset(torch.cat(images), self.labels), task.batch
        self.change = v2.Compose(augmentation())

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.data.tensors
        order = torch.randperm(len(labels))
        for places in order[: len(self) * self.batch].split(self.batch):
            yield self.change(images[places]), labels[places]

    def __len__(self) -> int:
        return len(self.labels) // self.batch


Batches = type[FromFiles] | type[FromMemory]


def train(task: Task, make: Batches, setting: Setting) -> nn.Module:
    """The model, trained as Loupe trains it."""
    batches = make(task, setting)
    model = task.build().to(memory_format=setting.layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=task.learning_rate, weight_decay=0.01)
    total = task.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=task.learning_rate, total_steps=total + 1)
    counts = torch.bincount(batches.labels)
    loss_of = nn.CrossEntropyLoss(weight=len(batches.labels) / (len(counts) * counts))
    for number, (images, labels) in zip(range(total), again_and_again(batches), strict=False):
        learned = images.to(memory_format=setting.layout)
        if task.attack is not None and number >= task.delay * total:
            learned = pgd_l2(model, learned, labels, *task.attack)
        model.train()
        optimizer.zero_grad()
        loss_of(model(learned), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), task.clip)
        optimizer.step()
        schedule.step()
    still = (images.to(memory_format=setting.layout) for images, _ in DataLoader(read(task, "train"), task.batch))
    torch.optim.swa_utils.update_bn(still, model)
    return model.eval()


def again_and_again(batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch."""
    return itertools.chain.from_iterable(itertools.repeat(batches))


def pgd_l2(model: nn.Module, images: Tensor, labels: Tensor, eps: float, alpha: float, steps: int) -> Tensor:
    """torchattacks.PGDL2 without a random start, line by line."""
    model.eval()
    loss = nn.CrossEntropyLoss()
    adv_images = images.clone().detach()
    for _ in range(steps):
        adv_images.requires_grad = True
        cost = loss(model(adv_images), labels)
        grad = torch.autograd.grad(cost, adv_images, retain_graph=False, create_graph=False)[0]
        grad_norms = torch.norm(grad.reshape(len(images), -1), p=2, dim=1) + 1e-10
        grad = grad / grad_norms.view(-1, 1, 1, 1)
        adv_images = adv_images.detach() + alpha * grad
        delta = adv_images - images
        delta_norms = torch.norm(delta.reshape(len(images), -1), p=2, dim=1)
        factor = torch.min(eps / delta_norms, torch.ones_like(delta_norms))
        delta = delta * factor.view(-1, 1, 1, 1)
        adv_images = torch.clamp(images + delta, min=0, max=1).detach()
    return adv_images


def explain_and_score(task: Task, model: nn.Module, setting: Setting) -> dict[str, list[float]]:
    """Predictions, robustness, Grad-CAM maps and their scores."""
    images, labels = zip(*DataLoader(read(task, "test"), EVALUATED_AT_ONCE), strict=True)
    images, labels = torch.cat(images).to(memory_format=setting.layout), torch.cat(labels)
    with torch.no_grad():
        predicted = torch.cat([model(part).argmax(1) for part in images.split(EVALUATED_AT_ONCE)])
    right = predicted == labels
    attacked = torch.tensor([place for place in task.judged if right[place]], dtype=torch.int64)
    withstood = []
    for places in attacked.split(EVALUATED_AT_ONCE):
        moved = pgd_l2(model, images[places], labels[places], *task.test_attack)
        with torch.inference_mode():
            withstood += (model(moved).argmax(1) == labels[places]).tolist()
    maps = grad_cam(task, model, images, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Quantus warns of much, and divides by the maximum of maps that are zero
        return {"right": right.tolist(), "withstood": withstood, **by_quantus(task, model, images, predicted, maps)}


def grad_cam(task: Task, model: nn.Module, images: Tensor, predicted: Tensor) -> np.ndarray:
    """Maps (N, 1, S, S) by pytorch-grad-cam, or by Captum."""
    layer, found = model.get_submodule(task.layer), []
    pairs = zip(images.split(EVALUATED_AT_ONCE), predicted.split(EVALUATED_AT_ONCE), strict=True)
    if GradCAM is None:
        for part, classes in pairs:
            maps = LayerGradCam(model, layer).attribute(part, target=classes, relu_attributions=True)
            found.append(functional.interpolate(maps, size=part.shape[-2:], mode="bilinear").detach().numpy())
        return np.concatenate(found)
    with GradCAM(model, [layer]) as cam:
        for part, classes in pairs:
            found.append(cam(part, [ClassifierOutputTarget(label) for label in classes.tolist()]))
    return np.concatenate(found)[:, None]


def by_quantus(
    task: Task, model: nn.Module, images: Tensor, predicted: Tensor, maps: np.ndarray
) -> dict[str, list[float]]:
    """Gini of all maps, F1 by rank accuracy where there is a mask, and pixel flipping of some."""
    pixels, classes, some = images.contiguous().numpy(), predicted.numpy(), list(task.flipped)
    masked = np.flatnonzero(task.masks.any(axis=(1, 2)))
    # Loupe asks about the untouched image too; Quantus flips single channels, and demands a divisor of the pixels.
    flipping = quantus.PixelFlipping(
        features_in_step=3 * task.side**2 // (task.steps + 1), return_auc_per_sample=True, abs=False, **QUIET
    )
    return {
        "sparsity": quantus.Sparseness(**QUIET)(
            model=model, x_batch=pixels, y_batch=classes, a_batch=maps.copy(), device="cpu"
        ),
        "f1": quantus.RelevanceRankAccuracy(**QUIET)(
            model=model,
            x_batch=pixels[masked],
            y_batch=classes[masked],
            a_batch=maps[masked].copy(),
            s_batch=task.masks[masked, None].astype(float),
            device="cpu",
        ),
        "flipping": flipping(
            model=model, x_batch=pixels[some], y_batch=classes[some], a_batch=maps[some].copy(), device="cpu"
        ),
    }


def tuned(task: Task, make: Batches, cores: int) -> Setting:
    """The setting in which a few steps of training take least time."""
    workers = (0, *range(1, cores + 1)) if make is FromFiles else (0,)
    layouts = (torch.channels_last, torch.contiguous_format)
    tried = [
        Setting(threads=threads, workers=number, layout=layout)
        for number in workers
        for threads in dict.fromkeys((cores, 1))
        for layout in layouts
    ]
    return min(tried, key=lambda setting: seconds_of_a_few_steps(task, make, setting))


def seconds_of_a_few_steps(task: Task, make: Batches, setting: Setting) -> float:
    """Beginning with the second epoch's first batch, when workers are up; the best of two goes."""
    torch.set_num_threads(setting.threads)
    batches, model = make(task, setting), task.build().to(memory_format=setting.layout).train()
    optimizer, source = torch.optim.AdamW(model.parameters()), again_and_again(batches)

    def step() -> None:
        images, labels = next(source)
        learned = images.to(memory_format=setting.layout)
        if task.attack is not None:
            learned = pgd_l2(model, learned, labels, *task.attack)
            model.train()
        optimizer.zero_grad()
        functional.cross_entropy(model(learned), labels).backward()
        optimizer.step()

    step()
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        for _ in range(TRIED_STEPS):
            step()
        times.append(time.perf_counter() - begun)
    return min(times)
