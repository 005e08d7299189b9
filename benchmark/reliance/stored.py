"""Versions of images in a file. They depend on the images alone, so all networks of a table answer the same ones."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from benchmark.reliance.fills import Pixels
from benchmark.reliance.variants import Variant


def write_variants(path: Path, images: Iterable[Sequence[Variant]]) -> None:
    """Writes the versions of each image, the original first, which is not stored.

    A version differs from its original in a region only, so the exclusive or of the two compresses well.
    """
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for index, (original, *others) in enumerate(images):
            names = json.dumps([[original.role, original.detail], *([each.role, each.detail] for each in others)])
            changes = b"".join((each.pixels ^ original.pixels).tobytes() for each in others)
            archive.writestr(str(index), f"{names}\n".encode() + changes)


class StoredVariants:
    """The versions in a file of :func:`write_variants`."""

    def __init__(self, path: Path) -> None:
        self._archive = ZipFile(path)

    def load(self, index: int, pixels: Pixels) -> list[Variant]:
        """Loads all versions of an image, the original first.

        Args:
            index: Number of the image in the file.
            pixels: The image, (H, W, 3).

        Raises:
            KeyError: The file has no such image.
            ValueError: Its versions have another size than the image.
        """
        names, changes = self._archive.read(str(index)).split(b"\n", 1)
        (role, detail), *others = json.loads(names)
        planes = np.frombuffer(changes, dtype=np.uint8).reshape(len(others), *pixels.shape)
        versions = [Variant(role=role, detail=detail, pixels=pixels)]
        for (role, detail), plane in zip(others, planes, strict=True):
            versions.append(Variant(role=role, detail=detail, pixels=pixels ^ plane))
        return versions
