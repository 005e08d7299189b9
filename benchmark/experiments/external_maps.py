"""Scores maps from elsewhere and adds their row to the tables."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from architectures import Architecture
from benchmark.config.presets import PRESETS, load_preset
from benchmark.data.dataset import ImageDataset, prepare_dataset
from benchmark.data.load import Source, load_index, require_usable
from benchmark.data.splits import has_official_split
from benchmark.errors import UserError
from benchmark.experiments.cell_reliance import list_test_names
from benchmark.experiments.external_cell import ExternalCell, publish_external, write_cell
from benchmark.experiments.external_model import LoadModel, find_network, load_external_model
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.leaderboard.analysis.other_protocols import describe_difference
from benchmark.map_files.collect import ANY_CLASS, MapCollection, MapLocation, collect_maps
from benchmark.map_files.store import StoredMaps, check_maps, store_maps
from benchmark.map_files.values import NEGATIVE
from benchmark.phrases import format_count, format_names
from benchmark.registry import entries, resolve_name
from benchmark.runtime.device import use_exact_arithmetic
from benchmark.scoring.predictions_csv import read_predictions_csv
from benchmark.storage.hashing import content_key
from benchmark.storage.protocol import read_protocol
from benchmark.storage.record import ExternalMaps, Record, load_record
from benchmark.storage.results import record_files, table_dir
from benchmark.storage.runs import maps_file
from benchmark.training.regimes import Regime
from datasets import DatasetIndex

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
MAX_NAMED = 3
"""Number of images that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRequest:
    """What to score, and on what.

    Attributes:
        maps: Directory or file of the maps.
        source: The data set.
        name: Name of the row.
        method: Name of the saliency method, by its owner.
        preset: Name of a preset. An existing table of that name overrides its settings.
        changes: Settings that replace those of the preset.
        split: split.csv of another run, to reuse.
        index: CSV file with the image of each map of an array.
        predictions: CSV file with the predicted class of each image.
        negative: What negative values mean, see :data:`benchmark.map_files.values.NEGATIVE`.
        allow_missing: Whether to score only the images that have a map. Their row is not ranked with others.
        architecture: Name of the registered architecture of the network behind the maps. None if it is of another
            kind, or not at hand.
        checkpoint: Its weights, a safetensors file. With it, the network also predicts.
    """

    maps: Path
    source: Source
    name: str
    method: str
    preset: str = "quick"
    changes: Mapping[str, Any] = field(default_factory=dict)
    split: Path | None = None
    index: Path | None = None
    predictions: Path | None = None
    negative: str = "refuse"
    allow_missing: bool = False
    architecture: str | None = None
    checkpoint: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredMaps:
    """Result of scoring maps.

    Attributes:
        directory: The results directory.
        record: The record.
        notes: One line for each thing that the user should know.
        in_table: Whether the row is in the table of the other rows, not below it.
    """

    directory: Path
    record: Record
    notes: tuple[str, ...]
    in_table: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    """The table that a row is for: its settings, data and protocol, and what the user should know."""

    job: Job
    protocol: str
    notes: tuple[str, ...]


