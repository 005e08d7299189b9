"""The indexer that readers share: it matches images, masks and labels by name, and reports what does not match."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from datasets import DatasetIndex, Mask, Problem, Sample, Split
from datasets.image_io import SUFFIXES

EXPERT = "expert"
"""Name of the rater in data sets with one mask per image that do not name him."""
CHALLENGE_SPLITS: dict[str, Split] = {"Training": "train", "Validation": "validation", "Test": "test"}


def find_root(directory: Path, name: str) -> Path:
    """Returns the directory of a data set, given that directory or its parent."""
    return directory / name if (directory / name).is_dir() else directory


def require_unpacked(path: Path) -> Path:
    """Returns the path of a file if it exists.

    Raises:
        ValueError: The file is missing, or only its gzip archive exists.
    """
    packed = path.with_name(f"{path.name}.gz")
    if not path.is_file() and packed.is_file():
        raise ValueError(f"{packed} is packed; unpack it with `gunzip {packed.name}`")
    if not path.is_file():
        raise ValueError(f"{path} is missing; put it there")
    return path


def split_from_directory(image: Path) -> Split | None:
    """Returns the split in the name of an image's directory, as in the ISIC challenges. None if it names none."""
    return next((split for word, split in CHALLENGE_SPLITS.items() if f"_{word}_" in image.parent.name), None)


