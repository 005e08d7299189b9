"""What the harness itself says of a results directory: its data, and the records that runs published here.

Nobody else's record can change it. Records are compared with it before they enter a table.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import UserError
from benchmark.storage.cache import discard
from benchmark.storage.files import write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.results import HOUSE_FILE, RECORDS


class TableFacts(BaseModel):
    """The data and settings of one protocol.

    Attributes:
        dataset: Name of the data set.
        synthetic: Whether a program rendered its images.
        preset: Name of the preset.
        classes: Names of the classes, in the order of the labels.
        images: Names of the test images.
        labels: Their classes, as indices.
        groups: Their groups, such as patients.
        settings: Fields of the preset. Empty where they are unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    synthetic: bool
    preset: str
    classes: tuple[str, ...]
    images: tuple[str, ...]
    labels: tuple[int, ...]
    groups: tuple[str, ...]
    settings: dict[str, Any] = Field(default_factory=dict)


class House(BaseModel):
    """The content of the file.

    Attributes:
        protocols: Facts by protocol.
        made: SHA-256 of the records that runs published here, by file name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocols: dict[str, TableFacts] = Field(default_factory=dict)
    made: dict[str, str] = Field(default_factory=dict)


def read_house(directory: Path) -> House | None:
    """Reads what the harness wrote. None for directories of earlier versions, which have no such file.

    Raises:
        UserError: The file is damaged.
    """
    path = directory / HOUSE_FILE
    if not path.is_file():
        return None
    try:
        return House.model_validate(json.loads(path.read_bytes()))
    except (ValueError, RecursionError, ValidationError):
        raise UserError(f"{path} is damaged; restore it, or run again") from None


def is_stated(directory: Path, protocol: str) -> bool:
    """Whether the file has the facts of a protocol, and is not damaged."""
    try:
        house = read_house(directory)
    except UserError:
        return False
    return house is not None and protocol in house.protocols


def discard_if_damaged(directory: Path) -> bool:
    """Removes what the harness wrote if it is damaged, with a line. Returns whether it was."""
    try:
        read_house(directory)
    except UserError:
        discard(directory / HOUSE_FILE, "not what a run wrote")
        return True
    return False


def state_facts(directory: Path, facts: Mapping[str, TableFacts]) -> None:
    """Writes the facts of some protocols. Those of other protocols stay."""
    house = read_house(directory) or House()
    _write(directory, house.model_copy(update={"protocols": {**house.protocols, **facts}}))


def list_made(directory: Path, paths: list[Path]) -> None:
    """Lists records as published by a run. Records that are gone are no longer listed."""
    house = read_house(directory) or House()
    digests = {path.name: file_digest(path) for path in paths}
    made = {name: digest for name, digest in {**house.made, **digests}.items() if _is_listed(directory, name)}
    _write(directory, house.model_copy(update={"made": dict(sorted(made.items()))}))


def _is_listed(directory: Path, name: str) -> bool:
    return (directory / RECORDS / name).is_file()


def _write(directory: Path, house: House) -> None:
    write_text(directory / HOUSE_FILE, json.dumps(house.model_dump(mode="json"), ensure_ascii=False) + "\n")
