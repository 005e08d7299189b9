"""Dermoscopic features of ISIC 2016 and 2017, given as 0 or 1 for each superpixel of an image."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets import Mask
from datasets.indexer import DatasetIndexer


def superpixel_masks(survey: DatasetIndexer, images: str, features: str, names: Sequence[str]) -> dict[str, list[Mask]]:
    """A mask of each feature by the stem of its image; one that is nowhere marked is an empty mask.

    Number n in a list belongs to the superpixel of color n = R + 256 G + 65536 B. Features without a picture of the
    superpixels are left out; a file that does not have the lists is a problem.

    Args:
        survey: Of the data set.
        images: Pattern of the directories with `<stem>_superpixels.png`.
        features: Pattern of the directories with `<stem>.json` or `<stem>_features.json`.
        names: The features, each a list in a file.
    """
    pictures = survey.masks(images, "_superpixels")
    found: dict[str, list[Mask]] = {}
    for path in (path for directory in survey.directories(features) for path in sorted(directory.glob("[!.]*.json"))):
        stem = path.stem.removesuffix("_features")
        if stem not in pictures:
            survey.left_out.append(f"{path}: there is no {stem}_superpixels.png that shows where its features are")
        elif marks := _marks(survey, path, names):
            found[stem] = [
                replace(pictures[stem][0], characteristic=name, marks=marked) for name, marked in marks.items()
            ]
    return found


def _marks(survey: DatasetIndexer, path: Path, names: Sequence[str]) -> dict[str, frozenset[int]]:
    """The marked superpixels by feature; none of a file that is a problem."""
    try:
        lists = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        survey.problem(path, f"cannot be read as JSON ({error})", "fetch it again or remove it")
        return {}
    for name in names:
        values = lists.get(name) if isinstance(lists, dict) else None
        if not isinstance(values, list) or any(value not in (0, 1) for value in values):
            survey.problem(path, f"has no list {name!r} of 0 or 1 for each superpixel", "fetch it again or remove it")
            return {}
    return {name: frozenset(number for number, value in enumerate(lists[name]) if value) for name in names}
