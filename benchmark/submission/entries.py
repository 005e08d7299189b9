"""Entry files that lie anywhere: Python with one constant, or TOML with a name of timm's."""

import importlib.util
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from architectures import Architecture, Checkpoint
from architectures.from_timm import from_timm
from benchmark.errors import UserError
from benchmark.registry import entries, register
from benchmark.storage.paths import ENTRIES

SUFFIXES = (".py", ".toml")
HOME = ENTRIES
"""Where admitted submissions lie."""
LARGEST = 1024**2
NAME = r"^[a-z][a-z0-9_]{1,63}$"
FORBIDDEN = re.compile(r"[<>\x00-\x1f\x7f|`]")


class CheckpointFacts(BaseModel):
    """What an entry says of a checkpoint from elsewhere, checked as text."""

    model_config = ConfigDict(extra="forbid", strict=True)

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    classes: list[str] = Field(min_length=2, max_length=1000)
    regime: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    trained_on: str = Field(min_length=1, max_length=300)
    source: str = Field(min_length=1, max_length=300)

    @field_validator("*")
    @classmethod
    def plain(cls, value: Any) -> Any:
        """Text that no page can take for anything else."""
        return _plain(value)


class Facts(BaseModel):
    """What an entry says of itself, checked as text: whoever wrote it, it ends up in tables and file names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(pattern=NAME)
    target_layer: str = Field(pattern=r"^[A-Za-z0-9_.]+$", max_length=200)
    input_size: int = Field(ge=32, le=2048)
    learning_rate: float = Field(gt=0, le=1)
    quick_epochs: int = Field(ge=1, le=1000)
    source: str = Field(min_length=1, max_length=300)
    predicts_masks: bool = False
    checkpoint: CheckpointFacts | None = None
    authors: str = Field(default="", max_length=200)
    license: str = Field(default="", max_length=60)
    superseded_by: str = Field(default="", pattern=NAME + "|^$")
    withdrawn: str = Field(default="", max_length=120)

    @field_validator("*")
    @classmethod
    def plain(cls, value: Any) -> Any:
        """Text that no page can take for anything else."""
        return _plain(value)


class TimmFile(Facts):
    """An entry file without code."""

    timm: str = Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)?$")
    target_layer: str = Field(default="", pattern=r"^[A-Za-z0-9_.]*$", max_length=200)
    input_size: int = Field(default=0, ge=0, le=2048)
    smallest_side: int = Field(default=0, ge=0, le=2048)
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    quick_epochs: int = Field(default=8, ge=1, le=1000)


def facts_of(architecture: Architecture) -> dict[str, Any]:
    """What an entry says of itself, as JSON can say it."""
    told = {name: getattr(architecture, name) for name in Facts.model_fields}
    if architecture.checkpoint is not None:
        checkpoint = architecture.checkpoint
        told["checkpoint"] = {name: getattr(checkpoint, name) for name in CheckpointFacts.model_fields}
        told["checkpoint"]["classes"] = list(checkpoint.classes)
    return told


def entry_files(directory: Path) -> list[Path]:
    """The entry files of a directory.

    Raises:
        UserError: It is no directory.
    """
    if not directory.is_dir():
        raise UserError(f"--entries: {directory} is not a directory; give the directory that holds the entry files")
    return sorted(
        path for path in directory.iterdir() if path.suffix in SUFFIXES and not path.name.startswith(("_", "."))
    )


def entry_file(word: str, directory: Path | None) -> Path:
    """The entry file that a word on the command line means: a path, or a name within a directory of entries.

    Raises:
        UserError: There is no such file, or it is no entry file.
    """
    places = [Path(word), *(place / f"{word}{suffix}" for place in (directory or HOME,) for suffix in SUFFIXES)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise UserError(f"{word} does not exist; give an entry file, or make one with `python -m benchmark new NAME`")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path} is no entry; an entry is a file that ends in .py or .toml")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} is larger than a megabyte; weights belong into a .safetensors file beside the entry")
    return path.resolve()


def load_entry(path: Path) -> Architecture:
    """Runs an entry file and registers what it defines. Python in it runs with all rights of this process.

    Raises:
        UserError: It defines no architecture, several, or one whose name is taken.
    """
    module = _from_toml(path) if path.suffix == ".toml" else _from_python(path)
    known = {id(entry) for entry in entries(Architecture).values()}
    found = {id(value): value for value in vars(module).values() if isinstance(value, Architecture)}
    own = [entry for place, entry in found.items() if place not in known]
    if len(own) != 1:
        many = f"{len(own)} constants" if own else "no constant"
        raise UserError(f"{path.name} has {many} of type Architecture; an entry has exactly one")
    only = ModuleType(module.__name__)
    only.__file__ = str(path)
    only.ENTRY = own[0]  # type: ignore[attr-defined]  # a module of ours that holds the entry alone
    try:
        register(Architecture, only)
    except ValueError as error:
        raise UserError(str(error)) from None
    return own[0]


def load_folder(directory: Path | None) -> list[Architecture]:
    """Registers all entries of a directory, or of none."""
    return [load_entry(path.resolve()) for path in entry_files(directory)] if directory else []


def checked(check: Callable[[], BaseModel]) -> BaseModel:
    """What a pydantic model makes of its input; its complaint in one line.

    Raises:
        UserError: It complains.
    """
    try:
        return check()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        _refuse(place, first)


def _refuse(place: str, first: Any) -> NoReturn:
    given = "" if first["type"] == "missing" else f" (is {str(first.get('input'))[:80]!r})"
    raise UserError(f"{place}: {first['msg']}{given}") from None


def _plain(value: Any) -> Any:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and FORBIDDEN.search(text):
            raise ValueError("holds markup or a control character; write plain text in one line")
    return value


def _from_python(path: Path) -> ModuleType:
    name = f"loupe_entry_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} cannot be imported; rename it to NAME.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def read_toml(path: Path) -> TimmFile:
    """An entry without code.

    Raises:
        UserError: A field is missing, unknown or out of its range.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path.name} is no TOML file ({error})") from None
    found = checked(lambda: TimmFile.model_validate(told))
    if not isinstance(found, TimmFile):
        raise TypeError(path)
    return found


def _from_toml(path: Path) -> ModuleType:
    told = read_toml(path)
    fields = told.model_dump(exclude={"timm", "smallest_side", "checkpoint"})
    checkpoint = told.checkpoint
    entry = Architecture(
        build=_unbuilt,
        pretrained=None,
        checkpoint=Checkpoint(**checkpoint.model_dump() | {"classes": tuple(checkpoint.classes)})
        if checkpoint
        else None,
        **fields,
    )
    module = ModuleType(f"loupe_entry_{path.stem}")
    try:
        module.ENTRY = from_timm(entry, told.timm, smallest_side=told.smallest_side)  # type: ignore[attr-defined]  # as above
    except ValueError as error:
        raise UserError(f"{path.name}: {error}") from None
    return module


def _unbuilt(classes: int) -> NoReturn:
    raise UserError(f"nothing builds it for {classes} classes yet")
