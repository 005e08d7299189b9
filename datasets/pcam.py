"""PCam: small patches of lymph nodes, with or without tumor in their center."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Mask, Split
from datasets.image_io import frames_in
from datasets.indexer import DatasetIndexer, unpacked
from datasets.table import read_table, read_values

NAME = "camelyonpatch_level_2_split_"
SPLITS: dict[str, Split] = {"train": "train", "valid": "validation", "test": "test"}
CENTER = (32, 32, 64, 64)
"""A patch of 96 x 96 is positive if and only if tumor lies in its center of 32 x 32."""


def detect(directory: Path) -> bool:
    """Whether the directory holds one of the files, unpacked or not."""
    return any(directory.glob(f"{NAME}*_[xy].h5*"))


def read(directory: Path) -> DatasetIndex:
    """Reads the splits that are there. Slides, where the table beside a split names them, are the groups.

    The mask of a tumor patch is its center, by the rule that labels it, and weak: tumor may fill but a corner of it.

    Raises:
        ValueError: A file is packed, missing, damaged or does not fit the others of its split.
    """
    survey = DatasetIndexer(directory)
    pictures: dict[str, Path] = {}
    frames: dict[str, int] = {}
    groups: dict[str, str] = {}
    masks: dict[str, tuple[Mask, ...]] = {}
    for part in SPLITS:
        if not any(directory.glob(f"{NAME}{part}_[xy].h5*")):
            survey.left_out.append(f"{NAME}{part}_x.h5: the directory has no such file")
            continue
        images, labels = (unpacked(directory / f"{NAME}{part}_{end}.h5") for end in "xy")
        names = [f"{part}-{number:07d}" for number in range(frames_in(images))]
        pictures |= dict.fromkeys(names, images)
        frames |= {name: number for number, name in enumerate(names)}
        weak = (Mask(path=images, rater="rule", box=CENTER),)
        tumor = read_values(labels, "y", len(names)).tolist()
        masks |= {name: weak for name, positive in zip(names, tumor, strict=True) if positive}
        table = directory / f"{NAME}{part}_meta.csv"
        if table.is_file():
            groups |= zip(names, (row["wsi"] for row in read_table(table, ["wsi"], count=len(names))), strict=True)
    classes = {name: "tumor" if name in masks else "normal" for name in pictures}
    split = {name: SPLITS[name.partition("-")[0]] for name in pictures}
    return survey.data_set("pcam", pictures, classes, masks=[masks], groups=groups, frames=frames, split=split.get)


PCAM = DatasetReader(
    name="pcam",
    detect=detect,
    read=read,
    source="Veeling et al., Rotation equivariant CNNs for digital pathology, MICCAI 2018",
    obtain="the authors' repository basveeling/pcam, CC0; the directory with the files, unpacked with gunzip",
)