def score_external_maps(
    request: ScoreRequest, report: Callable[[str], None] = lambda _: None, load_model: LoadModel | None = None
) -> ScoredMaps:
    """Scores maps against the masks of the test images, and writes their record. The tables are not rebuilt.

    Args:
        request: What to score.
        report: Called with the name of each step.
        load_model: Loads the network behind the maps. None loads that of the request.

    Raises:
        UserError: The maps, the data or the options cannot be used. Nothing was written to the results.
    """
    _check_names(request, has_model=load_model is not None or request.checkpoint is not None)
    use_exact_arithmetic()
    report("checking the maps")
    index = require_usable(load_index(request.source))
    collection = _collect(request, index)
    report("reading the data")
    table = _open_table(request, index)
    data = table.job.data
    if load_model is None:
        model = load_external_model(request.architecture, request.checkpoint, data.classes, table.job.device)
    else:
        model = load_model(data.classes, data.images.shape[1], table.job.device)
    data, missing = _select_images(request, data, collection)
    ids = list_test_names(data)
    predictions = read_predictions_csv(request.predictions, ids, data.classes) if request.predictions else None
    if model is not None:
        report("classifying")
        predictions = model.predict(data)
    locations = list(_choose_locations(ids, collection, data.classes, predictions))
    report(f"reading {format_count(len(locations), 'map')}")
    key = content_key("external maps", request.name, request.method, request.negative, data.key, ids)
    stored = store_maps(locations, maps_file(f"external-{key}"), data.images.shape[1], request.negative)
    surplus = collection.locations.keys() - set(ids)
    unknown = sorted(surplus - {sample.id for sample in index.samples})
    maps = ExternalMaps(
        method=request.method,
        source=request.maps.name,
        sha256=stored.sha256,
        predictions=_describe_predictions(predictions),
        explained="predicted" if any(len(collection.locations[name]) > 1 for name in ids) else "",
        negative="" if request.negative == "refuse" else request.negative,
        sizes=dict(stored.sizes.most_common()),
        missing=len(missing),
        surplus=len(surplus),
        not_finite=len(stored.not_finite),
        constant=len(stored.constant),
        network=model.name if model else "",
        checkpoint=model.sha256 if model else "",
        normalization=model.normalization if model else "",
        answers=model.answers if model else "",
    )
    external = ExternalCell(
        job=replace(table.job, data=data),
        protocol=content_key(table.protocol, "only", ids) if missing else table.protocol,
        name=request.name,
        maps=maps,
        predictions=predictions,
        model=model,
    )
    report("scoring the maps")
    record = write_cell(external, np.load(stored.path, mmap_mode="r"))
    report("scoring the baselines")
    directory = publish_external(external, record)
    notes = _notes(maps, missing, unknown, len(collection.ignored), stored)
    return ScoredMaps(
        directory=directory,
        record=record,
        notes=(*table.notes, *notes),
        in_table=read_protocol(directory).get("protocol") == record.protocol,
    )


def _check_names(request: ScoreRequest, *, has_model: bool) -> None:
    """Checks what needs no data, before the data is read, which may take minutes."""
    if not request.maps.exists():
        raise UserError(f"{request.maps} does not exist; give a directory of maps or a file")
    resolve_name(request.preset, PRESETS, "preset")
    resolve_name(request.negative, NEGATIVE, "--negative")
    if request.predictions and has_model:
        raise UserError("--predictions: the network behind the maps predicts; leave out one of them")
    find_network(request.architecture, request.checkpoint)
    tables = {"--predictions": request.predictions, "--split": request.split, "--index": request.index}
    for option, path in tables.items():
        if path is not None and not path.is_file():
            raise UserError(f"{option}: {path} does not exist; give a CSV file")
    for option, name in (("--name", request.name), ("--method", request.method)):
        if not NAME.fullmatch(name):
            raise UserError(f"{option} {name!r}: use up to 64 lower case letters, digits, and - _ . between them")
    if request.name in entries(Architecture):
        raise UserError(f"--name {request.name} is an architecture of Loupe; choose another, such as my-{request.name}")


def _collect(request: ScoreRequest, index: DatasetIndex) -> MapCollection:
    """Finds the maps and reads all that may be scored, before the data is read, which may take minutes.

    Raises:
        UserError: A map cannot be used, or none is of an image of the data.
    """
    collection = collect_maps(request.maps, index.classes, request.index)
    known = [sample for sample in index.samples if sample.id in collection.locations]
    if not known:
        raise _refuse_names(request, collection, index.samples[0].id)
    if request.split is None and has_official_split(index.samples):
        known = [sample for sample in known if sample.split == "test"]
    locations = [location for sample in known for location in collection.locations[sample.id].values()]
    check_maps(locations, request.negative)
    return collection


def _refuse_names(request: ScoreRequest, collection: MapCollection, image: str) -> UserError:
    first = next(iter(collection.locations))
    return UserError(
        f"{request.maps} has no map of any test image; rename the maps: they are named like {first}, the images "
        f"like {image}"
    )


def _open_table(request: ScoreRequest, index: DatasetIndex) -> _Table:
    """Loads the data as the existing table of that preset uses it, or as the preset says."""
    preset = PRESETS[request.preset]
    directory = table_dir(index.name, preset.name)
    latest = read_protocol(directory).get("protocol")
    record = _find_record(directory, latest) if latest else None
    if record is not None:
        preset = load_preset(record.settings["preset"])
    try:
        preset = replace(preset, **request.changes)
    except ValueError as error:
        raise UserError(f"--{error}") from None
    data = prepare_dataset(index, preset, manifest=request.split)
    device = torch.device(record.environment.get("device") or "cpu") if record else torch.device("cpu")
    job = Job(cell=_placeholder(), data=data, preset=preset, device=device)
    protocol = job.protocol
    notes: tuple[str, ...] = ()
    if latest and protocol != latest:
        why = describe_difference(record.settings["preset"], asdict(preset)) if record else "other data or code"
        reason = f"{directory} follows another protocol ({why}), so the row is below its table, not ranked"
        notes = (f"{reason} with its rows; use the same --data and options, or run its models again",)
    return _Table(job=job, protocol=protocol, notes=notes)


