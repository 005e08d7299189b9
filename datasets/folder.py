"""One directory per class: the layout for your own data."""

import json
from collections.abc import Mapping
from pathlib import Path

from datasets import (
    DatasetIndex,
    DatasetReader,
    Mask,
    Split,
    busi,
    dermxdb,
    glas,
    ham10000,
    isic2016,
    isic2017,
    isic2018,
    oxford_pet,
    pcam,
    ph2,
)
from datasets.class_tree import ENDING, MASKS, ClassTree, has_classes, holds_images, read_tree
from datasets.columns import SPLITS, TableColumns
from datasets.files import read_bytes
from datasets.indexer import EXPERT, DatasetIndexer
from datasets.names import NameIndex
from datasets.table import read_table

OTHERS = (busi, glas, ham10000, isic2016, isic2017, isic2018, oxford_pet, pcam, ph2)
"""Layouts whose directories look like classes."""
SUBSETS = ("train", "validation", "test")
COCO = {"annotations", "images"}
MAX_JSON_BYTES = 200_000_000


def detect(directory: Path) -> bool:
    """Returns whether a directory has images below directories of classes, and no other layout fits."""
    if dermxdb.has_layout(directory) or (directory / "annotations").is_dir():
        return False
    if directory.name == "images" and (directory.parent / MASKS).is_dir():  # the masks would be overlooked
        return False
    if (directory / "images").is_dir():
        return any(holds_images(path) for pattern in ("*", "*/*") for path in (directory / "images").glob(pattern))
    return not any(other.detect(directory) for other in OTHERS) and has_classes(directory)


def load(directory: Path) -> DatasetIndex:
    """Loads `images/<class>/` with all subdirectories, `masks/` and, if it exists, `images.csv`.

    Without `images/`, the classes are at the top, or in `train/`, `val/` and `test/`, as torchvision has them. A mask
    has the name of its image, with or without an ending such as `_mask`. Its directories name the rater and the
    characteristic. Directories that its image has too, such as the class, do not count. The table has the column
    image, and may have group, split (a name in SPLITS) and attributes.

    Raises:
        ValueError: There are no images, or the table cannot be read.
    """
    indexer = DatasetIndexer(directory)
    tree = read_tree(indexer)
    labels = {name: parts[0] for name, parts in tree.parts.items() if parts and name not in tree.ambiguous}
    groups, sides, attributes = _read_user_table(indexer, tree)
    if tree.splits:
        found = ", ".join(sorted(set(tree.splits.values())))
        indexer.notes.append(f"{directory}: its directories name the splits {found}")
    _report_coco(indexer)
    return indexer.build_index(
        "folder",
        tree.images,
        labels,
        masks=[_masks(indexer, tree)],
        groups=groups,
        attributes=attributes,
        split={**tree.splits, **sides}.get,
    )


def _masks(indexer: DatasetIndexer, tree: ClassTree) -> dict[str, list[Mask]]:
    """Returns the masks by the name of their image."""
    masks = {name: [Mask(path=path, rater=EXPERT) for path in paths] for name, paths in tree.masks.items()}
    names = NameIndex(tree.images)
    root = indexer.directory / MASKS
    for path in indexer.images_below(root):
        match = ENDING.fullmatch(path.stem)
        name = names.find(path.stem) or (match and names.find(match["stem"])) or path.stem
        levels = list(path.parent.relative_to(root).parts)
        for shared in set(levels).intersection(tree.parts.get(name, ())):
            levels.remove(shared)
        if name in tree.images and (len(levels) > 2 or tree.classes & set(levels[:1])):
            indexer.add_problem(
                path, "is in directories of no rater or of another class", "use masks/<rater>/<characteristic>/"
            )
            continue
        mask = Mask(path=path, rater=[*levels, EXPERT][0], characteristic=levels[1] if len(levels) > 1 else None)
        masks.setdefault(name, []).append(mask)
    return masks


def _read_user_table(
    indexer: DatasetIndexer, tree: ClassTree
) -> tuple[dict[str, str], dict[str, Split], Mapping[str, Mapping[str, str]]]:
    """Returns groups, splits and attributes by the name of the image."""
    table = indexer.directory / "images.csv"
    if not table.exists() and not table.is_symlink():
        return {}, {}, {}
    rows = read_table(table, ["image"])
    columns = TableColumns(indexer, table, rows, {"image"})
    pairs = {
        kind: [(row["image"], row[column]) for row in rows if column and row[column]]
        for kind, column in (("group", columns.group), ("split", columns.split))
    }
    groups = indexer.labels(pairs["group"], table, tree.images, kind="group")
    sides: list[tuple[str, str]] = [(name, SPLITS.get(word.lower(), word)) for name, word in pairs["split"]]
    splits = indexer.labels(sides, table, tree.images, valid=SUBSETS, kind="split")
    attributes = indexer.attributes(table, "image", tree.images, names=columns.attributes)
    return groups, {name: SPLITS[word] for name, word in splits.items()}, attributes


def _report_coco(indexer: DatasetIndexer) -> None:
    """Reports annotations in JSON, which are not read."""
    for path in indexer.files("*.json", f"{MASKS}/*.json", f"{MASKS}/*/*.json"):
        try:
            content = json.loads(read_bytes(path, MAX_JSON_BYTES))
        except (ValueError, RecursionError):
            continue
        if path.parent != indexer.directory or (isinstance(content, dict) and content.keys() >= COCO):
            indexer.add_problem(path, "holds annotations, which are not read", "convert them with `data import`")


FOLDER = DatasetReader(
    name="folder",
    detect=detect,
    load=load,
    source="Loupe's own",
    obtain="your own data: images/<class>/<name>.png with masks/<name>.png next to images/; their directory",
)
