"""Networks behind maps from elsewhere that are files: an entry, or ONNX. What has code runs in a box."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from architectures import Architecture
from benchmark.errors import UserError
from benchmark.experiments.external_maps import ScoredMaps, ScoreRequest, score_external_maps
from benchmark.experiments.external_model import ExternalModel, LoadModel, require_weights
from benchmark.runtime.device import nearest_device
from benchmark.runtime.layout import place
from benchmark.storage.hashing import file_digest
from benchmark.submission.entries import SUFFIXES, known_entry, read_toml, require_entry
from benchmark.submission.judge.connection import connect
from benchmark.submission.judge.host import BoxHost
from benchmark.submission.judge.network import RemoteNetwork
from benchmark.submission.judge.onnx_network import LAYER
from benchmark.submission.onnx_file import require_onnx
from benchmark.submission.sandbox.client import worker
from benchmark.submission.sandbox.limits import GIGABYTE, Limits
from benchmark.training.checkpoint import checkpoint_file, class_order, load_weights, reorder_logits

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""Names of files that a record may have."""
SECONDS = 24 * 3600.0
"""Time limit of a box."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkOptions:
    """The network behind maps from elsewhere, as the user names it. Nothing means that it is not at hand.

    Attributes:
        architecture: Name of an architecture, or path of an entry file.
        checkpoint: Its weights, a safetensors file. An entry may name its own.
        onnx: An ONNX file, in place of both.
        normalization: What an ONNX file expects of its input.
        answers: What an ONNX file answers. None means logits.
        max_memory: Memory limit of its box, in GB.
        trust: Whether it runs even where this system has no box.
    """

    architecture: str | None = None
    checkpoint: Path | None = None
    onnx: Path | None = None
    normalization: str | None = None
    answers: str | None = None
    max_memory: float = 8.0
    trust: bool = False

    @property
    def limits(self) -> Limits:
        """Limits of its box."""
        return Limits(seconds=SECONDS, memory=int(self.max_memory * GIGABYTE), trust=self.trust)


def score_with_network(
    request: ScoreRequest, options: NetworkOptions, report: Callable[[str], None] = lambda _: None
) -> ScoredMaps:
    """Scores maps, with the network behind them if the user names one.

    Args:
        request: What to score.
        options: The network.
        report: Called with the name of each step.

    Raises:
        UserError: As :func:`benchmark.experiments.external_maps.score_external_maps`, or the network cannot be used.
    """
    if options.onnx is None and (options.normalization or options.answers):
        raise UserError("--normalization and --answers describe the network of --onnx; leave them out, or give it")
    if options.onnx is not None:
        opened = _open_onnx(options.onnx, options)
    elif options.architecture and options.architecture.endswith(SUFFIXES):
        opened = _open_entry(Path(options.architecture), options)
    else:
        known = replace(request, architecture=options.architecture, checkpoint=options.checkpoint)
        return score_external_maps(known, report)
    with opened as load_model:
        return score_external_maps(request, report, load_model)


@contextmanager
def _open_onnx(path: Path, options: NetworkOptions) -> Iterator[LoadModel]:
    """Yields what loads the network of an ONNX file into a box. The box ends with the block."""
    if options.architecture or options.checkpoint:
        raise UserError("--onnx is a whole network; leave out --architecture and --checkpoint, or --onnx")
    normalization, answers = require_onnx(path, options.normalization, options.answers)
    name, path = _require_name(path), path.resolve()
    with worker() as running, ExitStack() as stack:

        def load(classes: tuple[str, ...], side: int, device: torch.device) -> ExternalModel:
            said = {"normalization": normalization, "answers": answers}
            arguments = {"file": str(path), "classes": len(classes), "side": side, **said}
            with _named(name):
                connection = connect(running, "serve_onnx", arguments, options.limits, [path], echo=False)
                channel, find_reason = stack.enter_context(connection)
                network = RemoteNetwork(channel, LAYER, len(classes), find_reason)
            sha256 = file_digest(path)
            return ExternalModel(name=name, sha256=sha256, network=network, device=nearest_device(device), **said)

        yield load


@contextmanager
def _open_entry(path: Path, options: NetworkOptions) -> Iterator[LoadModel]:
    """Yields what loads the network of an entry: into a box if it has code. The box ends with the block."""
    require_entry(path)
    name, path = _require_name(path), path.resolve()
    with ExitStack() as stack:
        host = None
        with _named(name):
            if path.suffix == ".toml":
                architecture = stack.enter_context(known_entry(path, read_toml(path), None, pretrained=False))
            else:
                running = stack.enter_context(worker())
                host = BoxHost(entry=path, worker=running, limits=options.limits, echo=False)
                architecture = stack.enter_context(host.known_architecture(None, torch.device("cpu")))
            weights = _find_weights(architecture, options.checkpoint, name)

        def load(classes: tuple[str, ...], _side: int, device: torch.device) -> ExternalModel:
            device = nearest_device(device)
            with _named(name):
                network = _load_entry(architecture, weights, host, classes, device)
            return ExternalModel(name=name, sha256=file_digest(weights), network=network, device=device)

        yield load


def _load_entry(
    architecture: Architecture, weights: Path, host: BoxHost | None, classes: tuple[str, ...], device: torch.device
) -> nn.Module:
    """Loads the network of an entry, with its logits in the order of the classes of the data."""
    order = class_order(architecture.checkpoint, classes) if architecture.checkpoint else []
    if host is None:
        network = architecture.build(len(classes))
        load_weights(network, weights, whole=True)
        return reorder_logits(place(network, device).eval(), order)
    if device.type != "cpu":  # CUDA reserves more address space than the machine has memory
        host.limits = replace(host.limits, memory=0)
    return reorder_logits(host.serve(architecture.target_layer, len(classes), device, weights, whole=True), order)


def _find_weights(architecture: Architecture, given: Path | None, name: str) -> Path:
    """Returns the weights of an entry: those that it names, or the file that is given.

    Raises:
        UserError: There are none, or the file is another one than the entry names.
    """
    checkpoint = architecture.checkpoint
    if given is None:
        if checkpoint is None:
            raise UserError("names no weights; give them with --checkpoint FILE.safetensors")
        return checkpoint_file(architecture, checkpoint).resolve()
    require_weights(given, name)
    if checkpoint is not None and file_digest(given) != checkpoint.sha256:
        raise UserError(f"--checkpoint: {given} has another SHA-256 than the entry names; correct one of them")
    return given.resolve()


def _require_name(path: Path) -> str:
    """Returns the name of a file, if a record may have it."""
    if not FILE_NAME.fullmatch(path.name):
        raise UserError(f"{path}: rename the file; use letters, digits, and - _ . between them")
    return path.name


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Names the file in the errors of the block."""
    try:
        yield
    except (UserError, ValueError) as error:
        raise UserError(f"{name}: {error}") from None
