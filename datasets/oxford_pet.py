"""Oxford-IIIT Pet: cats and dogs of 37 breeds with their outlines, to try things on photographs anybody can judge."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Split
from datasets.indexer import DatasetIndexer
from datasets.table import read_table

PET = frozenset({1})
"""A trimap has 1 for the pet, 2 for the background, 3 for a border that may be either and is not counted as pet."""
SPLITS: dict[str, Split] = {"trainval": "train", "test": "test"}


def detect(directory: Path) -> bool:
    """Whether the directory has images and trimaps."""
    return (directory / "images").is_dir() and (directory / "annotations" / "trimaps").is_dir()


def read(directory: Path) -> DatasetIndex:
    """Reads images, pets and the official split; a few published images are in neither list of it.

    The breed is what an image's name has before the last underscore.

    Raises:
        ValueError: There are no images, or a list is missing.
    """
    survey = DatasetIndexer(directory)
    pictures = survey.pictures("images")
    listed = [
        (row["line"].split()[0], name)
        for name in SPLITS
        for row in read_table(directory / "annotations" / f"{name}.txt", ["line"], header=False)
        if not row["line"].startswith("#")
    ]
    lists = survey.labels(listed, directory / "annotations", what="list")
    return survey.data_set(
        "oxford-pet",
        pictures,
        {stem: stem.rpartition("_")[0] for stem in pictures.keys() | lists.keys()},
        masks=[survey.masks("annotations/trimaps", "", marks=PET)],
        split=lambda stem: SPLITS.get(lists.get(stem, "")),
    )


OXFORD_PET = DatasetReader(
    name="oxford-pet",
    detect=detect,
    read=read,
    source="Parkhi et al., Cats and dogs, CVPR 2012",
    obtain="the authors' page at Oxford, CC BY-SA 4.0; images/ and annotations/ unpacked into one directory",
)
