"""One directory per class: the layout for your own data."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Mask, Split, dermxdb
from datasets.image_io import SUFFIXES
from datasets.indexer import EXPERT, DatasetIndexer
from datasets.table import read_table

SPLITS: dict[str, Split] = {"train": "train", "validation": "validation", "test": "test"}


def detect(directory: Path) -> bool:
    """Returns whether `images/*/` or `images/*/*/` has images, and no other layout fits."""
    files = (path for pattern in ("images/*/*", "images/*/*/*") for path in directory.glob(pattern))
    other = dermxdb.has_layout(directory) or (directory / "annotations").is_dir()
    return not other and any(path.suffix.lower() in SUFFIXES for path in files)


def load(directory: Path) -> DatasetIndex:
    """Loads `images/<class>/` with all subdirectories, `masks/` and, if it exists, `images.csv`.

    A mask has the name of its image. Its directories name the rater and the characteristic. Directories that its image
    has too, such as the class, do not count. The table has the column image, and may have group and split (a name in
    SPLITS).

    Raises:
        ValueError: There are no images, or the table cannot be read.
    """
    indexer = DatasetIndexer(directory)
    files = indexer.images_below("images")
    images = indexer.by_stem(files)
    inside = {stem: path.parent.relative_to(directory / "images").parts for stem, path in images.items()}
    named = {(path.stem, name) for path in files for name in path.parent.relative_to(directory / "images").parts[:1]}
    classes = {name for _, name in named}
    # Files of one name in two classes are reported as a problem. Neither class can be trusted.
    ambiguous = {stem for stem, name in named if inside[stem][:1] != (name,)}
    labels = {stem: names[0] for stem, names in inside.items() if names and stem not in ambiguous}
    masks: dict[str, list[Mask]] = {}
    for path in indexer.images_below("masks"):
        levels = list(path.parent.relative_to(directory / "masks").parts)
        for name in set(levels).intersection(inside.get(path.stem, ())):
            levels.remove(name)
        if path.stem in images and (len(levels) > 2 or classes & set(levels[:1])):
            indexer.add_problem(
                path,
                "is in directories of no rater or of another class",
                "use masks/<rater>/<characteristic>/",
            )
            continue
        mask = Mask(path=path, rater=[*levels, EXPERT][0], characteristic=levels[1] if len(levels) > 1 else None)
        masks.setdefault(path.stem, []).append(mask)
    table = directory / "images.csv"
    rows = read_table(table, ["image"]) if table.is_file() else []
    indexer.left_out += [f"{row['image']}: only in {table.name}" for row in rows if row["image"] not in images]
    pairs = {kind: [(row["image"], row[kind]) for row in rows if row.get(kind)] for kind in ("group", "split")}
    groups = indexer.labels(pairs["group"], table, kind="group")
    sides = indexer.labels(pairs["split"], table, valid=tuple(SPLITS), kind="split")
    split = {stem: SPLITS[side] for stem, side in sides.items()}
    return indexer.build_index("folder", images, labels, masks=[masks], groups=groups, split=split.get)


FOLDER = DatasetReader(
    name="folder",
    detect=detect,
    load=load,
    source="Loupe's own",
    obtain="your own data: images/<class>/<name>.png with masks/<name>.png next to images/; their directory",
)
