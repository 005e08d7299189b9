"""Images below directories of classes: where they are, their names, and masks next to them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets import Split
from datasets.columns import SPLITS
from datasets.image_files import SUFFIXES, UNREAD
from datasets.indexer import DatasetIndexer

MASKS = "masks"
ENDING = re.compile(r"(?P<stem>.+)[_-](?:annotation|gt|label|mask|seg|segmentation)", re.IGNORECASE)
"""Names that tools give to masks, with the name of the image in them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassTree:
    """The images below directories of classes.

    Attributes:
        images: Image file by name, which is the stem. Where splits repeat stems, it has the directories too.
        parts: The directories between the root of an image and its file, by name. The first one is the class.
        splits: Split that the directories say, by name.
        masks: Masks next to their images, by name.
        ambiguous: Names that occur in two classes. Neither can be trusted.
        classes: Names of the classes.
    """

    images: Mapping[str, Path]
    parts: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, Split]
    masks: Mapping[str, list[Path]]
    ambiguous: frozenset[str]
    classes: frozenset[str]


def has_classes(directory: Path) -> bool:
    """Returns whether a directory without `images/` has at least two classes with images, or splits with classes."""
    roots = find_roots(directory)
    classes = {path.name for root in roots for path in _directories(root) if path.name != MASKS and holds_images(path)}
    return len(classes) >= (1 if any(roots.values()) else 2)


def holds_images(directory: Path) -> bool:
    """Returns whether a directory has images directly in it."""
    return directory.is_dir() and any(
        {path.suffix.lower(), path.with_suffix("").suffix.lower()} & (SUFFIXES | UNREAD) for path in directory.iterdir()
    )


def find_roots(directory: Path) -> dict[Path, Split | None]:
    """Returns the directories that hold the classes with their splits: `train/` and the like, or the one above."""
    base = directory / "images" if (directory / "images").is_dir() else directory
    children = [path for path in _directories(base) if path.name != MASKS]
    subsets: dict[Path, Split | None] = {path: SPLITS.get(path.name.lower()) for path in children}
    if subsets and all(subsets.values()) and all(any(_directories(path)) for path in subsets):
        return subsets
    return {base: None}


def read_tree(indexer: DatasetIndexer) -> ClassTree:
    """Finds the images of a data set. Files of one name in a root are problems."""
    directory = indexer.directory
    roots = find_roots(directory)
    files = {path: root for root in roots for path in indexer.images_below(root, skip=directory / MASKS)}
    masks = dict(_adjacent_masks(set(files)))
    pictures = [path for path in files if path not in masks]
    stems = {path.stem for path in pictures}
    repeated = any(roots.values()) and len(stems) < len(pictures) and not (directory / MASKS).is_dir()
    base = next(iter(roots)).parent
    names = {
        path: "-".join([*path.parent.relative_to(base).parts, path.stem]) if repeated else path.stem
        for path in pictures
    }
    images = {names[path]: path for path in pictures} if repeated else indexer.by_stem(pictures)
    inside = {path: path.parent.relative_to(root).parts for path, root in files.items()}
    classes = {(names[path], inside[path][:1]) for path in pictures}
    parts = {name: inside[path] for name, path in images.items()}
    adjacent: dict[str, list[Path]] = {}
    for path, image in masks.items():
        adjacent.setdefault(names[image], []).append(path)
    return ClassTree(
        images=images,
        parts=parts,
        splits={name: split for name, path in images.items() if (split := roots[files[path]])},
        masks=adjacent,
        ambiguous=frozenset(name for name, first in classes if first and parts[name][:1] != first),
        classes=frozenset(name for _, first in classes for name in first),
    )


def _adjacent_masks(files: set[Path]) -> Iterator[tuple[Path, Path]]:
    """Yields files such as `a_mask.png` next to `a.jpg`, with the image."""
    images = {(path.parent, path.stem): path for path in files}
    for path in sorted(files):
        match = ENDING.fullmatch(path.stem)
        if match and (image := images.get((path.parent, match["stem"]))):
            yield path, image


def _directories(directory: Path) -> list[Path]:
    """Lists the visible subdirectories, without links."""
    return sorted(
        path for path in directory.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != "."
    )
