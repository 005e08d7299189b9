"""The reliance of a cell's model, cached: it depends on the model alone, not on the settings of other scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from benchmark import reliance
from benchmark.data.dataset import ImageDataset
from benchmark.experiments.job import Job
from benchmark.reliance.marks import plan_marks
from benchmark.reliance.measure import MeasuredImages, measure_reliance
from benchmark.reliance.stored import StoredVariants, write_variants
from benchmark.storage.cache import load_or_make
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import reliance_file, variants_file


def load_reliance(job: Job, model: nn.Module) -> pd.DataFrame:
    """Measures reliance on the regions of the test images, or loads it. One row per test image."""
    return load_or_make(job_reliance_file(job), lambda path: _measure(job, model).to_parquet(path), pd.read_parquet)


def job_reliance_file(job: Job) -> Path:
    """Returns the path of the cached reliance of a job's model."""
    return reliance_file(content_key(job.model_key, reliance.VERSION))


def _measure(job: Job, model: nn.Module) -> pd.DataFrame:
    data = job.data
    masks = expert_masks(data)
    images = MeasuredImages(
        pixels=data.images[data.test],
        expert_masks=masks,
        labels=data.samples["label"].to_numpy()[data.test],
        names=list_test_names(data),
        marks=plan_marks(data, masks),
    )
    images = replace(images, stored=_load_variants(data.key, images))
    return measure_reliance(model, job.cell.architecture.target_layer, images, job.device)


def _load_variants(data_key: str, images: MeasuredImages) -> StoredVariants:
    """Builds the versions of all images once per data set, since that takes up to half of the time of a measurement."""

    def make(path: Path) -> None:
        write_variants(path, (images.variants(index) for index in range(len(images))))

    return load_or_make(variants_file(content_key(data_key, reliance.VERSION)), make, StoredVariants)


def list_test_names(data: ImageDataset) -> list[str]:
    """Returns the names of the test images."""
    return [str(name) for name in data.samples["id"].to_numpy()[data.test]]


def expert_masks(data: ImageDataset) -> NDArray[np.bool_]:
    """Returns what any rater marked on each test image, (T, S, S). Empty where nobody did."""
    merged = data.references[data.references["level"] == "union"]
    planes = dict(zip(merged["sample"], merged.index, strict=True))
    masks = np.zeros((len(data.test), *data.images.shape[1:3]), dtype=np.bool_)
    for index, row in enumerate(data.test):
        if row in planes:
            masks[index] = data.mask_arrays[planes[row]] > 127
    return masks
