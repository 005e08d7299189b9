"""Where maps of a grid are placed on the image: at the true centers of the cells, or stretched as others do."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import architectures.geometry
from architectures import Architecture
from architectures.geometry import Axis, Geometry, grid_geometry, stretched
from benchmark.config.presets import ENGINE_VERSION
from benchmark.saliency.placement import Placement
from benchmark.storage.files import write_text
from benchmark.storage.hashing import content_key
from benchmark.storage.identity import file_code, identity
from benchmark.storage.record import Alignment
from benchmark.storage.runs import geometry_file


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known of the grid of an architecture on images of a size.

    Attributes:
        geometry: Where the cells lie; None where that cannot be computed.
        reason: Why it cannot; "" where it can.
    """

    geometry: Geometry | None
    reason: str = ""


def known_geometry(architecture: Architecture, size: Sequence[int]) -> Known:
    """Where the cells of an architecture's saliency layer lie on images (H, W); computed once and kept.

    The geometry is that of the network as it is built: weights and the number of classes have no say.
    """
    path = _file(architecture, size)
    if not path.is_file():
        write_text(path, json.dumps(asdict(_computed(architecture, size))) + "\n")
    told = json.loads(path.read_text(encoding="utf-8"))
    grid = told["geometry"]
    geometry = Geometry(rows=Axis(**grid["rows"]), columns=Axis(**grid["columns"])) if grid else None
    return Known(geometry=geometry, reason=told["reason"])


def placement_of(architecture: Architecture, size: Sequence[int], alignment: str) -> Placement | None:
    """What enlarges maps of an architecture's grid; None stretches them over the image.

    Args:
        architecture: Whose grid it is.
        size: Height and width of the images.
        alignment: One of :data:`benchmark.presets.ALIGNMENTS`. Where the geometry is not known, maps are stretched.
    """
    geometry = known_geometry(architecture, size).geometry if alignment != "none" else None
    return Placement(geometry) if geometry else None


def described(architecture: Architecture, size: Sequence[int], alignment: str) -> Alignment:
    """What a record tells of the placement of its maps."""
    known = known_geometry(architecture, size)
    if known.geometry is None:
        return Alignment(method="none", reason=known.reason)
    axes = known.geometry.rows, known.geometry.columns
    return Alignment(
        method=alignment,
        grid=(axes[0].cells, axes[1].cells),
        first=(axes[0].first, axes[1].first),
        spacing=(axes[0].spacing, axes[1].spacing),
        displacement=(axes[0].displacement, axes[1].displacement),
    )


def grid_of(architecture: Architecture, size: Sequence[int], alignment: str) -> Geometry | None:
    """Where maps of an architecture's grid are shown; None where the grid is not known."""
    geometry = known_geometry(architecture, size).geometry
    if geometry is None or alignment != "none":
        return geometry
    rows, columns = (stretched(axis.cells, axis.pixels) for axis in (geometry.rows, geometry.columns))
    return Geometry(rows=rows, columns=columns)


def _file(architecture: Architecture, size: Sequence[int]) -> Path:
    code = file_code(Path(str(architectures.geometry.__file__)))
    names = [architecture.name, identity(architecture), architecture.target_layer]
    return geometry_file(content_key(ENGINE_VERSION, code, names, list(size)))


def _computed(architecture: Architecture, size: Sequence[int]) -> Known:
    drawn = torch.random.get_rng_state()
    try:
        return Known(geometry=grid_geometry(architecture.build(2), architecture.target_layer, size))
    except ValueError as error:
        return Known(geometry=None, reason=str(error))
    finally:
        torch.random.set_rng_state(drawn)
