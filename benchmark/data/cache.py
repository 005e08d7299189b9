"""Cache of decoded images and reference masks: raw uint8 files, memory-mapped, addressed by content."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.data.references import references
from benchmark.errors import UserError
from benchmark.runtime.parallel import parallel_map
from benchmark.storage.cache import cached_directory, is_intact
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import decoded_dir
from datasets import Aggregation, BadFileError, Sample
from datasets.aggregation import shrink
from datasets.image_io import image_size, read_image

Report = Callable[[int], None]
"""Called with the number of images done."""
IMAGES, MASK_ARRAYS = "images.u8", "planes.u8"
CACHE_VERSION = 2
"""Raise it when the stored references change. Older caches are then rebuilt. Trained models stay valid."""
COLUMNS = ["sample", "level", "rater", "characteristic"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedArrays:
    """Images and reference masks of one size.

    Attributes:
        images: Pixels (N, S, S, 3), uint8, memory-mapped.
        mask_arrays: Reference masks (M, S, S), uint8, memory-mapped. 255 is fully marked.
        references: One row per mask array: sample (index of the image), level, rater, characteristic, as in
            :class:`benchmark.data.references.Reference`.
    """

    images: NDArray[np.uint8]
    mask_arrays: NDArray[np.uint8]
    references: pd.DataFrame


def load_decoded(
    key: str, samples: Sequence[Sample], side: int, aggregation: Aggregation, report: Report
) -> DecodedArrays:
    """Opens the cache entry of a key. Decodes the files first if there is none.

    Two processes may decode at once. Each writes its own directory, and the first one to finish wins. Only a few
    images are in memory at a time.

    Args:
        key: Identifies the bytes of all files, the size and the aggregation.
        samples: What to decode.
        side: Side in pixels.
        aggregation: Combines the masks of several raters.
        report: Called with the number of images done.

    Raises:
        UserError: A file is damaged, a mask does not fit its image, or the disk is full.
    """
    directory = decoded_dir(content_key(key, CACHE_VERSION))
    if not is_intact(directory, lambda path: _has_all(path, len(samples), side)):
        with cached_directory(directory) as temporary:
            try:
                _write(temporary, samples, side, aggregation, report)
            except BadFileError as error:
                raise UserError(f"{error}, or leave it out with `data check --quarantine`") from None
    # Without masks the table is empty, and pandas then infers no integer type.
    table = pd.read_parquet(directory / "references.parquet").astype({"sample": np.int64})
    return DecodedArrays(
        images=_map_file(directory / IMAGES, (len(samples), side, side, 3)),
        mask_arrays=_map_file(directory / MASK_ARRAYS, (len(table), side, side)),
        references=table,
    )


def _has_all(directory: Path, num_images: int, side: int) -> bool:
    """Whether the files of a cache of an earlier version have the sizes of their content."""
    num_masks = pq.read_metadata(directory / "references.parquet").num_rows
    sizes = {IMAGES: num_images * 3 * side**2, MASK_ARRAYS: num_masks * side**2}
    return all((directory / name).stat().st_size == size for name, size in sizes.items())


def _write(directory: Path, samples: Sequence[Sample], side: int, aggregation: Aggregation, report: Report) -> None:
    """Writes the results of the decoding threads in order. Plain writes report a full disk, mapped ones crash."""

    def decode(sample: Sample) -> tuple[NDArray[np.uint8], list[tuple[str, str, str]], list[NDArray[np.uint8]]]:
        has_masks = sample.masks or sample.marked
        targets = list(references(sample, aggregation, image_size(sample))) if has_masks else []
        names = [(target.level, target.rater, target.characteristic) for target in targets]
        return read_image(sample, side), names, [shrink(target.mask_array, side) for target in targets]

    rows: list[tuple[int, str, str, str]] = []
    with (directory / IMAGES).open("wb") as images, (directory / MASK_ARRAYS).open("wb") as masks:
        for index, (image, names, mask_arrays) in enumerate(parallel_map(decode, samples)):
            images.write(image.data)
            rows += [(index, *name) for name in names]
            for mask_array in mask_arrays:
                masks.write(mask_array.data)
            report(index + 1)
    pd.DataFrame(rows, columns=COLUMNS).to_parquet(directory / "references.parquet")


def _map_file(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if shape[0] == 0:  # an empty file cannot be mapped
        return np.zeros(shape, dtype=np.uint8)
    return np.memmap(path, dtype=np.uint8, mode="r", shape=shape)
