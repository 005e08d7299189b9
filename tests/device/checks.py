"""What runs on the simulated card: every architecture, regime, attack, method and metric, and a whole cell.

Each check computes on the CPU and on the card, and compares the numbers. They are equal to the bit, since the same
kernels compute both, unless the code takes another way on a card.
"""

import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from architectures import Architecture
from benchmark.attacks.apgd import APGD, apgd
from benchmark.attacks.ball import Ball
from benchmark.attacks.maps import MapAttack, attack_maps
from benchmark.attacks.noise import noise
from benchmark.attacks.pgd import PGD, pgd
from benchmark.data.dataset import prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.experiments.cell import run_cell
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.registry import entries
from benchmark.reliance.measure import measure_reliance
from benchmark.runtime.layout import place
from benchmark.runtime.tensors import predict, to_float
from benchmark.saliency import Method
from benchmark.saliency.activations import activations_and_gradient
from benchmark.saliency.grad_cam import GRAD_CAM
from benchmark.saliency.gradient import GRADIENT
from benchmark.saliency.placement import Placement
from benchmark.scoring.map_robustness import build_map_attacks, map_overlap_under_attack
from benchmark.scoring.perturbation import build_perturbation_context
from benchmark.scoring.predictions import build_attacks, predict_and_attack
from benchmark.training.loop import train
from benchmark.training.regimes import Regime
from benchmark.training.regimes.multitask import MULTITASK
from benchmark.training.regimes.standard import STANDARD
from datasets.dermsynth import render
from metrics import Metric
from tests.architectures.narrow import narrow
from tests.benchmark.golden import CELL, TINY
from tests.benchmark.reliance.networks import pictures
from tests.benchmark.saliency.networks import Small, attending, images
from tests.benchmark.training import test_training as trainings
from tests.device.real import RealCard, close, put_on
from tests.device.simulated import Card, to_cpu

AnyCard = Card | RealCard
Check = Callable[[AnyCard], None]
NUM_IMAGES = 16
"""Training images: two steps per epoch."""
BFLOAT16 = replace(trainings.SETTINGS, epochs=1, bfloat16=True)


def checks(number: int = 2) -> dict[str, Check]:
    """Returns all checks by name. Methods and metrics take a number of images."""
    made: dict[str, Check] = {}
    for name, entry in entries(Architecture).items():
        made[f"architecture/{name}"] = partial(check_architecture, entry)
    for name, regime in entries(Regime).items():
        made[f"regime/{name}"] = partial(check_regime, regime)
    for name, method in entries(Method).items():
        made[f"method/{name}"] = partial(check_method, method, number=number)
    for name, metric in entries(Metric).items():
        made[f"metric/{name}"] = partial(check_metric, metric, number=number)
    for norm in ("l2", "linf"):
        for loss in ("ce", "margin", "dlr"):
            made[f"attack/apgd-{norm}-{loss}"] = partial(check_attack, apgd, APGD(norm=norm, eps=1, steps=6, loss=loss))
        for options in ({"keep_best": True}, {"batch_statistics": True}):
            attack = PGD(norm=norm, eps=1, steps=3, step=0.5, random_start=True, **options)
            made[f"attack/pgd-{norm}-{next(iter(options))}"] = partial(check_attack, pgd, attack)
    for name in build_map_attacks(2):
        made[f"attack/{name}"] = partial(check_map_attack, name)
    made |= {
        "attack/noise": check_noise,
        "attack/of the predictions": check_predictions,
        "training/in bfloat16": check_mixed_precision,
        "training/from images in main memory": check_images_in_main_memory,
        "training/with frozen layers": check_frozen_layers,
        "training/at two sizes": check_two_sizes,
        "steps": check_steps,
        "stored maps": check_stored_maps,
        "reliance": check_reliance,
        "cell": check_cell,
    }
    return made


def check_architecture(entry: Architecture, card: AnyCard) -> None:
    """A step of training, probabilities and gradients at the target layer, all of it channels last."""
    model = place(narrow(entry), card.device)
    for parameter in model.parameters():
        assert parameter.device == card.device
        assert parameter.ndim != 4 or parameter.is_contiguous(memory_format=torch.channels_last)
    pixels = card.put(torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8))
    inputs = to_float(pixels)
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    logits, masks = model.train().with_mask(inputs) if entry.predicts_masks else (model.train()(inputs), None)
    loss = nn.functional.cross_entropy(logits, card.put(torch.tensor([0, 1])))
    (loss if masks is None else loss + masks.square().mean()).backward()
    assert all(parameter.grad.device == card.device for parameter in model.parameters())
    probabilities = predict(model.eval(), pixels)
    assert probabilities.shape == (2, 3)
    assert probabilities.device.type == "cpu"
    activations, gradient = activations_and_gradient(model, entry.target_layer, inputs, card.put(torch.tensor([0, 1])))
    assert activations.device == gradient.device == card.device


