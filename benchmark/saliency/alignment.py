"""Alignment of maps of a grid with the image: at the true centers of the cells, or stretched as other tools do."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import nn

import architectures.geometry
import architectures.surrogate
from architectures import Architecture
from architectures.geometry import Axis, Geometry, grid_geometry, stretched
from benchmark.config.presets import EFFECTIVE, ENGINE_VERSION
from benchmark.saliency.placement import Placement
from benchmark.storage.cache import load_or_make
from benchmark.storage.hashing import content_key
from benchmark.storage.identity import file_code, identity
from benchmark.storage.record import Alignment
from benchmark.storage.runs import geometry_file


@dataclass(frozen=True, kw_only=True, slots=True)
class GeometryResult:
    """The grid of an architecture on images of a size.

    Attributes:
        geometry: Positions of the cells. None where they cannot be computed.
        reason: Why they cannot be computed, else "".
    """

    geometry: Geometry | None
    reason: str = ""


def load_geometry(
    architecture: Architecture,
    size: Sequence[int],
    layer: str = "",
    compute: Callable[[], GeometryResult] | None = None,
) -> GeometryResult:
    """Loads the positions of the cells of an architecture's target layer on images (H, W), or computes them once.

    The geometry is that of the architecture. It depends neither on weights nor on the number of classes.

    Args:
        architecture: The architecture.
        size: Height and width of the images.
        layer: Dotted name of the layer. The default is the architecture's target layer.
        compute: Computes them elsewhere. None builds the network in this process.
    """
    layer = layer or architecture.target_layer

    def make(path: Path) -> None:
        result = compute() if compute else compute_geometry(architecture, size, layer)
        path.write_text(json.dumps(asdict(result)) + "\n", encoding="utf-8")

    return load_or_make(_geometry_file(architecture, size, layer), make, _read_geometry)


def _read_geometry(path: Path) -> GeometryResult:
    payload = json.loads(path.read_text(encoding="utf-8"))
    grid = payload["geometry"]
    geometry = Geometry(rows=Axis(**grid["rows"]), columns=Axis(**grid["columns"])) if grid else None
    return GeometryResult(geometry=geometry, reason=payload["reason"])


def get_placement(
    architecture: Architecture, size: Sequence[int], alignment: str, model: nn.Module, layer: str = ""
) -> Placement | None:
    """Returns what upsamples maps of a model's grid. None stretches them over the image.

    Args:
        architecture: The architecture of the grid.
        size: Height and width of the images.
        alignment: One of :data:`benchmark.config.presets.ALIGNMENTS`. Maps of an unknown geometry are stretched.
        model: The trained network, on which the effective receptive field depends.
        layer: Dotted name of the layer with the grid. The default is the architecture's target layer.
    """
    geometry = _model_geometry(architecture, size, alignment, model, layer).geometry if alignment != "none" else None
    return Placement(geometry) if geometry else None


def describe_alignment(
    architecture: Architecture, size: Sequence[int], alignment: str, model: nn.Module, layer: str = ""
) -> Alignment:
    """Describes the alignment of maps for a result record. Arguments as in :func:`get_placement`."""
    result = _model_geometry(architecture, size, alignment, model, layer)
    if result.geometry is None:
        return Alignment(method="none", reason=result.reason)
    axes = result.geometry.rows, result.geometry.columns
    return Alignment(
        method=alignment,
        grid=(axes[0].cells, axes[1].cells),
        first=(axes[0].first, axes[1].first),
        spacing=(axes[0].spacing, axes[1].spacing),
        displacement=(axes[0].displacement, axes[1].displacement),
    )


def get_grid(architecture: Architecture, size: Sequence[int], alignment: str, layer: str = "") -> Geometry | None:
    """Returns where maps of an architecture's grid are shown. None where the grid is unknown.

    Effective receptive fields differ from model to model. For a grid without a model they are the receptive fields.
    """
    geometry = load_geometry(architecture, size, layer).geometry
    if geometry is None or alignment != "none":
        return geometry
    rows, columns = (stretched(axis.cells, axis.pixels) for axis in (geometry.rows, geometry.columns))
    return Geometry(rows=rows, columns=columns)


def _model_geometry(
    architecture: Architecture, size: Sequence[int], alignment: str, model: nn.Module, layer: str
) -> GeometryResult:
    layer = layer or architecture.target_layer
    if alignment != EFFECTIVE:
        return load_geometry(architecture, size, layer)

    def make(path: Path) -> None:
        path.write_text(json.dumps(asdict(_compute_effective(model, layer, size))) + "\n", encoding="utf-8")

    return load_or_make(_geometry_file(architecture, size, layer, _hash_weights(model)), make, _read_geometry)


def _compute_effective(model: nn.Module, layer: str, size: Sequence[int]) -> GeometryResult:
    try:
        return GeometryResult(geometry=grid_geometry(model, layer, size, effective=True))
    except ValueError as error:
        return GeometryResult(geometry=None, reason=str(error))


def _hash_weights(model: nn.Module) -> str:
    """Computes the hash of all that a network has learned, which is much faster than its geometry."""
    digest = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _geometry_file(architecture: Architecture, size: Sequence[int], layer: str, *weights: str) -> Path:
    code = _hash_geometry_code()
    names = [architecture.name, identity(architecture), layer]
    return geometry_file(content_key(ENGINE_VERSION, code, names, list(size), *weights))


@cache
def _hash_geometry_code() -> list[str]:
    """Computes the hashes of the code that computes geometries, once per process."""
    modules = architectures.geometry, architectures.surrogate
    return [file_code(Path(str(module.__file__))) for module in modules]


def compute_geometry(architecture: Architecture, size: Sequence[int], layer: str) -> GeometryResult:
    """Computes the positions of the cells of a layer. Builds the network with random weights."""
    # Building the network draws random weights. The global generator must not advance.
    state = torch.random.get_rng_state()
    try:
        return GeometryResult(geometry=grid_geometry(architecture.build(2), layer, size))
    except ValueError as error:
        return GeometryResult(geometry=None, reason=str(error))
    finally:
        torch.random.set_rng_state(state)
