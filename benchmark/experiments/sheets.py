"""Contact sheets of a run: maps of all architectures with image and masks, and the test images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from architectures import Architecture
from benchmark.data.dataset import ImageDataset
from benchmark.experiments.cell import load_maps
from benchmark.experiments.job import Job
from benchmark.leaderboard.build import RELIANCE_SHEETS, SHEETS
from benchmark.leaderboard.figures.sheets import contact_sheet, map_sheet
from benchmark.leaderboard.synthetic import marked
from benchmark.registry import entries, select
from benchmark.saliency import Method

SHEET_ROWS = 4
EXAMPLES = 24


def write_map_sheets(jobs: Sequence[Job], directory: Path) -> None:
    """Writes one sheet of the standard models and one of the adversarially trained ones."""
    for adversarial, file in zip((False, True), SHEETS, strict=True):
        _write_map_sheet([job for job in jobs if job.cell.regime.adversarial == adversarial], directory / file)


def remove_sheets(directory: Path) -> None:
    """Removes the sheets of maps and of reliance, such as those of another protocol."""
    for path in (*(directory / file for file in SHEETS), *directory.glob(RELIANCE_SHEETS)):
        path.unlink(missing_ok=True)


def _write_map_sheet(jobs: Sequence[Job], path: Path) -> None:
    """Shows the first regime and seed of every architecture, on test images of different classes that have masks.

    A sheet with fewer architectures does not replace a complete one.
    """
    jobs = [job for job in jobs if not job.cell.architecture.predicts_masks]
    candidates = {
        (job.cell.regime.name not in {"standard", "adversarial"}, job.cell.regime.name, job.cell.seed) for job in jobs
    }
    first = min(candidates)[1:] if candidates else None
    jobs = [job for job in jobs if (job.cell.regime.name, job.cell.seed) == first]
    default = [entry for entry in entries(Architecture).values() if entry.in_default_grid]
    complete = [entry for entry in default if not entry.predicts_masks]
    if not jobs or (path.is_file() and len(jobs) < len(complete)):
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
    """Writes a sheet of test images with one column per class."""
    columns = min(len(data.classes), 8)
    labels = data.samples["label"].to_numpy()
    by_class = [[row for row in data.test if labels[row] == label] for label in range(columns)]
    rows = [row for rows in zip(*by_class, strict=False) for row in rows][: EXAMPLES // columns * columns]
    titles = [data.classes[labels[row]] for row in rows]
    contact_sheet(np.asarray(data.images[rows]), titles, columns, marked(data.name, synthetic=data.synthetic), path)


def select_examples(data: ImageDataset, max_examples: int = SHEET_ROWS) -> list[int]:
    """Selects the indices of a few test images: the first ones with masks of each class."""
    masked = set(data.references.loc[data.references["level"] == "image", "sample"])
    labels = data.samples["label"].to_numpy()
    by_label: dict[int, list[int]] = {}
    for index, row in enumerate(data.test):
        if row in masked:
            by_label.setdefault(int(labels[row]), []).append(index)
    per_class = max(1, max_examples // max(1, len(by_label)))
    selection = [index for label in sorted(by_label) for index in by_label[label][:per_class]]
    return selection[: max(max_examples, len(by_label))]