class DatasetIndexer:
    """Finds the files of a data set by name and collects their problems.

    A reader collects images, masks and labels, and :meth:`build_index` joins them. Names from tables are only looked up
    among the files in the directory, so no name can lead out of it.

    Attributes:
        directory: The directory of the data set.
        problems: Problems to fix or exclude.
        left_out: One line for each file or image that is left out.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.problems: list[Problem] = []
        self.left_out: list[str] = []

    def directories(self, pattern: str) -> list[Path]:
        """Lists the directories that match a pattern, sorted by name. "." is the directory of the data set."""
        if pattern == ".":
            return [self.directory]
        return sorted(path for path in self.directory.glob(pattern) if path.is_dir())

    def files(self, *patterns: str) -> list[Path]:
        """Lists the files that match one of the patterns, sorted by name."""
        return sorted({path for pattern in patterns for path in self.directory.glob(pattern) if path.is_file()})

    def images(self, *patterns: str, skip: str = "_superpixels") -> dict[str, Path]:
        """Returns the image files by stem. If several directories have a stem, the first one counts.

        Hidden files are skipped.

        Args:
            patterns: Patterns of the directories to search.
            skip: Regular expression of stem endings to skip, in any case, such as those of masks or of the superpixels
                of ISIC 2017 in the same directory.
        """
        images: dict[str, Path] = {}
        skipped = re.compile(f".*(?:{skip})", re.IGNORECASE)
        for directory in dict.fromkeys(path for pattern in patterns for path in self.directories(pattern)):
            files = self.by_stem(path for path in self._image_files(directory) if not skipped.fullmatch(path.stem))
            images = files | images
        return images

    def by_stem(self, paths: Iterable[Path]) -> dict[str, Path]:
        """Returns the files by stem. A second file of a stem is a problem."""
        files: dict[str, Path] = {}
        for path in paths:
            first = files.setdefault(path.stem, path)
            if first is not path:
                other = first.name if first.parent == path.parent else first
                self.add_problem(path, f"and {other} have the same name", "remove one of them")
        return files

    def images_below(self, name: str) -> list[Path]:
        """Lists the image files of a directory and all its subdirectories, sorted. Empty if it does not exist.

        Links to directories are left out, because they may form cycles.
        """
        files: list[Path] = []
        pending = self.directories(name)
        while pending:
            current = pending.pop()
            files += self._image_files(current)
            for path in sorted(current.iterdir()):
                if not path.is_dir() or path.name.startswith("."):
                    continue
                if path.is_symlink():
                    self.left_out.append(f"{path}: a link to a directory, which is not followed")
                else:
                    pending.append(path)
        return sorted(files)

    def masks(
        self, pattern: str, suffix: str, *, characteristic: str | None = None, marks: frozenset[int] | None = None
    ) -> dict[str, list[Mask]]:
        """Returns the masks by the stem of their image.

        Args:
            pattern: Pattern of the directories to search.
            suffix: Regular expression of the part after the stem of the image, in any case.
            characteristic: The characteristic that the masks show. None for the outline of the lesion.
            marks: As in :class:`datasets.Mask`.
        """
        masks: dict[str, list[Mask]] = defaultdict(list)
        ending = re.compile(f"(?P<stem>.+?)(?:{suffix})", re.IGNORECASE)
        for directory in self.directories(pattern):
            for path in self._image_files(directory):
                if match := ending.fullmatch(path.stem):
                    mask = Mask(path=path, rater=EXPERT, characteristic=characteristic, marks=marks)
                    masks[match["stem"]].append(mask)
        return dict(masks)

    def labels(
        self, pairs: Iterable[tuple[str, str]], table: Path, *, valid: Sequence[str] = (), kind: str = "class"
    ) -> dict[str, str]:
        """Returns the classes by stem of the image. Two different labels and unknown classes are problems.

        Images with a problem have no label.

        Args:
            pairs: Pairs of stem and class.
            table: The file that lists them.
            valid: The classes of the data set. Empty accepts any.
            kind: The word for messages, if the labels are not classes.
        """
        labels: dict[str, str] = {}
        ambiguous = set()
        for stem, label in pairs:
            if valid and label not in valid:
                self.add_problem(table, f"gives {stem} the unknown {kind} {label!r}", f"use one of {', '.join(valid)}")
            elif labels.setdefault(stem, label) != label:
                self.add_problem(table, f"gives {stem} two labels, {labels[stem]!r} and {label!r}", "keep one of them")
                ambiguous.add(stem)
        return {stem: label for stem, label in labels.items() if stem not in ambiguous}

    def add_problem(self, file: Path, what: str, remedy: str) -> None:
        """Adds a problem with a file. The arguments are those of :class:`datasets.Problem`."""
        problem = Problem(file=file, what=what, remedy=remedy)
        # A reader may meet a file several times, such as once for each feature drawn on it.
        if problem not in self.problems:
            self.problems.append(problem)

    def build_index(  # noqa: PLR0913 - the parts of an index come from different files
        self,
        layout: str,
        images: Mapping[str, Path | None],
        labels: Mapping[str, str],
        *,
        masks: Iterable[Mapping[str, Sequence[Mask]]] = (),
        groups: Mapping[str, str] | None = None,
        frames: Mapping[str, int] | None = None,
        split: Callable[[str], Split | None] = lambda _: None,
    ) -> DatasetIndex:
        """Joins images, labels, masks and groups by the stem of the image.

        Args:
            layout: Name of the layout.
            images: Image file by stem. None for an image that is listed but missing.
            labels: Class by stem. Images without one have masks to score but are not trained on.
            masks: Masks by stem, as one or more mappings.
            groups: Group by stem. Images without one form their own group.
            frames: Index in its file by stem, for images that share a file.
            split: Returns the official split of a stem.

        Raises:
            ValueError: There are no images.
        """
        if not images:
            raise ValueError(f"{self.directory} holds no images where {layout} has them; unpack the data set there")
        drawn: dict[str, list[Mask]] = defaultdict(list)
        for mapping in masks:
            for stem, instances in mapping.items():
                drawn[stem] += instances
        for stem in sorted(drawn.keys() - images.keys()):
            for mask in drawn[stem]:
                self.add_problem(mask.path, "is a mask without an image", f"add the image {stem} or remove the mask")
        absent = sorted(labels.keys() - images.keys())
        self.left_out += [f"{stem}: listed with a label, but there is no image" for stem in absent]
        samples = tuple(
            Sample(
                id=stem,
                image=path,
                frame=(frames or {}).get(stem),
                diagnosis=labels.get(stem, ""),
                group=(groups or {}).get(stem, "") or stem,
                masks=tuple(drawn.get(stem, ())),
                split=split(stem),
            )
            for stem, path in sorted(images.items())
        )
        return DatasetIndex(
            name=self.directory.name,
            layout=layout,
            root=self.directory,
            samples=samples,
            problems=tuple(self.problems),
            left_out=tuple(self.left_out),
        )

    def _image_files(self, directory: Path) -> list[Path]:
        """Lists the image files of a directory, sorted. A broken link is a problem."""
        files = []
        for path in sorted(directory.iterdir()):
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            if path.is_symlink() and not path.exists():
                self.add_problem(path, "is a link that leads nowhere", "restore what it points to or remove it")
            else:
                files.append(path)
        return files
