"""The sheet of a run that shows reliance: images with and without the lesion, and maps of the first methods."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.experiments.cell import load_maps
from benchmark.experiments.cell_reliance import expert_masks
from benchmark.experiments.job import Job
from benchmark.leaderboard.build import RELIANCE_SHEETS
from benchmark.leaderboard.figures.reliance import ReliancePanel, reliance_sheet
from benchmark.leaderboard.synthetic import marked
from benchmark.registry import select
from benchmark.reliance import PREFIX
from benchmark.reliance.fills import FILLS
from benchmark.reliance.variants import build_variants
from benchmark.saliency import Method

MAX_EXAMPLES = 12
MAX_METHODS = 2
FILL = next(iter(FILLS))


def write_reliance_sheet(jobs: Sequence[Job], directory: Path) -> None:
    """Writes the sheet of the first standard model, or removes it if there is no image with a region.

    The variants of a table have sheets of their own. A run has one variant.
    """
    jobs = [job for job in jobs if not job.cell.regime.adversarial and not job.cell.architecture.predicts_masks]
    if not jobs:
        return
    job = jobs[0]
    path = directory / RELIANCE_SHEETS.replace("*", f"-{job.cell.variant}" if job.cell.variant else "")
    panels = build_panels(job)
    if not panels:
        path.unlink(missing_ok=True)
        return
    title = f"{job.data.name}, {job.cell.name}: answer with the lesion and without it, and maps of the first answer"
    reliance_sheet(panels, marked(title, synthetic=job.data.synthetic), path)


def build_panels(job: Job) -> list[ReliancePanel]:
    """Builds panels of a finished cell: the first test images of each class whose reliance is defined."""
    data = job.data
    frame = pd.read_parquet(job.directory / "predictions.parquet")
    defined = frame[f"{PREFIX}region {FILL} drop"].notna().to_numpy()
    labels = frame["label"].to_numpy()
    per_class = -(-MAX_EXAMPLES // len(data.classes))
    by_class = [np.flatnonzero(defined & (labels == label))[:per_class] for label in range(len(data.classes))]
    chosen = np.concatenate(by_class)[:MAX_EXAMPLES]
    if not len(chosen):
        return []
    images, masks = data.images[data.test[chosen]], expert_masks(data)[chosen]
    maps = {method.name: load_maps(job, method)[chosen] for method in select(Method, job.preset.methods)[:MAX_METHODS]}
    return [
        _panel(job, frame.iloc[index], images[number], masks[number], {name: maps[name][number] for name in maps})
        for number, index in enumerate(chosen)
    ]


def _panel(
    job: Job, row: pd.Series, image: NDArray[np.uint8], mask: NDArray[np.bool_], maps: dict[str, NDArray[np.float16]]
) -> ReliancePanel:
    (filled,) = (v for v in build_variants(image, mask, str(row["image"])) if (v.role, v.detail) == ("region", FILL))
    predicted = int(row["predicted"])
    probability = float(row[f"p{predicted}"])
    changed = " (changed)" if row[f"{PREFIX}region {FILL} changed"] else ""
    return ReliancePanel(
        image=np.asarray(image),
        mask=mask,
        filled=filled.pixels,
        before=f"{job.data.classes[predicted]} {probability:.2f}",
        after=f"filled: {probability - float(row[f'{PREFIX}region {FILL} drop']):.2f}{changed}",
        maps=maps,
    )
