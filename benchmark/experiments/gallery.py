"""What a run leaves for the gallery of the leaderboard's page, while its maps are at hand."""

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

JUDGED_BY = "top-mask-f1"


def write_gallery(jobs: Sequence[Job], chosen: Sequence[int], directory: Path) -> None:
    """Writes images and maps of every model's first seed, by the first saliency method.

    Args:
        jobs: Cells that are done, on the same data.
        chosen: Places among the test images that every model shows.
        directory: Where to write; models of earlier runs stay.
    """
    jobs = [job for job in jobs if not job.cell.architecture.predicts_masks]
    if not jobs or not len(chosen):
        return
    method = select(Method, jobs[0].preset.methods)[0]
    told = {"protocol": jobs[0].protocol, "method": method.name}
    write_images(directory, told, [_picture(jobs[0].data, place) for place in chosen])
    first: dict[tuple[str, str], Job] = {}
    for job in sorted(jobs, key=lambda job: job.cell.seed):
        first.setdefault((job.cell.architecture.name, job.cell.regime.name), job)
    for (architecture, regime), job in first.items():
        known = {"architecture": architecture, "regime": regime, "seed": job.cell.seed, "key": job.key}
        scores = _scores(job, method)
        fixed, extremes = (
            [_explained(job, method, place, scores) for place in places] for places in (chosen, _extremes(scores))
        )
        write_model(directory, {**told, **known}, fixed, extremes)


def _scores(job: Job, method: Method) -> NDArray[np.float64]:
    """How well each test image's map meets its masks, (T,); NaN without masks."""
    frame = pd.read_parquet(job.directory / "scores.parquet")
    wanted = (frame["method"] == method.name) & (frame["metric"] == JUDGED_BY) & (frame["level"] == "image")
    names = job.data.samples["id"].to_numpy()[job.data.test]
    return frame[wanted].set_index("image")["value"].reindex(names).to_numpy(dtype=np.float64)


def _extremes(scores: NDArray[np.float64]) -> list[int]:
    """Places of the best and the worst image."""
    return [int(np.nanargmax(scores)), int(np.nanargmin(scores))] if np.isfinite(scores).any() else []


def _explained(job: Job, method: Method, place: int, scores: NDArray[np.float64]) -> Explained:
    predicted = pd.read_parquet(job.directory / "predictions.parquet", columns=["predicted"])["predicted"]
    return Explained(
        picture=_picture(job.data, place),
        saliency=load_maps(job, method)[place],
        predicted=job.data.classes[int(predicted.iloc[place])],
        score=float(scores[place]) if np.isfinite(scores[place]) else None,
    )


def _picture(data: ImageDataset, place: int) -> Picture:
    row = data.test[place]
    drawn = data.references[data.references["sample"] == row]
    masks = {
        (str(each.level), str(each.rater)): np.asarray(data.mask_arrays[number])
        for number, each in zip(drawn.index, drawn.itertuples(), strict=True)
        if each.level in {"image", "rater"}
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
