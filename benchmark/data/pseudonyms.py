"""Pseudonyms in place of the names that a run publishes: of images, groups and raters, and of their files.

A pseudonym is a keyed hash. With the same key, the same name has the same pseudonym. Without the key, nobody can try
out names. The key never enters the results.
"""

import os
import re
import secrets
from dataclasses import replace
from pathlib import Path

from benchmark.data.identifying import find_identifying, sample_columns
from benchmark.data.importers import hash_name
from benchmark.errors import UserError
from benchmark.storage.results import results_dir
from datasets import DatasetIndex, Mask, Sample
from datasets.files import read_bytes
from datasets.indexer import EXPERT

_KEY = re.compile(rb"[0-9a-f]{64}\s*")
MAX_KEY_BYTES = 1000


def load_key(path: Path) -> bytes:
    """Returns the key in a file, which is made on first use. Only its owner can read it.

    Raises:
        UserError: The file is in the results, holds no key, or cannot be read or written.
    """
    if path.resolve().is_relative_to(results_dir().resolve()):
        raise UserError(f"--pseudonyms: {path} is in the results, which are made to be published; name another place")
    try:
        if not path.exists():
            _make_key(path)
        text = read_bytes(path, MAX_KEY_BYTES)
    except (OSError, ValueError) as error:
        raise UserError(f"--pseudonyms: {path} cannot be used ({error}); name a file for the key") from None
    if not _KEY.fullmatch(text):
        raise UserError(f"--pseudonyms: {path} is no key of Loupe; name a new file, or restore the key")
    return bytes.fromhex(text.decode().strip())


def _make_key(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{secrets.token_hex(32)}\n")


def pseudonymize(data: DatasetIndex, key: bytes) -> DatasetIndex:
    """Returns a data set with pseudonyms, in their order. Attributes that may identify a patient are left out.

    Images without a group of their own stay groups of one image. Names of classes and of the data set stay.
    """
    dropped = sorted(_identifying_attributes(data))
    samples = tuple(sorted((_pseudonymize(sample, key, dropped) for sample in data.samples), key=lambda item: item.id))
    note = f"{data.root}: names of images, groups, raters and files are replaced by pseudonyms"
    left_out = [f"{data.root}: pseudonyms leave out the attributes {', '.join(dropped)}"] if dropped else []
    return replace(data, samples=samples, pseudonymous=True, notes=(*data.notes, note, *left_out))


def _pseudonymize(sample: Sample, key: bytes, dropped: list[str]) -> Sample:
    name = hash_name(key, "image", sample.id)
    return replace(
        sample,
        id=name,
        group=name if sample.group == sample.id else hash_name(key, "group", sample.group),
        masks=tuple(replace(mask, rater=_rater(mask, key)) for mask in sample.masks),
        attributes={column: value for column, value in sample.attributes.items() if column not in dropped},
    )


def _rater(mask: Mask, key: bytes) -> str:
    return mask.rater if mask.rater == EXPERT else f"rater-{hash_name(key, 'rater', mask.rater)[:8]}"


def _identifying_attributes(data: DatasetIndex) -> set[str]:
    names = {name for sample in data.samples for name in sample.attributes}
    columns = sample_columns(data.samples)
    return {name for name in names if find_identifying({name: columns[name]}, data.classes)}
