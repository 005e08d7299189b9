"""Where cells are carried out: one engine per file of this directory, named like it and loaded when it is asked for."""

import pkgutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module

from benchmark.errors import UserError
from benchmark.experiments.engine import Engine
from benchmark.registry import resolve_name


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """Which machines an engine uses.

    Attributes:
        address: Of a cluster that runs; None for this machine.
        cells_per_gpu: How many cells share a GPU.
    """

    address: str | None = None
    cells_per_gpu: int = 1


def open_engine(name: str, place: EngineOptions) -> AbstractContextManager[Engine]:
    """The engine of that name, ready to work until the block ends.

    Raises:
        UserError: There is none, or it cannot be used here; the message says what to do.
    """
    resolve_name(name, [found.name for found in pkgutil.iter_modules(__path__)], "engine")
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        remedy = f"{error.name} is not installed; `python -m pip install {error.name}`"
        raise UserError(f"--engine {name}: {remedy}, or leave --engine out") from None
    start_engine: AbstractContextManager[Engine] = module.start_engine(place)
    return start_engine
