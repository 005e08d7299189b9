"""ISIC 2017: dermoscopic images with lesion outlines, four features by superpixel and diagnoses (parts 1, 2 and 3).

Most of its training images recur in tasks 1 and 2 of ISIC 2018, so the two data sets are not independent.
"""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer, split_from_directory
from datasets.superpixels import superpixel_masks
from datasets.table import read_one_hot

FEATURES = ("milia_like_cyst", "negative_network", "pigment_network", "streaks")
DIAGNOSES = ("melanoma", "seborrheic_keratosis")
IMAGES = "ISIC-2017_*_Data"
"""The superpixel images are in the same directories."""


def detect(directory: Path) -> bool:
    """Returns whether the directory holds images of one of the splits."""
    return any(directory.glob(IMAGES))


def load(directory: Path) -> DatasetIndex:
    """Loads the existing splits and parts. An image with neither of the two diagnoses is a nevus.

    Raises:
        ValueError: There are no images, or a table cannot be read.
    """
    indexer = DatasetIndexer(directory)
    images = indexer.images(IMAGES)
    labels: dict[str, str] = {}
    for table in indexer.files("ISIC-2017_*_Part3_GroundTruth.csv"):
        labels |= indexer.labels(
            read_one_hot(table, "image_id", DIAGNOSES, neither="nevus"), table, images, partial=True
        )
    attributes: dict[str, dict[str, str]] = {}
    for table in indexer.files("ISIC-2017_*_Data_metadata.csv", "*/ISIC-2017_*_Data_metadata.csv"):
        attributes |= indexer.attributes(table, "image_id", images)
    features = superpixel_masks(indexer, IMAGES, "ISIC-2017_*_Part2_GroundTruth", FEATURES)
    return indexer.build_index(
        "isic2017",
        images,
        labels,
        masks=[indexer.masks("ISIC-2017_*_Part1_GroundTruth", "_segmentation"), features],
        attributes=attributes,
        split=lambda stem: split_from_directory(images[stem]),
    )


ISIC2017 = DatasetReader(
    name="isic2017",
    detect=detect,
    load=load,
    source="Codella et al., Skin lesion analysis toward melanoma detection: a challenge at ISBI 2017, arXiv 1710.05006",
    obtain="the ISIC challenge's page for 2017, CC0; the directory with the unpacked parts",
    redistributable=True,
)
