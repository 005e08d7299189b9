"""HAM10000: dermoscopic images of seven diagnoses, several of many a lesion, with outlines published later."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader
from datasets.indexer import DatasetIndexer
from datasets.table import read_table

DIAGNOSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
IMAGES = "[Hh][Aa][Mm]10000_images*"
"""One directory or two parts; copies write the name in either case."""
METADATA = "HAM10000_metadata"


def detect(directory: Path) -> bool:
    """Whether the directory holds the images or the metadata."""
    return any(directory.glob(IMAGES)) or any(directory.glob(f"{METADATA}*"))


def read(directory: Path) -> DatasetIndex:
    """Reads images, metadata and, if they are there, outlines. Images of one lesion are a group.

    Raises:
        ValueError: There are no images, or the metadata are missing or cannot be read.
    """
    survey = DatasetIndexer(directory)
    pictures = survey.pictures(IMAGES)
    # The publisher names the table without an ending or, made over by the archive, with .tab; copies name it .csv.
    tables = [directory / f"{METADATA}{ending}" for ending in (".csv", "", ".tab")]
    table = next((path for path in tables if path.is_file()), tables[0])
    rows = read_table(table, ["image_id", "lesion_id", "dx"])
    return survey.data_set(
        "ham10000",
        pictures,
        survey.labels(((row["image_id"], row["dx"]) for row in rows), table, known=DIAGNOSES),
        masks=[survey.masks("HAM10000_segmentations_lesion_tschandl", "_segmentation")],
        groups={row["image_id"]: row["lesion_id"] for row in rows},
    )


HAM10000 = DatasetReader(
    name="ham10000",
    detect=detect,
    read=read,
    source="Tschandl et al., The HAM10000 dataset, Scientific Data 5, 2018; outlines: Tschandl et al., Human-computer "
    "collaboration for skin cancer recognition, Nature Medicine 26, 2020",
    obtain="Harvard Dataverse, CC BY-NC 4.0; the directory with the unpacked images, the metadata and the outlines",
)
