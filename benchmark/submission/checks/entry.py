"""The checks of one entry. They run in the child process of :mod:`benchmark.submission.sandbox.worker`."""

import difflib
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from architectures import Architecture
from architectures.geometry import grid_geometry
from architectures.network import Network, parameter_count
from architectures.target_layer import last_grid
from benchmark.errors import UserError
from benchmark.registry import entries, resolve_name
from benchmark.runtime.device import use_exact_arithmetic
from benchmark.saliency.grad_cam import grad_cam
from benchmark.submission.entries import facts_of, load_entry
from benchmark.submission.sandbox.worker import one_line
from benchmark.training.checkpoint import checkpoint_file, load_weights
from benchmark.training.regimes import Regime

CLASSES = 6
COUNTS = (2, 7)
SEED = 20
SMALLEST = 96
ODD = (97, 131)
TOLERANCE = 1e-3


@dataclass(kw_only=True)
class Findings:
    """What was found in an entry: lines, and facts for the record."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class _Broken(Exception):  # noqa: N818 - it ends the look at an entry, and is no error of ours
    """What was found makes further looks pointless; it is told already."""


def examine(entry: str, *, ours: bool = False, with_checkpoint: bool = False) -> dict[str, Any]:
    """Tries the contract on the entry in a file.

    Args:
        entry: Path of the file.
        ours: Whether it lies in the directory of the registered architectures, whose names are taken by themselves.
        with_checkpoint: Whether a checkpoint that the entry names must be at hand.

    Returns:
        The fields of :class:`Findings`.
    """
    use_exact_arithmetic()
    found = Findings()
    with suppress(_Broken):
        _look(found, Path(entry), ours=ours, with_checkpoint=with_checkpoint)
    return asdict(found)


def _look(found: Findings, path: Path, *, ours: bool, with_checkpoint: bool) -> None:
    entry = _loaded(found, path, ours=ours)
    found.facts["metadata"] = facts_of(entry)
    network = _built(found, entry)
    found.facts["parameters"] = parameter_count(network)
    _answers(found, entry, network)
    _normalizes(found, network)
    _explains(found, entry, network)
    _learns(found, entry, network)
    if entry.checkpoint is not None:
        _fits(found, entry, needed=with_checkpoint)


def _loaded(found: Findings, path: Path, *, ours: bool) -> Architecture:
    """The entry; importing it must neither build nor change anything."""
    built: list[str] = []
    make = nn.Module.__init__

    def note(module: nn.Module, *arguments: Any, **named: Any) -> None:
        built.append(type(module).__name__)
        make(module, *arguments, **named)

    with _attempt(found, "importing it"), _nothing_changes(found, "importing it", seeds=True):
        if ours:
            return entries(Architecture)[resolve_name(path.stem, entries(Architecture), "architecture")]
        try:
            if path.suffix == ".py":
                vars(nn)["Module"].__init__ = note
            entry = load_entry(path)
        finally:
            vars(nn)["Module"].__init__ = make
        if built:
            found.problems.append(f"importing it builds a network ({built[0]}); build it in build(classes)")
        return entry
    raise _Broken


def _built(found: Findings, entry: Architecture) -> nn.Module:
    """The network for six classes; the same seed must give the same weights, and the seed must be heard."""
    with _attempt(found, f"build({CLASSES})"), _nothing_changes(found, f"build({CLASSES})"):
        network = _seeded(entry)
        heard, drawn = torch.initial_seed(), torch.random.get_rng_state()
        if not isinstance(network, nn.Module):
            found.problems.append(f"build({CLASSES}) returns {type(network).__name__}, not a torch.nn.Module")
            raise _Broken
        network.eval()
        if heard != SEED:
            found.problems.append("build sets torch's seed; that is the harness' to set")
        elif torch.equal(drawn, torch.manual_seed(SEED).get_state()):
            found.problems.append("build draws nothing at random, so every seed gives the same weights")
        if not _same(network, _seeded(entry)):
            found.problems.append("build gives other weights under the same seed; draw them by torch alone")
        return network
    raise _Broken


def _seeded(entry: Architecture) -> nn.Module:
    torch.manual_seed(SEED)
    return entry.build(CLASSES)


def _same(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _answers(found: Findings, entry: Architecture, network: nn.Module) -> None:
    """Logits of the right shape, finite, the same every time, image by image, at any size."""
    small = _photographs(3, SMALLEST, SMALLEST)
    with torch.inference_mode():
        logits = _logits(found, network, small, CLASSES)
        native = entry.input_size if 32 <= entry.input_size <= 1024 else 224
        for height, width in (ODD, (native, native)):
            _logits(found, network, _photographs(1, height, width), CLASSES)
        again = _logits(found, network, small, CLASSES)
        alone = torch.cat([_logits(found, network, image[None], CLASSES) for image in small])
    if not torch.equal(logits, again):
        found.problems.append("gives other logits for the same images in evaluation mode; is something random in it?")
    elif not torch.allclose(logits, alone, rtol=TOLERANCE, atol=TOLERANCE * float(logits.abs().max())):
        found.problems.append("the logits of an image depend on the other images of the batch")
    if bool((logits >= 0).all()) and torch.allclose(logits.sum(dim=1), torch.ones(len(logits)), atol=1e-4):
        found.warnings.append("returns probabilities, it seems: rows add up to 1; return logits, without softmax")
    for classes in COUNTS:
        with _attempt(found, f"build({classes})"), _nothing_changes(found, f"build({classes})"):
            try:
                with torch.device("meta"):  # no memory for the weights of a large network
                    shape = entry.build(classes).eval()(torch.empty(2, *small.shape[1:])).shape
            except (RuntimeError, NotImplementedError):
                shape = _logits(found, entry.build(classes).eval(), small[:2], classes).shape
            if shape != (2, classes):
                found.problems.append(f"build({classes}) makes a network that returns {tuple(shape)} for 2 images")


def _logits(found: Findings, network: nn.Module, images: Tensor, classes: int) -> Tensor:
    """Logits, or the end of the look where there are none."""
    size = " x ".join(map(str, images.shape[-2:]))
    given = images.clone()
    with _attempt(found, f"a call on images of {size} px"), _nothing_changes(found, "a call", seeds=True):
        with torch.no_grad():
            logits = network(given)
        if not isinstance(logits, Tensor) or logits.shape != (len(images), classes):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            found.problems.append(
                f"returns {shape} for {len(images)} images and {classes} classes; return (N, classes)"
            )
            raise _Broken
        if logits.dtype != torch.float32:
            found.problems.append(f"returns {logits.dtype}, not torch.float32")
        if not bool(logits.isfinite().all()):
            found.problems.append(f"returns values that are no numbers for images of {size} px")
            raise _Broken
        if not torch.equal(given, images):
            found.problems.append("changes the images that it is given; work on a copy")
        return logits
    raise _Broken


def _normalizes(found: Findings, network: nn.Module) -> None:
    """Whether it normalizes can only be guessed: by the numbers that it would need for that."""
    triples = [tensor for tensor in network.buffers() if tensor.is_floating_point() and tensor.numel() == 3]
    if not isinstance(network, Network) and not triples:
        found.warnings.append("no buffer of three values: does it normalize images in [0, 1] itself? see Network")
    if isinstance(network, Network) and not bool((network.std > 0).all()):
        found.problems.append("divides by a standard deviation that is not positive")


def _explains(found: Findings, entry: Architecture, network: nn.Module) -> None:
    """The saliency layer runs once, has a grid, and its Grad-CAM says something."""
    layer = entry.target_layer
    names = [name for name, _ in network.named_modules()]
    if layer not in names:
        near = difflib.get_close_matches(layer, names, n=2)
        remedy = f"; nearest: {', '.join(near)}" if near else _last_grid(network)
        found.problems.append(f"has no module {layer!r} for the saliency layer{remedy}")
        return
    images, seen = _photographs(2, SMALLEST, SMALLEST), list[Any]()
    handle = network.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with handle, torch.no_grad():
        network(images)
    if len(seen) != 1:
        line = f"the saliency layer {layer!r} runs {len(seen)} times in a call, not once"
        found.problems.append(line + _last_grid(network))
        return
    shape = tuple(seen[0].shape) if isinstance(seen[0], Tensor) else ()
    if len(shape) != 4 or min(shape[-2:]) < 2:
        line = f"the saliency layer {layer!r} puts out {shape}, no grid (N, K, h, w)"
        found.problems.append(line + _last_grid(network))
        return
    found.facts["grid"] = list(shape[-2:])
    _lies(found, network, layer)
    with _attempt(found, f"Grad-CAM at {layer!r}"):
        # Class after class until one map of it says something: mostly the first does.
        if not any(_speaks(grad_cam(network, layer, images, torch.tensor([c, c]))) for c in range(CLASSES)):
            line = f"Grad-CAM at {layer!r} is constant: what is behind it does not look at places"
            found.problems.append(line + _last_grid(network))


def _lies(found: Findings, network: nn.Module, layer: str) -> None:
    """Where the cells of the grid lie on the image; if that is not known, maps are stretched."""
    try:
        grid = grid_geometry(network, layer, (SMALLEST, SMALLEST))
    except ValueError as error:
        found.warnings.append(f"where its cells look is not known, so its maps are shown unaligned: {error}")
        return
    found.facts["displacement"] = [grid.rows.displacement, grid.columns.displacement]


def _speaks(maps: Tensor) -> bool:
    """Whether one of the maps is not constant."""
    return bool((maps.std(dim=(1, 2)) > TOLERANCE * maps.amax(dim=(1, 2))).any())


def _last_grid(network: nn.Module) -> str:
    """The remedy for a saliency layer that is none."""
    try:
        return f"; the last module with a grid is {last_grid(network)!r}"
    except (ValueError, RuntimeError):
        return ""


def _learns(found: Findings, entry: Architecture, network: nn.Module) -> None:
    """The gradient reaches every parameter and the image."""
    network.train()
    with torch.no_grad():
        for parameter in network.parameters():
            if not bool(parameter.any()):  # some blocks begin as an identity: a factor of zero hides what is behind
                parameter.fill_(0.1)
    images = _photographs(4, SMALLEST, SMALLEST).requires_grad_()
    with _attempt(found, "a training step"):
        loss = nn.functional.cross_entropy(network(images), torch.arange(4))
        if entry.predicts_masks:
            logits, masks = network.with_mask(images)  # type: ignore[operator]  # the contract of such networks
            if masks.shape != (4, SMALLEST, SMALLEST) or logits.shape != (4, CLASSES):
                found.problems.append(f"with_mask returns {tuple(logits.shape)} and {tuple(masks.shape)}")
            loss = loss + masks.square().mean()
        loss.backward()
        if images.grad is None or not bool(images.grad.any()):
            found.problems.append("no gradient reaches the image; is something detached or rounded?")
        for name, parameter in network.named_parameters():
            if parameter.grad is None:
                found.problems.append(f"no gradient reaches the parameter {name!r}; remove it, or use it")
                break
            if not _finite(parameter.grad):
                found.problems.append(f"the gradient of {name!r} is no number")
                break


def _finite(tensor: Tensor) -> bool:
    """Whether all values are numbers: a sum that is one has no other terms, and is had in a tenth of the time."""
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def _fits(found: Findings, entry: Architecture, *, needed: bool) -> None:
    """The checkpoint from elsewhere is the one it says, and fits."""
    checkpoint = entry.checkpoint
    if checkpoint is None:
        return
    try:
        resolve_name(checkpoint.regime, entries(Regime), "regime")
        path = checkpoint_file(entry, checkpoint)
    except UserError as error:
        absent = "does not exist" in str(error) and not needed
        (found.warnings if absent else found.problems).append(str(error))
        return
    network = entry.build(len(checkpoint.classes))
    try:
        load_weights(network, path, whole=True)
    except UserError as error:
        found.problems.append(str(error))
        return
    with torch.inference_mode():
        _logits(found, network.eval(), _photographs(2, SMALLEST, SMALLEST), len(checkpoint.classes))
    found.facts["checkpoint"] = str(path)


@contextmanager
def _attempt(found: Findings, what: str) -> Iterator[None]:
    """What an entry's code raises is a problem and ends the look; memory ends the child."""
    try:
        yield
    except (_Broken, MemoryError):
        raise
    except UserError as error:
        found.problems.append(str(error))
        raise _Broken from None
    except BaseException as error:  # noqa: BLE001 - an entry may raise anything, SystemExit too
        if "allocate memory" in str(error):
            raise MemoryError from None
        found.problems.append(f"{what} raises {one_line(error)}")
        raise _Broken from None


