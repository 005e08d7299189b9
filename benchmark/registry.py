"""The registry: every constant of a kind in the package that defines the kind, and registered external modules."""

import difflib
import pkgutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar

from benchmark.errors import UserError


class NamedEntry(Protocol):
    """Anything with a unique name."""

    @property
    def name(self) -> str:
        """The name, as used on the command line and in tables."""


Entry = TypeVar("Entry", bound=NamedEntry)

_external: dict[type[NamedEntry], list[ModuleType]] = {}


@cache
def entries(kind: type[Entry]) -> dict[str, Entry]:
    """Returns all constants of a kind by name, sorted, from the package that defines the kind.

    Raises:
        ValueError: Two different entries have the same name.
    """
    constants: dict[str, Entry] = {}
    for module in _modules(kind):
        for value in vars(module).values():
            if isinstance(value, kind) and constants.setdefault(value.name, value) is not value:
                raise ValueError(f"two {kind.__name__} entries are named {value.name!r}; rename one of them")
    return dict(sorted(constants.items()))


def register(kind: type[NamedEntry], module: ModuleType) -> None:
    """Registers the constants of an external module, until the process ends.

    Raises:
        ValueError: Another entry has the same name. Then nothing is registered.
    """
    _external.setdefault(kind, []).append(module)
    entries.cache_clear()
    try:
        entries(kind)
    except ValueError:
        _external[kind].remove(module)
        raise


@contextmanager
def registered(kind: type[NamedEntry], module: ModuleType) -> Iterator[None]:
    """Registers the constants of an external module during the block. See :func:`register`."""
    register(kind, module)
    try:
        yield
    finally:
        _external[kind].remove(module)
        entries.cache_clear()


def is_external(entry: NamedEntry) -> bool:
    """Whether an entry comes from a file outside the package that defines its kind."""
    return any(value is entry for module in _external.get(type(entry), ()) for value in vars(module).values())


def source_file(entry: NamedEntry) -> Path:
    """Returns the file that defines an entry."""
    return Path(str(find_module(entry).__file__))


def find_module(entry: NamedEntry) -> ModuleType:
    """Finds the module that defines an entry.

    Raises:
        ValueError: No module does.
    """
    for module in _modules(type(entry)):
        if any(value is entry for value in vars(module).values()):
            return module
    raise ValueError(f"{entry.name!r} is not a constant of a module in {type(entry).__module__}")


def _modules(kind: type[NamedEntry]) -> list[ModuleType]:
    """Imports the modules of the package that defines a kind, and appends the external ones."""
    package = import_module(kind.__module__)
    modules = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    return [*(import_module(module.name) for module in modules), *_external.get(kind, ())]


def select(kind: type[Entry], names: Iterable[str]) -> list[Entry]:
    """Returns the entries with these names, in the order of the names.

    Raises:
        UserError: A name is unknown. The message suggests the closest ones.
    """
    registered = entries(kind)
    return [registered[resolve_name(name, registered, kind.__name__.lower())] for name in names]


def resolve_name(name: str, valid: Iterable[str], kind: str) -> str:
    """Returns the name if it is valid.

    Raises:
        UserError: It is not. The message suggests the closest valid names.
    """
    names = sorted(valid)
    if name in names:
        return name
    closest = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
    raise UserError(f"unknown {kind} {name!r}; nearest: {', '.join(closest)}")
