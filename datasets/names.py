"""Joining the names in tables to the files they mean, however the table writes them."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

SUFFIXES = re.compile(
    r"\.(?:bmp|dcm|dicom|gif|jfif|jpe?g?|jp2|nii(?:\.gz)?|npy|p[bgn]m|png|ppm|svs|tiff?|webp)$", re.IGNORECASE
)
"""Suffixes that a table may add to the name of an image."""


class NameIndex:
    """Finds the stem of an image for a name in a table.

    A table may add a directory and a suffix, differ in case, or compose accents otherwise than the file system. An
    exact match comes first. A name that fits several stems fits none.
    """

    def __init__(self, stems: Collection[str]) -> None:
        self._stems = frozenset(stems)
        self._folded: dict[str, set[str]] = defaultdict(set)
        for stem in stems:
            self._folded[_fold(stem)].add(stem)

    def find(self, name: str) -> str | None:
        """Returns the stem that a name means. None if there is none, or more than one.

        Example:
            >>> NameIndex(["a00", "b.x"]).find("train/A00.PNG"), NameIndex(["a", "A"]).find("a.png")
            ('a00', 'a')
        """
        base = re.split(r"[/\\]", name)[-1]
        for candidate in (name, base, SUFFIXES.sub("", base)):
            if candidate in self._stems:
                return candidate
        for candidate in (base, SUFFIXES.sub("", base)):
            if len(stems := self._folded.get(_fold(candidate), set())) == 1:
                return next(iter(stems))
        return None

    def find_all(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the stem of each name that has one."""
        found = {name: self.find(name) for name in names}
        return {name: stem for name, stem in found.items() if stem is not None}


def find_twins(names: Iterable[str]) -> list[tuple[str, str]]:
    r"""Returns pairs of names that look the same, but are written with different characters.

    Example:
        >>> [len(name) for pair in find_twins(["e\u0301", "\u00e9"]) for name in pair]
        [2, 1]
    """
    return _pairs({name: unicodedata.normalize("NFC", name) for name in names})


def find_class_twins(names: Iterable[str]) -> list[tuple[str, str]]:
    """Returns pairs of class names that differ only in case, blanks, hyphens, the form of accents or leading zeros.

    Example:
        >>> find_class_twins(["01", "1", "Mole", "mole", "wart"])
        [('01', '1'), ('Mole', 'mole')]
    """
    return _pairs({name: _class_key(name) for name in names})


def _class_key(name: str) -> str:
    key = re.sub(r"[\s_-]+", " ", _fold(name)).strip()
    return str(int(key)) if key.isdecimal() else key


def _pairs(keys: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs each name with the first one of the same key."""
    first: dict[str, str] = {}
    return [(first[key], name) for name, key in sorted(keys.items()) if first.setdefault(key, name) != name]


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()
