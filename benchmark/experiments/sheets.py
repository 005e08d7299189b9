"""Pictures of a run: maps of all architectures beside image and masks, and the test images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from architectures import Architecture
from benchmark.data.dataset import ImageDataset
from benchmark.experiments.cell import load_maps
from benchmark.experiments.job import Job
from benchmark.leaderboard.build import SHEETS
from benchmark.leaderboard.figures.sheets import contact_sheet, map_sheet
from benchmark.leaderboard.synthetic import marked
from benchmark.registry import entries, select
from benchmark.saliency import Method

SHEET_ROWS = 4
EXAMPLES = 24


def write_map_sheets(jobs: Sequence[Job], directory: Path) -> None:
    """One sheet of the standard models and one of the adversarially trained ones."""
    for adversarial, file in zip((False, True), SHEETS, strict=True):
        _write_map_sheet([job for job in jobs if job.cell.regime.adversarial == adversarial], directory / file)


def remove_map_sheets(directory: Path) -> None:
    """Removes the sheets, whose maps follow another protocol."""
    for file in SHEETS:
        (directory / file).unlink(missing_ok=True)


def _write_map_sheet(jobs: Sequence[Job], path: Path) -> None:
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
    chosen = select_examples(data)
    if not len(chosen):
        return
    rows = data.test[chosen]
    merged = data.references[data.references["level"] == "image"]
    plane = dict(zip(merged["sample"], merged.index, strict=True))
    regimes = ", ".join(sorted({job.cell.regime.name for job in jobs}))
    map_sheet(
        np.asarray(data.images[rows]),
        np.asarray(data.mask_arrays[[plane[row] for row in rows]]),
        {job.cell.architecture.name: load_maps(job, method)[chosen] for job in jobs},
        marked(f"{data.name}: {method.name} of the predicted class, {regimes}", synthetic=data.synthetic),
        path,
    )


def write_data_sheet(data: ImageDataset, path: Path) -> None:
    """Test images of every class, a column each."""
    columns = min(len(data.classes), 8)
    labels = data.samples["label"].to_numpy()
    of_class = [[row for row in data.test if labels[row] == label] for label in range(columns)]
    rows = [row for rows in zip(*of_class, strict=False) for row in rows][: EXAMPLES // columns * columns]
    titles = [data.classes[labels[row]] for row in rows]
    contact_sheet(np.asarray(data.images[rows]), titles, columns, marked(data.name, synthetic=data.synthetic), path)


def select_examples(data: ImageDataset, most: int = SHEET_ROWS) -> list[int]:
    """Indices of a few test images: the first ones with masks of each class."""
    masked = set(data.references.loc[data.references["level"] == "image", "sample"])
    labels = data.samples["label"].to_numpy()
    found: dict[int, list[int]] = {}
    for place, row in enumerate(data.test):
        if row in masked:
            found.setdefault(int(labels[row]), []).append(place)
    each = max(1, most // max(1, len(found)))
    return [place for label in sorted(found) for place in found[label][:each]][: max(most, len(found))]
