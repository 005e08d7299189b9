"""Names that may identify a patient: those of persons, dates, and record numbers.

The rules find what is common in clinics. They miss much, and they may name what is harmless.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmark.escaping import unescape_csv
from benchmark.phrases import format_count
from datasets import Sample, printable
from datasets.table import read_table

MAX_REPEATS = 20
"""Words that more images share are those of a class or a device, not of a person."""
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_DATE = re.compile(
    rf"(?<!\d)(?:{_YEAR}(?P<a>[-_. /]){_MONTH}(?P=a){_DAY}|{_DAY}(?P<b>[-_. /]){_MONTH}(?P=b){_YEAR}"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?!\d)"
)
_NUMBER = re.compile(
    r"(?<![a-z])(?:mrn|medrec|patid|patient|pat|pid|fall|acc|accession)(?:id|no|nr|number)?[-_ .#:]*\d{4,}"
    r"|(?<![\da-f])(?!0)\d{8,12}(?![\da-f])",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{2,}(?:['-][^\W\d_]{2,})*")
_PLAIN_WORDS = frozenset(
    {
        *("abdomen", "acquisition", "arm", "axial", "back", "benign", "biopsy", "box", "breast", "brain"),
        *("case", "chest", "clinic", "close", "closeup", "copy", "coronal", "crop", "ct", "cyst", "derm"),
        *("dermoscopy", "edited", "face", "foot", "frame", "frontal", "graph", "hand", "head", "healthy"),
        *("image", "images", "img", "in", "infrared", "lateral", "left", "leg", "lesion", "lower", "macro"),
        *("malignant", "mask", "masks", "mole", "mri", "nail", "neck", "nevus", "normal", "of", "patient"),
        *("photo", "photograph", "pic", "picture", "pixel", "png", "processed", "resized", "right", "sagittal"),
        *("sample", "scalp", "scan", "screenshot", "segmentation", "series", "shot", "side", "site", "skin"),
        *("slice", "slide", "test", "the", "tile", "train", "tumor", "ultrasound", "upper", "us", "view"),
        *("visit", "with", "xray"),
    }
)
_IDENTIFIERS = frozenset(
    {
        *("address", "birth", "birthdate", "birthday", "dateofbirth", "dob", "email", "firstname", "fullname"),
        *("geburtsdatum", "insurance", "lastname", "mrn", "name", "patientname", "phone", "ssn", "surname"),
        *("telephone", "zip"),
    }
)
"""Names of columns that identify, in lower case without blanks and underscores."""
_KINDS = {
    "persons": ("looks like the name of a person", "look like names of persons"),
    "dates": ("has a date", "have a date"),
    "numbers": ("looks like a record number", "look like record numbers"),
}
"""What one value and several values of a kind do."""


def find_identifying(columns: Mapping[str, Sequence[str]], classes: Iterable[str] = ()) -> list[str]:
    """Returns one line for each column and kind of name that may identify a patient.

    Args:
        columns: Values by column, such as the names of the images.
        classes: Names of classes, whose words are not those of persons.
    """
    common = {word.casefold() for name in classes for word in _WORD.findall(name)} | _PLAIN_WORDS
    lines = []
    for column, values in columns.items():
        named = [value for value in values if value]
        if _fold(column) in _IDENTIFIERS and named:
            lines.append(f"the column {printable(column)!r} is named like one that identifies patients")
            continue
        for kind, examples in _find_kinds(named, common).items():
            if examples:
                example, (looks, look) = printable(examples[0]), _KINDS[kind]
                of = f"of {printable(column)!r}"
                counted = format_count(len(examples), f"value {of} {looks}", f"values {of} {look}")
                lines.append(f"{counted}, such as {example!r}")
    return lines


def sample_columns(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Returns what a run would publish of the samples: names of images, groups and raters, and attributes."""
    columns = {
        "image": [sample.id for sample in samples],
        "group": [sample.group for sample in samples if sample.group != sample.id],
        "rater": sorted({mask.rater for sample in samples for mask in sample.masks}),
    }
    for sample in samples:
        for name, value in sample.attributes.items():
            columns.setdefault(name, []).append(value)
    return columns


def find_published(directory: Path, classes: Iterable[str]) -> list[str]:
    """Returns the lines of :func:`find_identifying` for the splits in a results directory, one for each protocol."""
    classes = list(classes)
    return [
        f"{path.name}: {line}"
        for path in sorted(directory.glob("split*.csv"))
        for line in find_identifying(manifest_columns(path), classes)
    ]


def manifest_columns(manifest: Path) -> dict[str, list[str]]:
    """Returns what a manifest publishes: names of images, groups and files, and attributes."""
    rows = [{unescape_csv(k): unescape_csv(v) for k, v in row.items()} for row in read_table(manifest, ["image"])]
    columns = {name: [row[name] for row in rows] for name in rows[0] if name not in {"split", "diagnosis", "sha256"}}
    # A split of another program has the columns image and split alone.
    files = [(row["image"], re.split(r"[/\\]", row["file"])[-1]) for row in rows if "file" in row]
    return columns | {
        "image": list(dict.fromkeys(columns["image"])),
        "group": [row["group"] for row in rows if row.get("group", row["image"]) != row["image"]],
        "file": [file for image, file in files if image not in file],
    }


def _find_kinds(values: Sequence[str], common: set[str]) -> dict[str, list[str]]:
    distinct = list(dict.fromkeys(values))
    dates = [value for value in distinct if _DATE.search(value)]
    numbers = [value for value in distinct if _NUMBER.search(_DATE.sub(" ", value))]
    return {"persons": _find_persons(values, common), "dates": dates, "numbers": numbers}


def _find_persons(values: Sequence[str], common: set[str]) -> list[str]:
    """Returns the values whose words are capitalized and rare, and at least two."""
    words = {value: _WORD.findall(value) for value in values}
    counts = Counter(word.casefold() for value in values for word in set(words[value]))
    return [value for value, found in words.items() if _is_person(found, counts, common)]


def _is_person(words: Sequence[str], counts: Mapping[str, int], common: set[str]) -> bool:
    rare = [
        word
        for word in words
        if word[0].isupper() and counts[word.casefold()] <= MAX_REPEATS and word.casefold() not in common
    ]
    return 2 <= len(rare) == len([word for word in words if word.casefold() not in common])


def _fold(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()