@contextmanager
def _nothing_changes(found: Findings, what: str, *, seeds: bool = False) -> Iterator[None]:
    """Global state is the same afterwards; what is changed is told and put back."""
    states = STATES | (SEEDS if seeds else {})
    before = {name: read() for name, read in states.items()}
    try:
        yield
    finally:
        for name, read in states.items():
            line = f"{what} changes {name}; that is the harness' to set"
            if read() != before[name] and line not in found.problems:
                found.problems.append(line)
        torch.set_default_dtype(before["torch's default dtype"])
        torch.set_grad_enabled(before["torch's gradient mode"])
        torch.use_deterministic_algorithms(before["torch's determinism flag"])


STATES: dict[str, Callable[[], Any]] = {
    "torch's default dtype": torch.get_default_dtype,
    "torch's determinism flag": torch.are_deterministic_algorithms_enabled,
    "torch's gradient mode": torch.is_grad_enabled,
    "torch's number of threads": torch.get_num_threads,
    "torch's precision of products": torch.get_float32_matmul_precision,
    "cuDNN's flags": lambda: (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
    "the environment": lambda: dict(os.environ),
    "the working folder": os.getcwd,
}
"""What an entry leaves alone."""
SEEDS: dict[str, Callable[[], Any]] = {
    "torch's random numbers": lambda: torch.random.get_rng_state().tolist(),
    "Python's random numbers": random.getstate,
    "NumPy's random numbers": lambda: str(np.random.get_state()),  # noqa: NPY002 - the global state is what is watched
}
"""What only building may draw from."""


def _photographs(count: int, height: int, width: int) -> Tensor:
    """Smooth colors with noise in [0, 1], the same every time, so that neither a mean nor an edge is missing."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, 4, 4, generator=generator, dtype=torch.float32)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = torch.rand(smooth.shape, generator=generator, dtype=torch.float32)
    return (smooth + 0.1 * noise).clamp(0, 1)
