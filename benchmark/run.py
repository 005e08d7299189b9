"""A whole run: data, cells, yardsticks, leaderboard."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from architectures import Architecture
from benchmark.attacks.autoattack import recipe
from benchmark.data.classes import with_classes_of
from benchmark.data.opening import Source, open_data, usable
from benchmark.data.prepare import Prepared, leaks, prepare
from benchmark.device import keep_freed_memory, nearest_device, use_exact_arithmetic
from benchmark.engines import Engine
from benchmark.errors import UserError
from benchmark.gallery import write_gallery
from benchmark.job import Job
from benchmark.leaderboard.board import MARKER, read_published
from benchmark.leaderboard.figures import contact_sheet, map_sheet
from benchmark.leaderboard.page.gallery import FOLDER as GALLERY
from benchmark.leaderboard.publish import DATA_FIGURE, PAGE, SHEETS, rebuild
from benchmark.pipeline import maps_of
from benchmark.plan import Cell
from benchmark.presets import Preset
from benchmark.progress import progress
from benchmark.registry import entries, select
from benchmark.saliency import Method
from benchmark.store import new_file, remove_leftovers, results_folder, write_text
from benchmark.sweep import Failure, sweep
from benchmark.training.log import check_log
from benchmark.training.regimes import Regime
from benchmark.yardsticks.tables import yardsticks

SHEET_ROWS = 4
EXAMPLES = 24
GALLERY_IMAGES = 6
FILES = {
    "record.json": "json",
    "scores.parquet": "scores.parquet",
    "predictions.parquet": "predictions.parquet",
    "curves.parquet": "curves.parquet",
    "diagnosis.csv": "diagnosis.csv",
}
OPTIONAL = frozenset({"curves.parquet"})
"""What cells of earlier versions, and those whose images are not perturbed, did not leave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What was asked for.

    Attributes:
        preset: How to do it.
        source: The data.
        cells: What to train.
        device: Where.
        bfloat16: Whether to train in bfloat16.
        manifest: A split of another run to be used again; None makes one.
        pretraining: Data to train on first; None begins with the preset's weights.
        class_map: Table that matches the classes of the two data sets where their names differ.
        log: "tensorboard" writes how each training goes for TensorBoard; None does not.
    """

    preset: Preset
    source: Source
    cells: Sequence[Cell]
    device: torch.device
    bfloat16: bool
    manifest: Path | None = None
    pretraining: Source | None = None
    class_map: Path | None = None
    log: str | None = None


def make_jobs(request: Request, console: Console) -> list[Job]:
    """The cells with their data, decoded."""
    _check(request)
    use_exact_arithmetic()
    keep_freed_memory()
    remove_leftovers()
    with progress(console, "reading the data") as report:
        prepared = prepare(open_data(request.source), request.preset, manifest=request.manifest, report=report)
    for line in prepared.left_out[:5]:
        console.print(f"left out: {line}", highlight=False)
    if len(prepared.left_out) > 5:
        console.print(f"left out: {len(prepared.left_out) - 5} more; `data check` lists them", highlight=False)
    first = _first_stage(request, prepared, console)
    jobs = []
    for cell in request.cells:
        job = Job(
            cell=cell,
            data=prepared,
            preset=request.preset,
            device=request.device,
            log=request.log,
            bfloat16=request.bfloat16,
        )
        if cell.architecture.checkpoint is not None:  # it is evaluated as it is
            jobs.append(job)
            continue
        if first is not None:
            job = replace(job, start=replace(job, cell=_in_regime(cell, "standard"), data=first))
        if cell.regime.start is not None:
            job = replace(job, start=replace(job, cell=_in_regime(cell, cell.regime.start)))
        jobs.append(job)
    if any(cell.regime.needs_masks for cell in request.cells) and not (prepared.references["level"] == "image").any():
        raise UserError(f"{prepared.name} has no masks to learn from; leave out the regimes that need them")
    return jobs


def _check(request: Request) -> None:
    """Refuses what would fail only after hours.

    Raises:
        UserError: An option asks for what is not there.
    """
    if request.log is not None:
        check_log(request.log)
    if request.preset.autoattack:
        try:
            recipe(2)
        except ValueError as error:
            raise UserError(f"--autoattack: {error}") from None


def _first_stage(request: Request, data: Prepared, console: Console) -> Prepared | None:
    """The data to pre-train on, as much as the preset takes and nothing held out, under the class names of the data."""
    if request.pretraining is None:
        return None
    found = with_classes_of(usable(open_data(request.pretraining)), data.classes, request.class_map)
    with progress(console, "reading the data to pre-train on") as report:
        return prepare(found, replace(request.preset, folds=0), classes=data.classes, report=report)


def _in_regime(cell: Cell, name: str) -> Cell:
    return replace(cell, regime=select(Regime, [name])[0])


def results_of(job: Job) -> Path:
    """Where the tables of a job's run lie."""
    return results_folder() / job.data.name / job.preset.name


