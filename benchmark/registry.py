"""Finding what is registered: every constant of a kind in the directory that defines the kind, and what was added."""

import difflib
import pkgutil
from collections.abc import Iterable
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

_added: dict[type[NamedEntry], list[ModuleType]] = {}


@cache
def entries(kind: type[Entry]) -> dict[str, Entry]:
    """All constants of a kind by name, sorted, from the package that defines the kind.

    Raises:
        ValueError: Two different entries have the same name.
    """
    found: dict[str, Entry] = {}
    for module in _modules(kind):
        for value in vars(module).values():
            if isinstance(value, kind) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"two {kind.__name__} entries are named {value.name!r}; rename one of them")
    return dict(sorted(found.items()))


def register(kind: type[NamedEntry], module: ModuleType) -> None:
    """Registers the constants of a module that lies elsewhere, until the process ends.

    Raises:
        ValueError: One of them has a name that another entry has; then nothing is added.
    """
    _added.setdefault(kind, []).append(module)
    entries.cache_clear()
    try:
        entries(kind)
    except ValueError:
        _added[kind].remove(module)
        raise


def is_external(entry: NamedEntry) -> bool:
    """Whether an entry comes from a file outside the directory that defines its kind."""
    return any(value is entry for module in _added.get(type(entry), ()) for value in vars(module).values())


def source_file(entry: NamedEntry) -> Path:
    """The file that holds an entry."""
    return Path(str(find_module(entry).__file__))


def find_module(entry: NamedEntry) -> ModuleType:
    """The module that holds an entry.

    Raises:
        ValueError: There is none.
    """
    for module in _modules(type(entry)):
        if any(value is entry for value in vars(module).values()):
            return module
    raise ValueError(f"{entry.name!r} is no constant of a file beside {type(entry).__module__}")


def _modules(kind: type[NamedEntry]) -> list[ModuleType]:
    """The modules of the package that defines a kind, imported, and those that were added."""
    package = import_module(kind.__module__)
    found = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    return [*(import_module(each.name) for each in found), *_added.get(kind, ())]


def select(kind: type[Entry], names: Iterable[str]) -> list[Entry]:
    """The entries with these names, in the order asked for.

    Raises:
        UserError: A name is unknown; the message suggests the nearest ones.
    """
    known = entries(kind)
    return [known[resolve_name(name, known, kind.__name__.lower())] for name in names]


def resolve_name(name: str, known: Iterable[str], what: str) -> str:
    """The name itself, if it is known.

    Raises:
        UserError: It is not; the message suggests the nearest known names.
    """
    names = sorted(known)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
    raise UserError(f"unknown {what} {name!r}; nearest: {', '.join(near)}")
