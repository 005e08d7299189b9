"""The indexer that readers share: it matches images, masks and labels by name, and reports what does not match."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from datasets import DatasetIndex, Mask, Problem, Sample, Split
from datasets.files import find_name_fault, not_regular
from datasets.image_files import SUFFIXES, UNREAD
from datasets.names import NameIndex, find_class_twins, find_twins
from datasets.table import read_table

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
        notes: One line for each decision that a user may want to change.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.problems: list[Problem] = []
        self.left_out: list[str] = []
        self.notes: list[str] = []

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

    def images_below(self, root: Path, skip: Path | None = None) -> list[Path]:
        """Lists the image files of a directory and all its subdirectories, sorted. Empty if it does not exist.

        Links to directories are left out, because they may form cycles. So is the directory `skip`.
        """
        files: list[Path] = []
        pending = [root] if root.is_dir() else []
        while pending:
            current = pending.pop()
            files += self._image_files(current)
            for path in sorted(current.iterdir()):
                if not path.is_dir() or path.name.startswith(".") or path == skip:
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
        self,
        pairs: Iterable[tuple[str, str]],
        table: Path,
        images: Collection[str],
        *,
        valid: Sequence[str] = (),
        kind: str = "class",
        partial: bool = False,
    ) -> dict[str, str]:
        """Returns the classes by stem of the image. Two different labels and unknown classes are problems.

        Images with a problem have no label. Names join by :class:`datasets.names.NameIndex`. A table of which less than
        half joins is a problem.

        Args:
            pairs: Pairs of the name of an image and its class.
            table: The file that lists them.
            images: The stems of the images.
            valid: The classes of the data set. Empty accepts any.
            kind: The word for messages, if the labels are not classes.
            partial: Whether the table is of one part of the data set, whose images may be missing.
        """
        pairs = list(pairs)
        stems = self.join([name for name, _ in pairs], table, images, partial=partial)
        labels: dict[str, str] = {}
        ambiguous = set()
        for name, label in pairs:
            stem = stems.get(name, name)
            if valid and label not in valid:
                self.add_problem(table, f"gives {name} the unknown {kind} {label!r}", f"use one of {', '.join(valid)}")
            elif labels.setdefault(stem, label) != label:
                self.add_problem(table, f"gives {stem} two labels, {labels[stem]!r} and {label!r}", "keep one of them")
                ambiguous.add(stem)
        return {stem: label for stem, label in labels.items() if stem in images and stem not in ambiguous}

    def attributes(
        self,
        table: Path,
        key: str,
        images: Collection[str],
        *,
        names: Sequence[str] | None = None,
        skip: Sequence[str] = (),
    ) -> dict[str, dict[str, str]]:
        """Returns the values of the columns of a table by stem of the image, without empty ones.

        Args:
            table: The file.
            key: The column with the names of the images.
            images: The stems of the images.
            names: The columns. None means all but `key` and `skip`.
            skip: Columns that have another use.
        """
        rows = read_table(table, [key])
        stems = self.join([row[key] for row in rows], table, images, partial=True)
        used = names if names is not None else [name for name in (rows or [{}])[0] if name not in {"", key, *skip}]
        values = ((row[key], {name: row[name] for name in used if row.get(name)}) for row in rows)
        return {stems[name]: found for name, found in values if name in stems and found}

    def join(
        self, names: Collection[str], table: Path, images: Collection[str], *, partial: bool = False
    ) -> dict[str, str]:
        """Returns the stem of each name in a table that has an image. Reports names without one."""
        distinct = dict.fromkeys(names)
        stems = NameIndex(images).find_all(distinct)
        missing = [name for name in distinct if name not in stems]
        if not partial and 2 * len(set(stems.values())) < min(len(distinct), len(images)):
            what = f"names {len(distinct)} images, of which {len(stems)} are among the {len(images)} images here"
            example = f"{missing[0]!r} has none, files are named like {min(images)!r}"
            self.add_problem(table, f"{what} ({example})", "use the names of the files")
        absent = (f"{name}: listed in {table.name}, but there is no image" for name in sorted(missing))
        self.left_out += absent
        return stems

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
        attributes: Mapping[str, Mapping[str, str]] | None = None,
        split: Callable[[str], Split | None] = lambda _: None,
    ) -> DatasetIndex:
        """Combines images, labels, masks and groups by the stem of the image.

        Args:
            layout: Name of the layout.
            images: Image file by stem. None for an image that is listed but missing.
            labels: Class by stem. Images without one have masks to score but are not trained on.
            masks: Masks by stem, as one or more mappings.
            groups: Group by stem. Images without one form their own group.
            frames: Index in its file by stem, for images that share a file.
            attributes: Further values by stem, by the name of their column.
            split: Returns the official split of a stem.

        Raises:
            ValueError: There are no images.
        """
        if not images:
            unread = "".join(f"; {problem}" for problem in self.problems[:1])
            raise ValueError(
                f"{self.directory} holds no images where {layout} has them; unpack the data set there{unread}"
            )
        labels = self._checked_classes(labels)
        self._check_names(images)
        drawn = self._match_masks(images, masks)
        samples = tuple(
            Sample(
                id=stem,
                image=path,
                frame=(frames or {}).get(stem),
                diagnosis=labels.get(stem, ""),
                group=(groups or {}).get(stem, "") or stem,
                masks=tuple(drawn.get(stem, ())),
                split=split(stem),
                attributes=(attributes or {}).get(stem, {}),
            )
            for stem, path in sorted(images.items())
        )
        return DatasetIndex(
            name=self.directory.name,
            layout=layout,
            root=self.directory,
            samples=samples,
            problems=tuple(self.problems),
            left_out=tuple(dict.fromkeys(self.left_out)),
            notes=tuple(self.notes),
        )

    def _match_masks(
        self, images: Mapping[str, Path | None], masks: Iterable[Mapping[str, Sequence[Mask]]]
    ) -> dict[str, list[Mask]]:
        """Combines the masks of each image. Those without an image are problems."""
        drawn: dict[str, list[Mask]] = defaultdict(list)
        for mapping in masks:
            for stem, instances in mapping.items():
                drawn[stem] += instances
        if absent := sorted(drawn.keys() - images.keys()):
            stems = NameIndex(images)
            for name in absent:
                if (image := stems.find(name)) is not None:
                    drawn[image] += drawn.pop(name)
                    continue
                for mask in drawn[name]:
                    self.add_problem(
                        mask.path, "is a mask without an image", f"add the image {name} or remove the mask"
                    )
        return drawn

    def _check_names(self, images: Mapping[str, Path | None]) -> None:
        """Reports names of images that tables, figures or terminals cannot hold, and names that look the same."""
        for stem, path in images.items():
            if (fault := find_name_fault(stem)) is not None:
                self.add_problem(path or self.directory, fault, "rename the file")
        if not all(stem.isascii() for stem in images):
            for one, other in find_twins(images):
                first = images[one]
                what = f"and {first.name if first else one} have names that look the same"
                self.add_problem(images[other] or self.directory, what, "rename one of them")

    def _checked_classes(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Reports unusable names of classes, which are then unknown, and names that differ only in spelling."""
        names = set(labels.values())
        faults = {name: fault for name in sorted(names) if (fault := find_name_fault(name))}
        for name, fault in faults.items():
            self.add_problem(self.directory, f"has a class {name!r} that {fault}", "rename the class")
        for one, other in find_class_twins(names):
            self.add_problem(self.directory, f"has the classes {one!r} and {other!r}", "use one spelling")
        return {stem: name for stem, name in labels.items() if name not in faults} if faults else labels

    def _image_files(self, directory: Path) -> list[Path]:
        """Lists the image files of a directory, sorted. Reports files that need a conversion and broken links."""
        files, unread = [], Counter[str]()
        for path in sorted(directory.iterdir()):
            suffix = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
            if path.name.startswith(".") or (suffix.lower() not in SUFFIXES and suffix.lower() not in UNREAD):
                continue
            if suffix.lower() in UNREAD or suffix != path.suffix:
                unread[suffix.lower() + (path.suffix.lower() if suffix != path.suffix else "")] += 1
            elif path.is_symlink() and not path.exists():
                self.add_problem(path, "is a link that leads nowhere", "restore what it points to or remove it")
            elif not path.is_file():
                fault = not_regular(path).problem
                self.add_problem(fault.file, fault.what, fault.remedy)
            else:
                files.append(path)
        for suffix, count in sorted(unread.items()):
            remedy = "convert them with `data import`, save them as PNG, or remove them"
            what = "file" if count == 1 else "files"
            self.add_problem(directory, f"holds {count} {what} of type {suffix}, not read", remedy)
        return files
