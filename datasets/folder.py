"""A directory per class: the way to bring data that has no layout of its own here."""

from pathlib import Path

from datasets import DatasetIndex, DatasetReader, Mask, Split, dermxdb
from datasets.image_io import SUFFIXES
from datasets.indexer import EXPERT, DatasetIndexer
from datasets.table import read_table

SPLITS: dict[str, Split] = {"train": "train", "validation": "validation", "test": "test"}


def detect(directory: Path) -> bool:
    """Whether there are pictures in a directory in `images/`, or one deeper, and nothing speaks for another layout."""
    inside = (path for pattern in ("images/*/*", "images/*/*/*") for path in directory.glob(pattern))
    other = dermxdb.has_layout(directory) or (directory / "annotations").is_dir()
    return not other and any(path.suffix.lower() in SUFFIXES for path in inside)


def read(directory: Path) -> DatasetIndex:
    """Reads `images/<class>/` with all directories below, `masks/` and, if it is there, `images.csv`.

    A mask has its image's name. The directories it lies in, less those its image lies in too, such as the class, say
    who drew it and which characteristic. The table has a column image, and may have group and split (a name in SPLITS).

    Raises:
        ValueError: There are no images, or the table cannot be read.
    """
    survey = DatasetIndexer(directory)
    found = survey.below("images")
    pictures = survey.by_stem(found)
    inside = {stem: path.parent.relative_to(directory / "images").parts for stem, path in pictures.items()}
    named = {(path.stem, name) for path in found for name in path.parent.relative_to(directory / "images").parts[:1]}
    classes = {name for _, name in named}
    # Two files of one name in two classes are a problem already; neither class can be trusted then.
    twice = {stem for stem, name in named if inside[stem][:1] != (name,)}
    labels = {stem: names[0] for stem, names in inside.items() if names and stem not in twice}
    masks: dict[str, list[Mask]] = {}
    for path in survey.below("masks"):
        who = list(path.parent.relative_to(directory / "masks").parts)
        for name in set(who).intersection(inside.get(path.stem, ())):
            who.remove(name)
        if path.stem in pictures and (len(who) > 2 or classes & set(who[:1])):
            survey.problem(
                path, "lies in directories of no rater or another class", "use masks/<rater>/<characteristic>/"
            )
            continue
        mask = Mask(path=path, rater=[*who, EXPERT][0], characteristic=who[1] if len(who) > 1 else None)
        masks.setdefault(path.stem, []).append(mask)
    table = directory / "images.csv"
    rows = read_table(table, ["image"]) if table.is_file() else []
    survey.left_out += [f"{row['image']}: only in {table.name}" for row in rows if row["image"] not in pictures]
    pairs = {kind: [(row["image"], row[kind]) for row in rows if row.get(kind)] for kind in ("group", "split")}
    groups = survey.labels(pairs["group"], table, what="group")
    sides = survey.labels(pairs["split"], table, known=tuple(SPLITS), what="split")
    split = {stem: SPLITS[side] for stem, side in sides.items()}
    return survey.data_set("folder", pictures, labels, masks=[masks], groups=groups, split=split.get)


FOLDER = DatasetReader(
    name="folder",
    detect=detect,
    read=read,
    source="Loupe's own",
    obtain="your own data: images/<class>/<name>.png with masks/<name>.png beside images/; their directory",
)
