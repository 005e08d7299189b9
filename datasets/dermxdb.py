"""DermXDB: six skin diagnoses with characteristics, drawn by several dermatologists."""

from collections import defaultdict
from pathlib import Path

from datasets import Case, DataSet, Layout, Mask
from datasets.pictures import by_stem
from datasets.table import read_table

REMEDY = "put the images, named like the masks, into it (they are on request from SD-260 and DermNetNZ)"


def has_layout(folder: Path) -> bool:
    """Whether the folder holds the metadata and the masks where DermXDB has them."""
    return (folder / "metadata.csv").is_file() and (folder / "masks" / "masks").is_dir()


def recognise(folder: Path) -> bool:
    """Whether the folder is DermXDB, not rendered data in its layout."""
    return has_layout(folder) and not (folder / "SYNTHETIC.txt").exists()


def read(folder: Path) -> DataSet:
    """Reads DermXDB v1, with the images in `images/` beside the masks.

    Images are matched to `metadata.csv` by stem. Raters' names and stems part at the first underscore.
    Where `folds/` holds a first fold, as in v2, it is the official split and names the patients.

    Raises:
        ValueError: There are no images, or a mask is listed that has no image or no file.
    """
    pictures = by_stem(folder / "images") if (folder / "images").is_dir() else {}
    if not pictures:
        raise ValueError(f"{folder / 'images'} holds no images; {REMEDY}")
    known = {Path(row["current_filename"]).stem: row for row in _metadata(folder)}
    masks = _masks(folder)
    for stem in masks:
        if stem in known and stem not in pictures:
            raise ValueError(f"{masks[stem][0].path} is a mask without an image; add {stem} to {folder / 'images'}")
    folds = _first_fold(folder)
    cases = []
    for stem, row in sorted(known.items()):
        if stem in pictures:
            split, patient = folds.get(stem, (None, stem))
            case = Case(
                id=stem,
                image=pictures[stem],
                diagnosis=row["diagnosis"],
                group=patient,
                masks=tuple(masks.get(stem, ())),
                split=split,
            )
            cases.append(case)
    left_out = [f"{pictures[stem]}: no row in metadata.csv" for stem in pictures if stem not in known]
    left_out += [f"{stem}: masks without a row in metadata.csv" for stem in masks if stem not in known]
    return DataSet(name=folder.name, layout="dermxdb", root=folder, cases=tuple(cases), left_out=tuple(left_out))


def _metadata(folder: Path) -> list[dict[str, str]]:
    return read_table(folder / "metadata.csv", ["current_filename", "diagnosis"])


def _masks(folder: Path) -> dict[str, list[Mask]]:
    """Masks by stem of their image."""
    found: dict[str, list[Mask]] = defaultdict(list)
    table = folder / "masks" / "instance_mask_annotations.csv"
    for row in read_table(table, ["image_id", "mask_id", "class_name"]):
        rater, _, stem = row["image_id"].partition("_")
        path = folder / "masks" / "masks" / f"{row['mask_id']}.png"
        if Path(row["mask_id"]).name != row["mask_id"] or not path.is_file():
            raise ValueError(f"{table} lists {row['mask_id']!r}, which is no file in masks/masks; restore it")
        found[stem].append(Mask(path=path, rater=rater, characteristic=row["class_name"]))
    return found


def _first_fold(folder: Path) -> dict[str, tuple[str | None, str]]:
    """Split and patient by stem."""
    found: dict[str, tuple[str | None, str]] = {}
    for split in ("train", "test"):
        table = folder / "folds" / f"metadata_fold_0_{split}.csv"
        if table.is_file():
            for row in read_table(table, ["current_filename", "patient_id"]):
                found[Path(row["current_filename"]).stem] = (split, row["patient_id"])
    return found


DERMXDB = Layout(
    name="dermxdb",
    recognise=recognise,
    read=read,
    source="Jalaboi et al., DermX: an end-to-end framework for explainable automated dermatological diagnosis, 2023",
)
