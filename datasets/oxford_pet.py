"""Oxford-IIIT Pet: cats and dogs of 37 breeds with outlines, for tests on photographs that anybody can judge."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Split
from datasets.indexer import DatasetIndexer
from datasets.table import read_lines

PET = frozenset({1})
"""In a trimap 1 is the pet, 2 the background and 3 an ambiguous border, which does not count as pet."""
SPLITS: dict[str, Split] = {"trainval": "train", "test": "test"}


def detect(directory: Path) -> bool:
    """Returns whether the directory has images and trimaps."""
    return (directory / "images").is_dir() and (directory / "annotations" / "trimaps").is_dir()


def load(directory: Path) -> DatasetIndex:
    """Loads images, outlines and the official split. A few published images are not in the split.

    The breed is the part of an image's name before the last underscore.

    Raises:
        ValueError: There are no images, or a list is missing.
    """
    indexer = DatasetIndexer(directory)
    images = indexer.images("images")
    assignments = [
        (line.split()[0], name)
        for name in SPLITS
        for line in read_lines(directory / "annotations" / f"{name}.txt", "names of images")
        if not line.startswith("#")
    ]
    lists = indexer.labels(assignments, directory / "annotations", images, kind="list")
    return indexer.build_index(
        "oxford-pet",
        images,
        {stem: stem.rpartition("_")[0] for stem in images},
        masks=[indexer.masks("annotations/trimaps", "", marks=PET)],
        split=lambda stem: SPLITS.get(lists.get(stem, "")),
    )


OXFORD_PET = DatasetReader(
    name="oxford-pet",
    detect=detect,
    load=load,
    source="Parkhi et al., Cats and dogs, CVPR 2012",
    obtain="the authors' page at Oxford, CC BY-SA 4.0; images/ and annotations/ unpacked into one directory",
    redistributable=True,
)
