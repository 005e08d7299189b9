"""Entry files in any directory: Python with one constant, or TOML with the name of a timm model."""

import importlib.util
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import nn

from architectures import Architecture, Checkpoint
from architectures.from_timm import from_timm
from benchmark.errors import UserError
from benchmark.registry import entries, register, registered
from benchmark.storage.hashing import file_digest
from benchmark.storage.paths import ENTRIES
from benchmark.storage.record import Record

SUFFIXES = (".py", ".toml")
ENTRIES_DIR = ENTRIES
"""Directory of accepted submissions."""
MAX_BYTES = 1024**2
"""Maximum size of an entry file."""
MAX_TOML_BYTES = 8 * 1024
"""Maximum size of an entry in TOML. The time of parsing grows with its square, and this process parses it."""
NAME = r"^[a-z][a-z0-9_]{1,63}$"
TIMM_NAME = r"^(hf-hub:[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+|[a-z0-9_]+(\.[a-z0-9_]+)?)$"
"""Names of models in timm, and of repositories on the hub that timm can load."""
Model = TypeVar("Model", bound=BaseModel)
FORBIDDEN = re.compile(r"[<>\x00-\x1f\x7f|`]")
"""Characters that HTML, Markdown or a terminal could interpret."""


class CheckpointFacts(BaseModel):
    """Metadata of an external checkpoint, validated as text."""

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
        """Rejects markup and control characters."""
        return _plain(value)


class EntryFacts(BaseModel):
    """Metadata of an entry, validated as text, since it ends up in tables and file names."""

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
        """Rejects markup and control characters."""
        return _plain(value)


class TimmFile(EntryFacts):
    """A TOML entry: metadata and the name of a timm model, without code."""

    timm: str = Field(pattern=TIMM_NAME)
    target_layer: str = Field(default="", pattern=r"^[A-Za-z0-9_.]*$", max_length=200)
    input_size: int = Field(default=0, ge=0, le=2048)
    smallest_side: int = Field(default=0, ge=0, le=2048)
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    quick_epochs: int = Field(default=8, ge=1, le=1000)


def collect_facts(architecture: Architecture) -> dict[str, Any]:
    """Returns the metadata of an entry as plain values for JSON."""
    facts = {name: getattr(architecture, name) for name in EntryFacts.model_fields}
    if architecture.checkpoint is not None:
        checkpoint = architecture.checkpoint
        facts["checkpoint"] = {name: getattr(checkpoint, name) for name in CheckpointFacts.model_fields}
        facts["checkpoint"]["classes"] = list(checkpoint.classes)
    return facts


def entry_files(directory: Path) -> list[Path]:
    """Returns the entry files of a directory, sorted.

    Raises:
        UserError: It is no directory.
    """
    if not directory.is_dir():
        raise UserError(f"--entries: {directory} is not a directory; give the directory that holds the entry files")
    return sorted(
        path for path in directory.iterdir() if path.suffix in SUFFIXES and not path.name.startswith(("_", "."))
    )


def own_files(path: Path) -> list[Path]:
    """Returns an entry file and the weights in its directory, which its code may read. A link could lead anywhere."""
    weights = path.parent.glob("*.safetensors")
    return [path, *(file for file in weights if file.is_file() and not file.is_symlink())]


def entry_file(word: str, directory: Path | None) -> Path:
    """Finds the entry file for an argument of the command line: a path, or a name in a directory of entries.

    Raises:
        UserError: There is no such file, or it is no entry file.
    """
    candidates = [Path(word), *((directory or ENTRIES_DIR) / f"{word}{suffix}" for suffix in SUFFIXES)]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise UserError(f"{word} does not exist; give an entry file, or make one with `python -m benchmark new NAME`")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path} is not an entry; give a file that ends in .py or .toml")
    require_entry(path)
    return path.resolve()


def require_entry(path: Path) -> None:
    """Requires a regular file of limited size, before anything reads it.

    Raises:
        UserError: It is a pipe, a device, a directory, missing or too large.
    """
    if not path.is_file():
        raise UserError(f"{path} is no regular file; replace it by an entry file, or remove it")
    limit, remedy = MAX_BYTES, "put weights into a .safetensors file next to the entry"
    if path.suffix == ".toml":
        limit, remedy = MAX_TOML_BYTES, "an entry in TOML has a few lines"
    if path.stat().st_size > limit:
        raise UserError(f"{path} is larger than {limit // 1024} KB; {remedy}")


