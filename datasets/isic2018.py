"""ISIC 2018: dermoscopic images with lesion outlines and attributes (tasks 1 and 2), or with diagnoses (task 3)."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.columns import TableColumns
from datasets.indexer import DatasetIndexer, split_from_directory
from datasets.table import read_one_hot, read_table

ATTRIBUTES = ("globules", "milia_like_cyst", "negative_network", "pigment_network", "streaks")
DIAGNOSES = ("AKIEC", "BCC", "BKL", "DF", "MEL", "NV", "VASC")
IMAGES = "ISIC2018_Task*_Input"


def detect(directory: Path) -> bool:
    """Returns whether the directory holds images of one of the tasks."""
    return any(directory.glob(IMAGES))


def load(directory: Path) -> DatasetIndex:
    """Loads tasks 1 and 2, task 3, or both.

    The challenge publishes no diagnosis for the images of tasks 1 and 2. A table `diagnosis.csv` next to the
    directories can add it, with the columns image, diagnosis and optionally group. It overrides task 3.

    Raises:
        ValueError: There are no images, or a table cannot be read.
    """
    indexer = DatasetIndexer(directory)
    images = indexer.images(IMAGES)
    labels: dict[str, str] = {}
    groups: dict[str, str] = {}
    attributes: dict[str, dict[str, str]] = {}
    for table in indexer.files("ISIC2018_Task3_*_GroundTruth.csv", "*/ISIC2018_Task3_*_GroundTruth.csv"):
        labels |= indexer.labels(read_one_hot(table, "image", DIAGNOSES), table, images, valid=DIAGNOSES, partial=True)
    for table in indexer.files("ISIC2018_Task3_*_LesionGroupings.csv", "*/ISIC2018_Task3_*_LesionGroupings.csv"):
        lesions = ((row["image"], row["lesion_id"]) for row in read_table(table, ["image", "lesion_id"]))
        groups |= indexer.labels(lesions, table, images, kind="lesion", partial=True)
    user_table = directory / "diagnosis.csv"
    if user_table.is_file():
        rows = read_table(user_table, ["image", "diagnosis"])
        labels |= indexer.labels(((row["image"], row["diagnosis"]) for row in rows), user_table, images)
        columns = TableColumns(indexer, user_table, rows, {"image", "diagnosis", "split"})
        pairs = [(row["image"], row[columns.group]) for row in rows if columns.group and row[columns.group]]
        groups |= indexer.labels(pairs, user_table, images, kind="group")
        attributes = indexer.attributes(user_table, "image", images, names=columns.attributes)
    features = [
        indexer.masks("ISIC2018_Task2_*_GroundTruth*", f"_attribute_{name}", characteristic=name) for name in ATTRIBUTES
    ]
    masks = [indexer.masks("ISIC2018_Task1_*_GroundTruth", "_segmentation"), *features]
    splits = {stem: split_from_directory(path) for stem, path in images.items()}
    return indexer.build_index(
        "isic2018", images, labels, masks=masks, groups=groups, attributes=attributes, split=splits.get
    )


ISIC2018 = DatasetReader(
    name="isic2018",
    detect=detect,
    load=load,
    source="Codella et al., Skin lesion analysis toward melanoma detection 2018, arXiv 1902.03368",
    obtain="the ISIC challenge's page for 2018; tasks 1-2 CC0, task 3 CC BY-NC 4.0; a directory of the unpacked parts",
    redistributable=True,
)
