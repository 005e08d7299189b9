"""PCam: small patches of lymph nodes, with or without tumor in their center."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Mask, Split
from datasets.hdf5 import count_frames, read_labels
from datasets.indexer import DatasetIndexer, require_unpacked
from datasets.table import read_table

NAME = "camelyonpatch_level_2_split_"
SPLITS: dict[str, Split] = {"train": "train", "valid": "validation", "test": "test"}
CENTER = (32, 32, 64, 64)
"""A patch of 96 x 96 is positive if and only if its center of 32 x 32 contains tumor."""


def detect(directory: Path) -> bool:
    """Returns whether the directory holds one of the files, unpacked or not."""
    return any(directory.glob(f"{NAME}*_[xy].h5*"))


def load(directory: Path) -> DatasetIndex:
    """Loads the existing splits. The groups are the slides, if a table next to the split lists them.

    The mask of a tumor patch is its center, by the rule that defines the label. It is weak: tumor may fill only a part.

    Raises:
        ValueError: A file is compressed, missing or damaged, or does not fit the others of its split.
    """
    indexer = DatasetIndexer(directory)
    image_files: dict[str, Path] = {}
    frames: dict[str, int] = {}
    groups: dict[str, str] = {}
    masks: dict[str, tuple[Mask, ...]] = {}
    for part in SPLITS:
        if not any(directory.glob(f"{NAME}{part}_[xy].h5*")):
            indexer.left_out.append(f"{NAME}{part}_x.h5: the directory has no such file")
            continue
        images, labels = (require_unpacked(directory / f"{NAME}{part}_{end}.h5") for end in "xy")
        names = [f"{part}-{index:07d}" for index in range(count_frames(images))]
        image_files |= dict.fromkeys(names, images)
        frames |= {name: index for index, name in enumerate(names)}
        center = (Mask(path=images, rater="rule", box=CENTER),)
        tumor = read_labels(labels, "y", len(names)).tolist()
        masks |= {name: center for name, positive in zip(names, tumor, strict=True) if positive}
        table = directory / f"{NAME}{part}_meta.csv"
        if table.is_file():
            groups |= zip(names, (row["wsi"] for row in read_table(table, ["wsi"], count=len(names))), strict=True)
    classes = {name: "tumor" if name in masks else "normal" for name in image_files}
    split = {name: SPLITS[name.partition("-")[0]] for name in image_files}
    return indexer.build_index(
        "pcam", image_files, classes, masks=[masks], groups=groups, frames=frames, split=split.get
    )


PCAM = DatasetReader(
    name="pcam",
    detect=detect,
    load=load,
    source="Veeling et al., Rotation equivariant CNNs for digital pathology, MICCAI 2018",
    obtain="the authors' repository basveeling/pcam, CC0; the directory with the files, unpacked with gunzip",
    redistributable=True,
)