def load_entry(path: Path) -> Architecture:
    """Runs an entry file and registers its architecture. Its Python code runs with all rights of this process.

    Raises:
        UserError: It defines no architecture, several, or one whose name is in use.
    """
    require_entry(path)
    module = _from_toml(path) if path.suffix == ".toml" else _from_python(path)
    registered = {id(entry) for entry in entries(Architecture).values()}
    defined = {id(value): value for value in vars(module).values() if isinstance(value, Architecture)}
    # By identity: an entry may import a registered architecture, and may bind its own to two names.
    own = [entry for key, entry in defined.items() if key not in registered]
    if len(own) != 1:
        count = f"{len(own)} constants" if own else "no constant"
        raise UserError(f"{path.name} has {count} of type Architecture; an entry has exactly one")
    try:
        register(Architecture, _wrap(path, own[0]))
    except ValueError as error:
        raise UserError(str(error)) from None
    return own[0]


@contextmanager
def known_entry(
    path: Path, facts: EntryFacts, build: Callable[[int], nn.Module] | None, *, pretrained: bool
) -> Iterator[Architecture]:
    """Registers the architecture of an entry file during the block, without running any code in it.

    Args:
        path: The entry file.
        facts: Its metadata.
        build: Builds the network of an entry in Python, in a box. None for an entry without code.
        pretrained: Whether it has published weights.
    """
    if path.suffix == ".toml":
        entry: Architecture = vars(_from_toml(path))["ENTRY"]
    else:
        fields = facts.model_dump(exclude={"checkpoint"})
        entry = Architecture(
            **fields, checkpoint=_checkpoint(facts), build=build or _unbuilt, pretrained=build if pretrained else None
        )
    with registered(Architecture, _wrap(path, entry)):
        yield entry


def _wrap(path: Path, entry: Architecture) -> ModuleType:
    """Makes a module of ours that holds an entry alone."""
    wrapper = ModuleType(f"loupe_entry_{path.stem}")
    wrapper.__file__ = str(path)
    wrapper.ENTRY = entry  # type: ignore[attr-defined]
    return wrapper


def _checkpoint(facts: EntryFacts) -> Checkpoint | None:
    if facts.checkpoint is None:
        return None
    return Checkpoint(**facts.checkpoint.model_dump() | {"classes": tuple(facts.checkpoint.classes)})


def load_entries(directory: Path | None) -> list[Architecture]:
    """Registers all entries of a directory. Without one, does nothing."""
    return [load_entry(path.resolve()) for path in entry_files(directory)] if directory else []


def load_submitted(record: Record, directory: Path | None) -> None:
    """Registers the entry of a submitted model. Does nothing for the model of a run.

    Args:
        record: Record of the model.
        directory: The directory with its entry. Its Python code runs with all rights of this process.

    Raises:
        UserError: There is no directory, or the entry is missing in it or was changed since.
    """
    submission = record.submission
    if submission is None:
        return
    name = f"{record.architecture} is a submission"
    if directory is None:
        raise UserError(f"{name}; name the directory of its entry, {submission.entry}, with --entries")
    path = directory / submission.entry
    if not path.is_file() or file_digest(path) != submission.sha256:
        raise UserError(f"--entries: {name}, and {path} is missing or was changed since; put back what was submitted")
    load_entry(path.resolve())


def validate_fields(validate: Callable[[], Model]) -> Model:
    """Calls a pydantic validation and turns its first error into one line.

    Raises:
        UserError: A field is missing, unknown or out of its range.
    """
    try:
        return validate()
    except ValidationError as error:
        first = error.errors()[0]
        _raise_field_error(".".join(map(str, first["loc"])), first)


def _raise_field_error(field: str, error: Any) -> NoReturn:
    value = "" if error["type"] == "missing" else f" (is {str(error.get('input'))[:80]!r})"
    raise UserError(f"{field}: {error['msg']}{value}") from None


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
    """Reads a TOML entry.

    Raises:
        UserError: A field is missing, unknown or out of its range.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise UserError(f"{path.name} is nested too deeply; an entry has plain fields") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path.name} is no TOML file ({error})") from None
    return validate_fields(lambda: TimmFile.model_validate(content))


def _from_toml(path: Path) -> ModuleType:
    content = read_toml(path)
    fields = content.model_dump(exclude={"timm", "smallest_side", "checkpoint"})
    entry = Architecture(build=_unbuilt, pretrained=None, checkpoint=_checkpoint(content), **fields)
    module = ModuleType(f"loupe_entry_{path.stem}")
    try:
        module.ENTRY = from_timm(entry, content.timm, smallest_side=content.smallest_side)  # type: ignore[attr-defined]  # as above
    except (ValueError, OSError) as error:
        raise UserError(f"{path.name}: {error}") from None
    return module


def _unbuilt(classes: int) -> NoReturn:
    raise UserError(f"a TOML entry cannot be built for {classes} classes before timm is called")
