"""Images and references, decoded once: raw uint8 files, mapped into memory, found again by content."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.references import references
from benchmark.errors import UserError
from benchmark.runtime.parallel import parallel_map
from benchmark.storage.files import atomic_directory
from benchmark.storage.hashing import content_key
from benchmark.storage.runs import decoded_dir
from datasets import Aggregation, Sample
from datasets.aggregation import shrink
from datasets.image_io import image_size, read_image

Report = Callable[[int], None]
"""Called with the number of images done."""
IMAGES, PLANES = "images.u8", "planes.u8"
KEPT = 2
"""Raised when other references are kept of an image, so that older caches are made anew and models are not."""
COLUMNS = ["sample", "level", "rater", "characteristic"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """Images and references of one size.

    Attributes:
        images: Pixels (N, S, S, 3), uint8, mapped.
        planes: Reference masks (M, S, S), uint8, mapped; 255 is full marks.
        references: One row per plane: case (place of the image), level, rater, characteristic, as in
            :class:`benchmark.data.references.Reference`.
    """

    images: NDArray[np.uint8]
    planes: NDArray[np.uint8]
    references: pd.DataFrame


def decoded(key: str, samples: Sequence[Sample], side: int, merge: Aggregation, report: Report) -> Decoded:
    """Opens the cache under a key, or makes it.

    Two processes may make it at once: each writes a directory of its own, the first one done stays. Memory holds a few
    images at a time.

    Args:
        key: Stands for the bytes of all files, the size and the merging.
        samples: What to decode.
        side: Side in pixels.
        merge: How raters become one.
        report: Told of progress.

    Raises:
        UserError: A file is damaged, a mask does not fit its image, or the disk is full.
    """
    directory = decoded_dir(content_key(key, KEPT))
    if not directory.is_dir():
        with atomic_directory(directory) as temporary:
            try:
                _write(temporary, samples, side, merge, report)
            except ValueError as error:
                raise UserError(f"{error}, or leave it out with `data check --quarantine`") from None
            except OSError as error:
                reason = f"{directory.parent} cannot be written ({error.strerror})"
                raise UserError(f"{reason}; free it or choose another place with LOUPE_RUNS") from None
    # Without masks the table is empty, and an empty column has no type of its own.
    table = pd.read_parquet(directory / "references.parquet").astype({"sample": np.int64})
    return Decoded(
        images=_mapped(directory / IMAGES, (len(samples), side, side, 3)),
        planes=_mapped(directory / PLANES, (len(table), side, side)),
        references=table,
    )


def _write(directory: Path, samples: Sequence[Sample], side: int, merge: Aggregation, report: Report) -> None:
    """Writes in order what the threads decode: a plain write, unlike a mapped one, can say that the disk is full."""

    def decode(sample: Sample) -> tuple[NDArray[np.uint8], list[tuple[str, str, str]], list[NDArray[np.uint8]]]:
        found = list(references(sample, merge, image_size(sample))) if sample.masks or sample.marked else []
        names = [(reference.level, reference.rater, reference.characteristic) for reference in found]
        return read_image(sample, side), names, [shrink(reference.plane, side) for reference in found]

    rows: list[tuple[int, str, str, str]] = []
    with (directory / IMAGES).open("wb") as images, (directory / PLANES).open("wb") as planes:
        for place, (image, names, drawn) in enumerate(parallel_map(decode, samples)):
            images.write(image.data)
            rows += [(place, *name) for name in names]
            for plane in drawn:
                planes.write(plane.data)
            report(place + 1)
    pd.DataFrame(rows, columns=COLUMNS).to_parquet(directory / "references.parquet")


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if shape[0] == 0:  # nothing cannot be mapped
        return np.zeros(shape, dtype=np.uint8)
    return np.memmap(path, dtype=np.uint8, mode="r", shape=shape)
