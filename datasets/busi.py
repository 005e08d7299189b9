"""BUSI: ultrasound of the breast, benign, malignant or without a finding, with outlines of the lesions."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer, inner

FOLDER = "Dataset_BUSI_with_GT"
CLASSES = ("benign", "malignant", "normal")
MASK = r"_mask(?:_\d+)?"
"""What follows the stem of the image: several lesions of one image are in as many files."""


def detect(directory: Path) -> bool:
    """Whether the directory, or the one in it, has masks named by class and number."""
    root = inner(directory, FOLDER)
    return any(found for name in CLASSES for found in root.glob(f"{name}/{name} (*)_mask.png"))


def read(directory: Path) -> DatasetIndex:
    """Reads images and masks, which lie in one directory per class. Masks of normal images are there and empty.

    Patients are not published, so images of one may part in a split.

    Raises:
        ValueError: There are no images.
    """
    survey = DatasetIndexer(inner(directory, FOLDER))
    pictures = survey.pictures(*CLASSES, but=MASK)
    labels = {stem: path.parent.name for stem, path in pictures.items()}
    return survey.data_set("busi", pictures, labels, masks=[survey.masks(name, MASK) for name in CLASSES])


BUSI = DatasetReader(
    name="busi",
    detect=detect,
    read=read,
    source="Al-Dhabyani et al., Dataset of breast ultrasound images, Data in Brief 28, 2020",
    obtain=f"the authors' page at Cairo University, free with citation; {FOLDER}, or the directory it was unpacked in",
)