def check_regime(regime: Regime, card: AnyCard) -> None:
    """An epoch with validation, to the same weights as on the CPU."""
    settings = replace(trainings.SETTINGS, epochs=regime.batch_replays)
    _compare_trainings(card, regime, settings)


def check_mixed_precision(card: AnyCard) -> None:
    """Autocast of the card runs layers in bfloat16 and losses in float64. CPU and card cast other operations."""
    (model, history), seen = _with_dtypes(card.device, lambda: _train(STANDARD, BFLOAT16, card.device))
    assert seen == {torch.bfloat16}
    assert math.isfinite(history.losses[-1])
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    for name in ("trades", "adversarial", "scaat", "free", "multitask", "pgd-l2"):
        (_, history), seen = _with_dtypes(card.device, partial(_train, entries(Regime)[name], BFLOAT16, card.device))
        assert torch.bfloat16 in seen
        assert math.isfinite(history.losses[-1])


def check_images_in_main_memory(card: AnyCard) -> None:
    """Batches come from main memory one by one."""
    settings = replace(trainings.SETTINGS, epochs=2)
    _compare_trainings(card, STANDARD, settings, images=torch.device("cpu"))


def check_frozen_layers(card: AnyCard) -> None:
    """Frozen layers have no gradient on the card either."""
    model = place(trainings.network(), card.device)
    model[0].requires_grad_(requires_grad=False)
    before = to_cpu(model[0].weight).clone()
    settings = replace(trainings.SETTINGS, epochs=1)
    data = _on(replace(trainings.data(), masks=None), card.device)
    train(model, data, regime=STANDARD, settings=settings, report=trainings.SILENT, frozen=[model[1]])
    assert torch.equal(to_cpu(model[0].weight), before)


def check_two_sizes(card: AnyCard) -> None:
    """Small images first, with masks."""
    settings = replace(trainings.SETTINGS, epochs=2, small_size=8, full_size_epochs=1)
    _compare_trainings(card, MULTITASK, settings)


def check_method(method: Method, card: AnyCard, *, number: int) -> None:
    """The maps of the CPU, stretched and placed."""
    inputs, classes = images(number), torch.arange(number) % 4
    for upsample in (None, _placement(method)):
        here, there = (
            _explain(method, upsample, inputs, classes),
            _explain(method, upsample, card.put(inputs), card.put(classes)),
        )
        assert there.device == card.device
        assert close(card, there, here)
        if not method.uses_grid:
            break


def check_metric(metric: Metric, card: AnyCard, *, number: int) -> None:
    """The scores of the CPU."""
    here, there = (_score(metric, device, number) for device in (torch.device("cpu"), card.device))
    assert there.device == card.device
    if metric.name.startswith("road"):  # a CPU solves for few missing pixels directly, and a card iterates
        assert torch.allclose(to_cpu(there), here, atol=1e-5, equal_nan=True)
    else:
        assert close(card, there, here)


def check_stored_maps(card: AnyCard) -> None:
    """Scores of maps in half precision that are large enough for a CPU to count their values, which a card sorts."""
    for metric in entries(Metric).values():
        if metric.inputs.isdisjoint({"context", "curves"}):
            here, there = (_score(metric, device, 2, side=64) for device in (torch.device("cpu"), card.device))
            tolerance = 1e-12 if card.exact else 1e-2  # tv-ratio adds its terms in another order
            assert torch.allclose(to_cpu(there).cpu(), here, rtol=0, atol=tolerance, equal_nan=True), metric.name


def check_attack(move: Callable[..., Tensor], attack: Any, card: AnyCard) -> None:
    """The attacked images of the CPU."""
    labels, moved = torch.tensor([1, 3]), []
    for put in (Tensor.clone, card.put):
        model = place(Small(), put(labels).device)
        torch.manual_seed(0)
        moved.append(move(model, put(images()), put(labels), attack))
    # A real card draws random starts of its own.
    assert close(card, moved[1], moved[0]) or (not card.exact and getattr(attack, "random_start", False))
    assert moved[1].device == card.device