def up_to_date(jobs: Sequence[Job]) -> bool:
    """Whether every job is done and stands in the tables."""
    folder = results_of(jobs[0])
    tables = [folder / name for name in ("leaderboard.md", "leaderboard.csv", PAGE, DATA_FIGURE)]
    names = [*tables, folder / "split.csv", *(_record_file(folder, job) for job in jobs)]
    if not all(job.done for job in jobs) or not all(path.is_file() for path in names):
        return False
    told = _marker(folder)
    return told.get("protocol") == jobs[0].protocol and {job.key for job in jobs} <= set(told.get("in_tables", ()))


def carry_out(jobs: Sequence[Job], console: Console, engine: Engine) -> tuple[Path, list[Failure]]:
    """Runs what is not done, then writes the records, the tables and the figures.

    Returns:
        The results folder and the cells that failed.
    """
    with console.status("looking for near-duplicates"):
        pairs = leaks(jobs[0].data, jobs[0].pretraining)
    if pairs:
        console.print(
            f"[yellow]{len(pairs)} test images look like images that are learnt from[/], such as "
            f"{pairs[0][1]} like {pairs[0][0]}; scores may flatter",
            highlight=False,
        )
    failures = sweep(jobs, console, engine)
    done = [job for job in jobs if job.done]
    folder = results_of(jobs[0])
    if not done:
        return folder, failures
    with console.status("scoring the yardsticks"):
        if _marker(folder).get("protocol", done[0].protocol) != done[0].protocol:
            console.print("Rows of another protocol are there: those that are not made anew stay, below the new ones.")
            for file in SHEETS:
                (folder / file).unlink(missing_ok=True)
        _mark(folder, done[0].protocol)
        write_text(folder / "split.csv", done[0].data.manifest.read_text(encoding="utf-8"))
        for job in done:
            _publish(job, folder)
        _publish_yardsticks(done[0], folder)
    with console.status("writing the leaderboard"):
        for adversarial, file in zip((False, True), SHEETS, strict=True):
            _sheet([job for job in done if job.cell.regime.adversarial == adversarial], folder / file)
        _data_sheet(done[0].data, folder / DATA_FIGURE)
        write_gallery(done, _examples(done[0].data, GALLERY_IMAGES), folder / GALLERY)
        problems = rebuild(folder)[0].problems
        published = read_published(folder).records.values()
        _mark(folder, done[0].protocol, [record.key for record in published])
    if problems:
        console.print(f"{len(problems)} records are left out of the tables: {problems[0]}", highlight=False)
    return folder, failures


def _mark(folder: Path, protocol: str, in_tables: Sequence[str] = ()) -> None:
    """Says which protocol the folder follows and the keys of the records that its tables were made from.

    Written without keys before the records change and with them once the tables are whole, so that a run that was
    killed in between does not take old tables for new ones.
    """
    write_text(folder / MARKER, json.dumps({"protocol": protocol, "in_tables": sorted(in_tables)}) + "\n")


