"""ISIC 2016: dermoscopic images with lesion outlines, two features by superpixel and diagnoses (parts 1, 2 and 3)."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer, split_from_directory
from datasets.superpixels import superpixel_masks
from datasets.table import read_table

CLASSES = ("benign", "malignant")
NUMBERS = {"0": "benign", "0.0": "benign", "1": "malignant", "1.0": "malignant"}
"""The table of the training part has words, that of the test part has numbers."""
IMAGES = "ISBI2016_ISIC_Part[123]_*_Data"


def detect(directory: Path) -> bool:
    """Returns whether the directory holds images of one of the parts."""
    return any(directory.glob(IMAGES))


def load(directory: Path) -> DatasetIndex:
    """Loads the existing parts, which share their images.

    Parts 2B and 3B are ignored. They repeat the features as images, and the images together with the outlines.

    Raises:
        ValueError: There are no images, or a table cannot be read.
    """
    indexer = DatasetIndexer(directory)
    images = indexer.images(IMAGES)
    labels: dict[str, str] = {}
    for table in indexer.files("ISBI2016_ISIC_Part3_*_GroundTruth.csv"):
        rows = read_table(table, ["image", "class"], header=False)
        pairs = ((row["image"], NUMBERS.get(row["class"], row["class"])) for row in rows)
        labels |= indexer.labels(pairs, table, images, valid=CLASSES, partial=True)
    features = superpixel_masks(
        indexer, "ISBI2016_ISIC_Part2_*_Data", "ISBI2016_ISIC_Part2_*_GroundTruth", ("globules", "streaks")
    )
    return indexer.build_index(
        "isic2016",
        images,
        labels,
        masks=[indexer.masks("ISBI2016_ISIC_Part1_*_GroundTruth", "_segmentation"), features],
        split=lambda stem: split_from_directory(images[stem]),
    )


ISIC2016 = DatasetReader(
    name="isic2016",
    detect=detect,
    load=load,
    source="Gutman et al., Skin lesion analysis toward melanoma detection: a challenge at ISBI 2016, arXiv 1605.01397",
    obtain="the ISIC challenge's page for 2016, CC0; the directory with the unpacked parts",
    redistributable=True,
)
