"""Dermoscopic features of ISIC 2016 and 2017, published as 0 or 1 for each superpixel of an image."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets import Mask
from datasets.indexer import DatasetIndexer


def superpixel_masks(
    indexer: DatasetIndexer, images: str, features: str, names: Sequence[str]
) -> dict[str, list[Mask]]:
    """Returns a mask of each feature by the stem of its image. A feature that is not marked gives an empty mask.

    Value n of a list belongs to the superpixel of color n = R + 256 G + 65536 B. Features without a superpixel image
    are left out. A file without the lists is a problem.

    Args:
        indexer: The indexer of the data set.
        images: Pattern of the directories with `<stem>_superpixels.png`.
        features: Pattern of the directories with `<stem>.json` or `<stem>_features.json`.
        names: The features. Each is a list in a file.
    """
    superpixels = indexer.masks(images, "_superpixels")
    masks: dict[str, list[Mask]] = {}
    for path in (path for directory in indexer.directories(features) for path in sorted(directory.glob("[!.]*.json"))):
        stem = path.stem.removesuffix("_features")
        if stem not in superpixels:
            indexer.left_out.append(f"{path}: there is no {stem}_superpixels.png that shows where its features are")
        elif marks := _marks(indexer, path, names):
            masks[stem] = [
                replace(superpixels[stem][0], characteristic=name, marks=marked) for name, marked in marks.items()
            ]
    return masks


def _marks(indexer: DatasetIndexer, path: Path, names: Sequence[str]) -> dict[str, frozenset[int]]:
    """Returns the marked superpixels by feature. Empty if the file has a problem."""
    try:
        lists = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        indexer.add_problem(path, f"cannot be read as JSON ({error})", "fetch it again or remove it")
        return {}
    for name in names:
        values = lists.get(name) if isinstance(lists, dict) else None
        if not isinstance(values, list) or any(value not in (0, 1) for value in values):
            indexer.add_problem(
                path, f"has no list {name!r} of 0 or 1 for each superpixel", "fetch it again or remove it"
            )
            return {}
    return {name: frozenset(color for color, value in enumerate(lists[name]) if value) for name in names}
