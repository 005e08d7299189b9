"""Engines that run cells: one per file of this directory, with the name of the file, loaded on demand."""

import pkgutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module

from benchmark.errors import UserError
from benchmark.experiments.engine import Engine
from benchmark.registry import resolve_name


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """The machines of an engine.

    Attributes:
        address: Address of a running cluster. None for this machine.
        cells_per_gpu: Number of cells per GPU.
    """

    address: str | None = None
    cells_per_gpu: int = 1


def open_engine(name: str, options: EngineOptions) -> AbstractContextManager[Engine]:
    """Opens the engine of that name until the block ends.

    Raises:
        UserError: The engine is unknown or not available. The message names a remedy.
    """
    resolve_name(name, [module.name for module in pkgutil.iter_modules(__path__)], "engine")
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        remedy = f"{error.name} is not installed; `python -m pip install {error.name}`"
        raise UserError(f"--engine {name}: {remedy}, or leave --engine out") from None
    start_engine: AbstractContextManager[Engine] = module.start_engine(options)
    return start_engine