def _marker(folder: Path) -> dict[str, Any]:
    """What the marker of a folder says; nothing where it is absent or damaged."""
    try:
        told = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _record_file(folder: Path, job: Job) -> Path:
    cell = job.cell
    return folder / "records" / f"{cell.architecture.name}-{cell.regime.name}-{cell.seed}.json"


def _publish(job: Job, folder: Path) -> None:
    """Copies the outcome of a cell; the record last, since it says that the rest is there."""
    target = _record_file(folder, job)
    for name, suffix in reversed(FILES.items()):
        path = target.with_name(f"{target.stem}.{suffix}")
        if name in OPTIONAL and not (job.folder / name).is_file():
            path.unlink(missing_ok=True)
            continue
        with new_file(path) as temporary:
            shutil.copyfile(job.folder / name, temporary)


def _publish_yardsticks(job: Job, folder: Path) -> None:
    """Scores the yardsticks; the untrained networks are those of all models of the table, not of this run alone."""
    known = entries(Architecture)
    listed = {record.architecture for record in read_published(folder).records.values()}
    architectures = [known[name] for name in sorted(listed & known.keys())]
    device = nearest_device(job.device)
    methods, alignment = select(Method, job.preset.methods), job.preset.alignment
    frame = yardsticks(job.data, architectures, methods, device, job.protocol, alignment=alignment)
    with new_file(folder / "yardsticks.parquet") as temporary:
        frame.assign(protocol=job.protocol).to_parquet(temporary)


def _sheet(jobs: Sequence[Job], path: Path) -> None:
    """The first regime and seed of every architecture, on test images of different classes that have masks.

    A sheet of a whole run is not replaced by one of a part of it.
    """
    jobs = [job for job in jobs if not job.cell.architecture.predicts_masks]
    order = {
        (job.cell.regime.name not in {"standard", "adversarial"}, job.cell.regime.name, job.cell.seed) for job in jobs
    }
    first = min(order)[1:] if order else None
    jobs = [job for job in jobs if (job.cell.regime.name, job.cell.seed) == first]
    whole = [entry for entry in entries(Architecture).values() if not entry.predicts_masks]
    if not jobs or (path.is_file() and len(jobs) < len(whole)):
        return
    data, method = jobs[0].data, select(Method, jobs[0].preset.methods)[0]
    chosen = _examples(data)
    if not len(chosen):
        return
    rows = data.test[chosen]
    merged = data.references[data.references["level"] == "image"]
    plane = dict(zip(merged["case"], merged.index, strict=True))
    regimes = ", ".join(sorted({job.cell.regime.name for job in jobs}))
    map_sheet(
        np.asarray(data.images[rows]),
        np.asarray(data.planes[[plane[row] for row in rows]]),
        {job.cell.architecture.name: maps_of(job, method)[chosen] for job in jobs},
        f"{data.name}: {method.name} of the predicted class, {regimes}{_stamp(data)}",
        path,
    )


def _data_sheet(data: Prepared, path: Path) -> None:
    """Test images of every class, a column each."""
    columns = min(len(data.classes), 8)
    labels = data.cases["label"].to_numpy()
    of_class = [[row for row in data.test if labels[row] == label] for label in range(columns)]
    rows = [row for rows in zip(*of_class, strict=False) for row in rows][: EXAMPLES // columns * columns]
    titles = [data.classes[labels[row]] for row in rows]
    contact_sheet(np.asarray(data.images[rows]), titles, columns, f"{data.name}{_stamp(data)}", path)


def _stamp(data: Prepared) -> str:
    return " - SYNTHETIC DATA" if data.synthetic else ""


def _examples(data: Prepared, most: int = SHEET_ROWS) -> list[int]:
    """Places among the test images: the first one with masks of each class, at most a few."""
    masked = set(data.references.loc[data.references["level"] == "image", "case"])
    labels = data.cases["label"].to_numpy()
    found: dict[int, list[int]] = {}
    for place, row in enumerate(data.test):
        if row in masked:
            found.setdefault(int(labels[row]), []).append(place)
    each = max(1, most // max(1, len(found)))
    return [place for label in sorted(found) for place in found[label][:each]][: max(most, len(found))]
