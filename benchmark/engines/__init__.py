"""Where cells are carried out: one engine per file of this folder, named like it and loaded when it is asked for."""

import pkgutil
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from benchmark.errors import UserError
from benchmark.registry import known_name

if TYPE_CHECKING:  # the command line looks in here before it knows whether torch is needed
    import torch

    from benchmark.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Which machines an engine uses.

    Attributes:
        address: Of a cluster that runs; None for this machine.
        cells_per_gpu: How many cells share a GPU.
    """

    address: str | None = None
    cells_per_gpu: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Mishap:
    """Why a cell did not come to an end.

    Attributes:
        reason: One line.
        story: The traceback, as text.
        mendable: Whether it is the user's to mend.
    """

    reason: str
    story: str
    mendable: bool = False


def mishap_of(error: Exception) -> Mishap:
    """What there is to say of an error that ended a cell."""
    mendable = isinstance(error, UserError)
    reason = str(error) if mendable else f"{type(error).__name__}: {error}".split("\n")[0]
    return Mishap(reason=reason, story="".join(traceback.format_exception(error)), mendable=mendable)


class Watch(Protocol):
    """Is told how the cells get on."""

    def report(self, job: "Job", stage: str, share: float) -> None:
        """A cell has come to a stage; the share of it that is done is in [0, 1]."""

    def done(self, job: "Job", seconds: float) -> None:
        """The outcome of a cell lies in its folder; it took so long."""

    def failed(self, job: "Job", mishap: Mishap) -> None:
        """A cell did not come to an end."""


class Engine(Protocol):
    """Carries out cells."""

    def choose_device(self, name: str | None) -> "torch.device":
        """The device of that name where the cells will run, or the GPU if there is one, else the CPU.

        Raises:
            UserError: There is no such device.
        """

    def bfloat16_pays(self, device: "torch.device") -> bool:
        """Whether training in bfloat16 is faster than in float32 where the cells will run."""

    def carry_out(self, jobs: Sequence["Job"], watch: Watch) -> None:
        """Carries out all cells, and goes on after one that fails."""


def open_engine(name: str, place: Place) -> AbstractContextManager[Engine]:
    """The engine of that name, ready to work until the block ends.

    Raises:
        UserError: There is none, or it cannot be used here; the message says what to do.
    """
    known_name(name, [found.name for found in pkgutil.iter_modules(__path__)], "engine")
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        remedy = f"{error.name} is not installed; `python -m pip install {error.name}`"
        raise UserError(f"--engine {name}: {remedy}, or leave --engine out") from None
    opened: AbstractContextManager[Engine] = module.opened(place)
    return opened
