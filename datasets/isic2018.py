"""ISIC 2018: dermoscopic images with a lesion mask each."""

from pathlib import Path

from datasets import Case, DataSet, Layout, Mask
from datasets.pictures import by_stem
from datasets.table import read_table

INPUT = "ISIC2018_Task1-2_*_Input"
TRUTH = "ISIC2018_Task1_*_GroundTruth"
SUFFIX = "_segmentation"


def recognise(folder: Path) -> bool:
    """Whether the folder holds the images of task 1."""
    return any(folder.glob(INPUT))


def read(folder: Path) -> DataSet:
    """Reads task 1 with a table `diagnosis.csv` (columns image and diagnosis) beside the folders.

    The challenge publishes no diagnosis with these images: the table comes from the archive or the user.

    Raises:
        ValueError: There are no images, or a mask has no image.
    """
    pictures = {stem: path for found in sorted(folder.glob(INPUT)) for stem, path in by_stem(found).items()}
    if not pictures:
        raise ValueError(f"{folder}/{INPUT} holds no images; unpack the archive of the challenge there")
    masks = {}
    for found in sorted(folder.glob(TRUTH)):
        for stem, path in by_stem(found).items():
            image = stem[: -len(SUFFIX)] if stem.lower().endswith(SUFFIX) else stem
            if image not in pictures:
                raise ValueError(f"{path} is a mask without an image; add {image}.jpg to the images or remove it")
            masks[image] = Mask(path=path, rater="isic", characteristic="lesion")
    rows = read_table(folder / "diagnosis.csv", ["image", "diagnosis"])
    diagnosis = {row["image"]: row["diagnosis"] for row in rows}
    cases = [
        Case(
            id=stem,
            image=path,
            diagnosis=diagnosis[stem],
            group=stem,
            masks=(masks[stem],) if stem in masks else (),
        )
        for stem, path in sorted(pictures.items())
        if stem in diagnosis
    ]
    left_out = tuple(f"{path}: no row in diagnosis.csv" for stem, path in pictures.items() if stem not in diagnosis)
    return DataSet(name=folder.name, layout="isic2018", root=folder, cases=tuple(cases), left_out=left_out)


ISIC2018 = Layout(
    name="isic2018",
    recognise=recognise,
    read=read,
    source="Codella et al., Skin lesion analysis toward melanoma detection 2018, arXiv 1902.03368",
)