def check_map_attack(name: str, card: AnyCard) -> None:
    """The overlaps of the CPU."""
    attack, pixels, classes = build_map_attacks(2)[name], (images() * 255).to(torch.uint8), torch.tensor([1, 3])
    here, there = (
        map_overlap_under_attack(place(Small(), put(classes).device), Small.layer, put(pixels), put(classes), attack)
        for put in (Tensor.clone, card.put)
    )
    assert close(card, torch.from_numpy(there), torch.from_numpy(here))


def check_noise(card: AnyCard) -> None:
    """A generator of the CPU moves the images of the card."""
    random = torch.Generator().manual_seed(0)
    here = noise(images(), Ball("l2", 1.0), random)
    there = noise(card.put(images()), Ball("l2", 1.0), random.manual_seed(0))
    assert there.device == card.device
    assert close(card, there, here)


def check_predictions(card: AnyCard) -> None:
    """Clean and attacked predictions, of all attacks of a protocol."""
    pixels, labels = (images(4) * 255).to(torch.uint8), torch.tensor([1, 3, 0, 2])
    attacks = build_attacks("l2", (0.05, 0.5), 2, 3)
    here, there = (
        predict_and_attack(
            place(Small(), put(labels).device), put(pixels), put(labels), attacks=attacks, attacked=np.arange(4)
        )
        for put in (Tensor.clone, card.put)
    )
    _compare_frames(card, here, there)