def _find_record(directory: Path, protocol: str) -> Record | None:
    """Finds a record of the protocol of a table, whose settings are those of the table."""
    for path in record_files(directory):
        try:
            record = load_record(path)
        except (ValueError, OSError):
            continue
        if record.protocol == protocol:
            return record
    return None


def _placeholder() -> Cell:
    """Returns a cell for a job that trains nothing. The protocol does not depend on it."""
    return Cell(
        architecture=next(iter(entries(Architecture).values())), regime=next(iter(entries(Regime).values())), seed=0
    )


def _select_images(
    request: ScoreRequest, data: ImageDataset, collection: MapCollection
) -> tuple[ImageDataset, list[str]]:
    """Returns the data, without the test images that lack a map if that is allowed, and the names of these."""
    ids = data.samples["id"].astype(str)
    is_test = data.samples["split"] == "test"
    missing = [name for name in ids[is_test] if name not in collection.locations]
    if not missing:
        return data, []
    names = _list(missing)
    if len(missing) == int(is_test.sum()):
        raise _refuse_names(request, collection, missing[0])
    if not request.allow_missing:
        raise UserError(
            f"{request.maps} lacks the maps of {len(missing)} of {int(is_test.sum())} test images ({names}); add them, "
            "or score the others alone with --allow-missing"
        )
    samples = data.samples.assign(split=data.samples["split"].where(~ids.isin(missing), "left out"))
    return replace(data, samples=samples), missing


def _choose_locations(
    ids: list[str], collection: MapCollection, classes: tuple[str, ...], predictions: pd.DataFrame | None
) -> Iterator[MapLocation]:
    """Yields the map of each image: that of the predicted class, where there are several."""
    for index, name in enumerate(ids):
        by_class = collection.locations[name]
        if len(by_class) == 1:
            yield next(iter(by_class.values()))
            continue
        if ANY_CLASS in by_class:
            raise UserError(f"{by_class[ANY_CLASS]} has no class, but {name} has other maps with one; remove it")
        if predictions is None:
            raise UserError(
                f"{name} has maps of {len(by_class)} classes; that of the predicted class is scored: give --predictions"
            )
        predicted = classes[predictions["predicted"].iloc[index]]
        if predicted not in by_class:
            raise UserError(f"{name} has no map of {predicted!r}, its predicted class; add it")
        yield by_class[predicted]


def _list(names: list[str]) -> str:
    """Names a few images."""
    return format_names(names, MAX_NAMED)


def _describe_predictions(predictions: pd.DataFrame | None) -> Literal["none", "classes", "probabilities"]:
    if predictions is None:
        return "none"
    return "probabilities" if "p0" in predictions else "classes"


def _notes(maps: ExternalMaps, missing: list[str], unknown: list[str], ignored: int, stored: StoredMaps) -> list[str]:
    """Describes what is odd about the maps, one line each, with a remedy."""
    notes = []
    if maps.predictions == "none":
        notes.append(
            "there are no predictions, so nothing shows that the model beats chance, and the row has no rank; "
            "give --predictions"
        )
    if missing:
        without = format_count(len(missing), "test image has", "test images have")
        notes.append(f"{without} no map ({_list(missing)}); the row is not ranked with others")
    if maps.surplus > len(unknown):
        others = format_count(maps.surplus - len(unknown), "map is", "maps are")
        notes.append(f"{others} of images that are not in the test set, and not scored")
    if unknown:
        others = format_count(len(unknown), "map is", "maps are")
        notes.append(f"{others} of no image of the data ({_list(unknown)}); rename maps after their images")
    if ignored:
        notes.append(f"{format_count(ignored, 'file holds no map and is', 'files hold no maps and are')} ignored")
    if stored.not_finite:
        bad = format_count(maps.not_finite, "map has", "maps have")
        notes.append(f"{bad} values that are not finite ({_list(stored.not_finite)}), and no score")
    if stored.constant:
        bad = format_count(maps.constant, "constant map counts", "constant maps count")
        notes.append(f"{bad} as degenerate ({_list(stored.constant)})")
    if len(maps.sizes) > 1:
        notes.append(f"the maps have {len(maps.sizes)} sizes, such as {' and '.join(list(maps.sizes)[:2])}")
    return notes
