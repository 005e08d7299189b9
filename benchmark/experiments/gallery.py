"""Writes the gallery of the leaderboard's page while the maps of a run are available."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.dataset import ImageDataset
from benchmark.experiments.cell import load_maps
from benchmark.experiments.job import Job
from benchmark.leaderboard.gallery.write import Explained, Picture, write_images, write_model
from benchmark.registry import select
from benchmark.saliency import Method

EXTREMES_METRIC = "top-mask-f1"


def write_gallery(jobs: Sequence[Job], chosen: Sequence[int], directory: Path) -> None:
    """Writes images and maps of every model's first seed, by the first saliency method.

    Args:
        jobs: Finished cells on the same data.
        chosen: Indices of the test images that every model shows.
        directory: Where to write. Models of earlier runs stay.
    """
    if not jobs or not len(chosen):
        return
    method = select(Method, jobs[0].preset.methods)[0]
    header = {"protocol": jobs[0].protocol, "method": method.name}
    write_images(directory, header, [_picture(jobs[0].data, index) for index in chosen])
    first: dict[tuple[str, str], Job] = {}
    for job in sorted(jobs, key=lambda job: job.cell.seed):
        variant = f"+{job.cell.variant}" if job.cell.variant else ""
        first.setdefault((job.cell.architecture.name, f"{job.cell.regime.name}{variant}"), job)
    for (architecture, regime), job in first.items():
        model = {"architecture": architecture, "regime": regime, "seed": job.cell.seed, "key": job.key}
        scores = _scores(job, method)
        fixed, extremes = (
            [_explained(job, method, index, scores) for index in indices]
            for indices in (chosen, _find_extremes(scores))
        )
        write_model(directory, {**header, **model}, fixed, extremes)


def _scores(job: Job, method: Method) -> NDArray[np.float64]:
    """Loads the score of each test image's map against its masks, (T,). NaN without masks."""
    frame = pd.read_parquet(job.directory / "scores.parquet")
    is_selected = (frame["method"] == method.name) & (frame["metric"] == EXTREMES_METRIC) & (frame["level"] == "image")
    names = job.data.samples["id"].to_numpy()[job.data.test]
    return frame[is_selected].set_index("image")["value"].reindex(names).to_numpy(dtype=np.float64)


def _find_extremes(scores: NDArray[np.float64]) -> list[int]:
    """Finds the indices of the best and the worst image."""
    return [int(np.nanargmax(scores)), int(np.nanargmin(scores))] if np.isfinite(scores).any() else []


def _explained(job: Job, method: Method, index: int, scores: NDArray[np.float64]) -> Explained:
    predicted = pd.read_parquet(job.directory / "predictions.parquet", columns=["predicted"])["predicted"]
    return Explained(
        picture=_picture(job.data, index),
        saliency=load_maps(job, method)[index],
        predicted=job.data.classes[int(predicted.iloc[index])],
        score=float(scores[index]) if np.isfinite(scores[index]) else None,
    )


def _picture(data: ImageDataset, index: int) -> Picture:
    row = data.test[index]
    references = data.references[data.references["sample"] == row]
    masks = {
        (str(reference.level), str(reference.rater)): np.asarray(data.mask_arrays[position])
        for position, reference in zip(references.index, references.itertuples(), strict=True)
        if reference.level in {"image", "rater"}
    }
    sample = data.samples.iloc[row]
    mask = masks.get(("image", ""))
    raters = {rater: plane for (level, rater), plane in masks.items() if level == "rater"}
    if not raters and mask is not None:
        raters = {"masks": mask}
    return Picture(
        name=str(sample["id"]),
        label=data.classes[int(sample["label"])],
        image=np.asarray(data.images[row]),
        mask=mask,
        raters=raters,
    )
