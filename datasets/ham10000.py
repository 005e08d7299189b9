"""HAM10000: dermoscopic images of seven diagnoses, often several of one lesion, with outlines."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer
from datasets.table import read_table

DIAGNOSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
IMAGES = "[Hh][Aa][Mm]10000_images*"
"""One directory or two parts. Copies use upper or lower case."""
METADATA = "HAM10000_metadata"


def detect(directory: Path) -> bool:
    """Returns whether the directory holds the images or the metadata."""
    return any(directory.glob(IMAGES)) or any(directory.glob(f"{METADATA}*"))


def load(directory: Path) -> DatasetIndex:
    """Loads images, metadata and, if they exist, outlines. The images of one lesion are a group.

    Raises:
        ValueError: There are no images, or the metadata are missing or cannot be read.
    """
    indexer = DatasetIndexer(directory)
    images = indexer.images(IMAGES)
    # The published table has no suffix, or .tab if the archive converted it. Copies have .csv.
    tables = [directory / f"{METADATA}{suffix}" for suffix in (".csv", "", ".tab")]
    table = next((path for path in tables if path.is_file()), tables[0])
    rows = read_table(table, ["image_id", "lesion_id", "dx"])
    return indexer.build_index(
        "ham10000",
        images,
        indexer.labels(((row["image_id"], row["dx"]) for row in rows), table, images, valid=DIAGNOSES),
        masks=[indexer.masks("HAM10000_segmentations_lesion_tschandl", "_segmentation")],
        groups=indexer.labels(((row["image_id"], row["lesion_id"]) for row in rows), table, images, kind="lesion"),
        attributes=indexer.attributes(table, "image_id", images, skip=("lesion_id", "dx")),
    )


HAM10000 = DatasetReader(
    name="ham10000",
    detect=detect,
    load=load,
    source="Tschandl et al., The HAM10000 dataset, Scientific Data 5, 2018; outlines: Tschandl et al., Human-computer "
    "collaboration for skin cancer recognition, Nature Medicine 26, 2020",
    obtain="Harvard Dataverse, CC BY-NC 4.0; the directory with the unpacked images, the metadata and the outlines",
)
