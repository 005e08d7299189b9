"""What a reader finds in a directory: pictures, masks and labels, matched by name, and whatever does not match."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from datasets import DatasetIndex, Mask, Problem, Sample, Split
from datasets.image_io import SUFFIXES

EXPERT = "expert"
"""Name of the one who drew, where a data set has one mask per image and does not say whose."""
CHALLENGE_SPLITS: dict[str, Split] = {"Training": "train", "Validation": "validation", "Test": "test"}


def inner(directory: Path, name: str) -> Path:
    """The directory of a data set, where the directory itself or the one it was unpacked in may have been given."""
    return directory / name if (directory / name).is_dir() else directory


def unpacked(path: Path) -> Path:
    """The file itself.

    Raises:
        ValueError: It is missing, or there only as gzip packed it.
    """
    packed = path.with_name(f"{path.name}.gz")
    if not path.is_file() and packed.is_file():
        raise ValueError(f"{packed} is packed; unpack it with `gunzip {packed.name}`")
    if not path.is_file():
        raise ValueError(f"{path} is missing; put it there")
    return path


def split_from_directory(picture: Path) -> Split | None:
    """The split that the name of a picture's directory tells in ISIC's challenges; None where it tells none."""
    return next((split for word, split in CHALLENGE_SPLITS.items() if f"_{word}_" in picture.parent.name), None)


class DatasetIndexer:
    """Finds files in a directory by their names and gathers what is wrong with them.

    A reader asks for pictures, masks and labels, and has :meth:`data_set` join them. Names from tables are only ever
    looked up among the files found, so no name can lead out of the directory.

    Attributes:
        directory: The data set's directory.
        problems: What has to be mended or left out on purpose.
        left_out: One line for each thing left out.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.problems: list[Problem] = []
        self.left_out: list[str] = []

    def directories(self, pattern: str) -> list[Path]:
        """The directories that match a pattern, sorted by name; "." is the data set's directory itself."""
        if pattern == ".":
            return [self.directory]
        return sorted(path for path in self.directory.glob(pattern) if path.is_dir())

    def files(self, *patterns: str) -> list[Path]:
        """The files that match one of the patterns, sorted by name."""
        return sorted({path for pattern in patterns for path in self.directory.glob(pattern) if path.is_file()})

    def pictures(self, *patterns: str, but: str = "_superpixels") -> dict[str, Path]:
        """Picture files by stem, of the directories that match the patterns; the first of several directories is taken.

        Hidden files are passed over.

        Args:
            patterns: Of the directories to look in.
            but: Regular expression for the ends of stems, in any case, that are passed over: what lies beside the
                images, such as their masks or the superpixels of ISIC 2017.
        """
        found: dict[str, Path] = {}
        passed = re.compile(f".*(?:{but})", re.IGNORECASE)
        for directory in dict.fromkeys(path for pattern in patterns for path in self.directories(pattern)):
            here = self.by_stem(path for path in self._files(directory) if not passed.fullmatch(path.stem))
            found = here | found
        return found

    def by_stem(self, paths: Iterable[Path]) -> dict[str, Path]:
        """Files by stem; a second file of a stem is a problem."""
        found: dict[str, Path] = {}
        for path in paths:
            first = found.setdefault(path.stem, path)
            if first is not path:
                other = first.name if first.parent == path.parent else first
                self.problem(path, f"and {other} have the same name", "remove one of them")
        return found

    def below(self, name: str) -> list[Path]:
        """Picture files of a directory and of all directories in it, sorted; none if it is not there.

        Links to directories are left out by name, for they may lead in circles.
        """
        found: list[Path] = []
        waiting = self.directories(name)
        while waiting:
            here = waiting.pop()
            found += self._files(here)
            for path in sorted(here.iterdir()):
                if not path.is_dir() or path.name.startswith("."):
                    continue
                if path.is_symlink():
                    self.left_out.append(f"{path}: a link to a directory, which is not followed")
                else:
                    waiting.append(path)
        return sorted(found)

    def masks(
        self, pattern: str, suffix: str, *, characteristic: str | None = None, marks: frozenset[int] | None = None
    ) -> dict[str, list[Mask]]:
        """Masks by the stem of their image.

        Args:
            pattern: Of the directories to look in.
            suffix: Regular expression for what follows the stem of the image, in any case.
            characteristic: What the masks show; None for the outline of the lesion.
            marks: As in :class:`datasets.Mask`.
        """
        found: dict[str, list[Mask]] = defaultdict(list)
        ending = re.compile(f"(?P<stem>.+?)(?:{suffix})", re.IGNORECASE)
        for directory in self.directories(pattern):
            for path in self._files(directory):
                if match := ending.fullmatch(path.stem):
                    mask = Mask(path=path, rater=EXPERT, characteristic=characteristic, marks=marks)
                    found[match["stem"]].append(mask)
        return dict(found)

    def labels(
        self, pairs: Iterable[tuple[str, str]], table: Path, *, known: Sequence[str] = (), what: str = "class"
    ) -> dict[str, str]:
        """Classes by stem of the image; a second, different label and a class that is not known are problems.

        Images with a problem have no label.

        Args:
            pairs: Stem and class, as listed.
            table: The file they come from.
            known: The classes that the data set has; none takes any.
            what: What is listed, if not the class.
        """
        found: dict[str, str] = {}
        unclear = set()
        for stem, label in pairs:
            if known and label not in known:
                self.problem(table, f"gives {stem} the unknown {what} {label!r}", f"use one of {', '.join(known)}")
            elif found.setdefault(stem, label) != label:
                self.problem(table, f"gives {stem} two labels, {found[stem]!r} and {label!r}", "keep one of them")
                unclear.add(stem)
        return {stem: label for stem, label in found.items() if stem not in unclear}

    def problem(self, file: Path, what: str, remedy: str) -> None:
        """Notes what is wrong with a file, to be read after its name, and what to do about it."""
        found = Problem(file=file, what=what, remedy=remedy)
        # A file can be come upon several times, as by each of the features drawn on it.
        if found not in self.problems:
            self.problems.append(found)

    def data_set(  # noqa: PLR0913 - what is known of images comes from as many places
        self,
        layout: str,
        pictures: Mapping[str, Path | None],
        labels: Mapping[str, str],
        *,
        masks: Iterable[Mapping[str, Sequence[Mask]]] = (),
        groups: Mapping[str, str] | None = None,
        frames: Mapping[str, int] | None = None,
        split: Callable[[str], Split | None] = lambda _: None,
    ) -> DatasetIndex:
        """Joins what was found, by the stem of the image.

        Args:
            layout: Name of the layout.
            pictures: Image file by stem; None for an image that is known but not there.
            labels: Class by stem. Images without one have masks to score but train nothing.
            masks: Masks by stem; several mappings are put together.
            groups: Group by stem; images without one are a group of their own.
            frames: Number within its file by stem, of images that share a file.
            split: Gives the official split of a stem.

        Raises:
            ValueError: There are no images.
        """
        if not pictures:
            raise ValueError(f"{self.directory} holds no images where {layout} has them; unpack the data set there")
        drawn: dict[str, list[Mask]] = defaultdict(list)
        for mapping in masks:
            for stem, found in mapping.items():
                drawn[stem] += found
        for stem in sorted(drawn.keys() - pictures.keys()):
            for mask in drawn[stem]:
                self.problem(mask.path, "is a mask without an image", f"add the image {stem} or remove the mask")
        absent = sorted(labels.keys() - pictures.keys())
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
            for stem, path in sorted(pictures.items())
        )
        return DatasetIndex(
            name=self.directory.name,
            layout=layout,
            root=self.directory,
            samples=samples,
            problems=tuple(self.problems),
            left_out=tuple(self.left_out),
        )

    def _files(self, directory: Path) -> list[Path]:
        """The picture files of a directory, sorted; a link that leads nowhere is a problem."""
        found = []
        for path in sorted(directory.iterdir()):
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            if path.is_symlink() and not path.exists():
                self.problem(path, "is a link that leads nowhere", "restore what it points to or remove it")
            else:
                found.append(path)
        return found
