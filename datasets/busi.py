"""BUSI: ultrasound of the breast, benign, malignant or normal, with outlines of the lesions."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer, find_root

ROOT = "Dataset_BUSI_with_GT"
CLASSES = ("benign", "malignant", "normal")
MASK = r"_mask(?:_\d+)?"
"""The part after the stem of the image. Several lesions of one image are in separate files."""


def detect(directory: Path) -> bool:
    """Returns whether the directory or its subdirectory has masks named by class and number."""
    root = find_root(directory, ROOT)
    return any(path for name in CLASSES for path in root.glob(f"{name}/{name} (*)_mask.png"))


def load(directory: Path) -> DatasetIndex:
    """Loads images and masks from one directory per class. Normal images have empty masks.

    The data set does not identify patients, so a split may divide the images of one.

    Raises:
        ValueError: There are no images.
    """
    indexer = DatasetIndexer(find_root(directory, ROOT))
    images = indexer.images(*CLASSES, skip=MASK)
    labels = {stem: path.parent.name for stem, path in images.items()}
    return indexer.build_index("busi", images, labels, masks=[indexer.masks(name, MASK) for name in CLASSES])


BUSI = DatasetReader(
    name="busi",
    detect=detect,
    load=load,
    source="Al-Dhabyani et al., Dataset of breast ultrasound images, Data in Brief 28, 2020",
    obtain=f"the authors' page at Cairo University, free with citation; {ROOT}, or the directory it was unpacked in",
)