def check_steps(card: AnyCard) -> None:
    """No step of an attack or of a training waits for the card: more steps, as many waits."""
    inputs, labels, model = card.put(images()), card.put(torch.tensor([1, 3])), place(Small(), card.device)
    turned = inputs.mean(dim=1)
    data = _on(replace(trainings.data(48), masks=None), card.device)

    def attack_map(steps: int) -> object:
        attack = MapAttack(norm="linf", eps=0.1, steps=steps, step=0.25, aim="target", keep_class=True)
        return attack_maps(model, Small.layer, inputs, labels, attack, target=turned, upsample_fn=_placement(GRAD_CAM))

    def train_in_steps(steps: int) -> object:
        settings = replace(trainings.SETTINGS, epochs=1, batch_size=48 // steps)
        trained = place(trainings.network(), card.device)
        return train(trained, data, regime=STANDARD, settings=settings, report=trainings.SILENT)

    works: dict[str, Callable[[int], object]] = {
        "pgd": lambda steps: pgd(
            model, inputs, labels, PGD(norm="l2", eps=1, steps=steps, step=0.5, random_start=True, keep_best=True)
        ),
        "apgd": lambda steps: apgd(model, inputs, labels, APGD(norm="linf", eps=0.1, steps=steps, loss="margin")),
        "attack on maps": attack_map,
        "training": train_in_steps,
    }
    for name, work in works.items():
        work(2)  # fills caches
        counts = []
        for steps in (2, 6):
            before = len(card.waits)
            work(steps)
            counts.append(len(card.waits) - before)
        assert counts[0] == counts[1], (name, card.waits[-counts[1] :])


def check_reliance(card: AnyCard) -> None:
    """The table of the CPU."""
    made, _ = pictures(6)
    frames = []
    for device in (torch.device("cpu"), card.device):
        torch.manual_seed(0)
        model = place(TINY.build(3), device).eval()
        frames.append(measure_reliance(model, TINY.target_layer, made, device))
    _compare_frames(card, *frames)


def check_cell(card: AnyCard) -> None:
    """A cell from the files to the record: the tables of the CPU."""
    here, there = (_run_cell(device) for device in (torch.device("cpu"), card.device))
    for one, other in zip(here, there, strict=True):
        _compare_frames(card, one, other)


def _on(data: Any, device: torch.device, images: torch.device | None = None) -> Any:
    """Puts training data on a device, without a record of it."""
    put = partial(put_on, device=device)
    return replace(
        data,
        images=data.images if images else put(data.images),
        labels=put(data.labels),
        masks=None if data.masks is None else put(data.masks),
    )


def _train(regime: Regime, settings: Any, device: torch.device, images: torch.device | None = None) -> Any:
    data = trainings.data(NUM_IMAGES) if regime.needs_masks else replace(trainings.data(NUM_IMAGES), masks=None)
    model = place(trainings.network(), device)
    history = train(
        model,
        _on(data, device, images),
        regime=regime,
        settings=settings,
        report=trainings.SILENT,
        validation=_on(data, device),
    )
    return model, history


def _compare_trainings(card: AnyCard, regime: Regime, settings: Any, images: torch.device | None = None) -> None:
    (here, expected), (there, found) = (
        _train(regime, settings, device, images) for device in (torch.device("cpu"), card.device)
    )
    if not card.exact:  # a training on another processor is another training
        assert all(map(math.isfinite, found.losses))
        return
    assert found == expected
    weights = there.state_dict()
    for name, tensor in here.state_dict().items():
        assert weights[name].device == card.device
        assert torch.equal(to_cpu(weights[name]), tensor), name


def _compare_frames(card: AnyCard, here: pd.DataFrame, there: pd.DataFrame) -> None:
    if card.exact:
        pd.testing.assert_frame_equal(here, there)
    else:
        assert list(here.columns) == list(there.columns)
        assert len(here) == len(there)


def _with_dtypes(device: torch.device, work: Callable[[], Any]) -> tuple[Any, set[torch.dtype]]:
    """Returns the result of a training, and the types in which its convolutions answered in training mode."""
    seen: set[torch.dtype] = set()

    def note(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d) and torch.is_autocast_enabled(device.type):
            seen.add(output.dtype)

    with nn.modules.module.register_module_forward_hook(note):
        return work(), seen


def _explain(method: Method, upsample: Any, inputs: Tensor, classes: Tensor) -> Tensor:
    model, layer = (attending(), "grid") if method.needs_attention else (Small(), Small.layer)
    return method.with_upsampling(upsample)(place(model, inputs.device), layer, inputs, classes)


@cache
def _placement(method: Method) -> Placement:
    from architectures.geometry import Axis, Geometry  # noqa: PLC0415 - only grids need it

    cells = 4 if method.needs_attention else 7
    axis = Axis(first=3.0, spacing=8.0, cells=cells, pixels=64)
    return Placement(Geometry(rows=axis, columns=axis))


def _score(metric: Metric, device: torch.device, number: int, side: int = 32) -> Tensor:
    """Scores gradient maps of a small network by one metric."""
    put = partial(put_on, device=device)
    pixels = (images(number, side, side) * 255).to(torch.uint8)
    maps = images(number, side, side).mean(dim=1).half().float()
    mask = torch.zeros(number, side, side, dtype=torch.bool)
    mask[:, 8:24, 6:20] = True
    given = {
        "saliency": maps,
        "reference": mask.float(),
        "mask": mask,
        "images": to_float(pixels),
    }
    inputs: dict[str, Any] = {name: put(given[name]) for name in metric.inputs & given.keys()}
    if metric.inputs & {"context", "curves"}:
        context = build_perturbation_context(
            place(Small(), device),
            put(pixels),
            maps.half().numpy(),
            put(torch.arange(number) % 4),
            ids=[f"image{index}" for index in range(number)],
            mean=put(torch.tensor([0.4, 0.5, 0.6])),
            steps=5,
            layer=Small.layer,
            method=GRADIENT,
        )
        inputs |= {"context": context} if "context" in metric.inputs else {"curves": context.curves()}
    return metric.compute(**inputs)


def _run_cell(device: torch.device) -> list[pd.DataFrame]:
    with (
        tempfile.TemporaryDirectory() as directory,
        mock.patch.dict("os.environ", LOUPE_RUNS=f"{directory}/runs"),
        mock.patch("benchmark.experiments.job.identity", lambda entry: entry.name),
        mock.patch("benchmark.saliency.alignment.identity", lambda entry: entry.name),
        mock.patch("benchmark.experiments.build_record.identity", lambda entry: entry.name, create=True),
    ):
        render(Path(directory, "data"), images=26, side=48, seed=3)
        preset = replace(CELL, num_map_attacked=2, apgd_steps=3)
        prepared = prepare_dataset(load_index(Source(directory=Path(directory, "data"))), preset)
        cell = Cell(architecture=TINY, regime=STANDARD, seed=0)
        done = run_cell(Job(cell=cell, data=prepared, preset=preset, device=device, bfloat16=False), lambda *_: None)
        return [pd.read_parquet(done / f"{name}.parquet") for name in ("predictions", "scores", "curves")]
