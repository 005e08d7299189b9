"""What all checks of an entry share: the report they write, and guards around every call of the entry's code."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.submission.sandbox.worker import one_line


@dataclass(kw_only=True)
class EntryReport:
    """Problems and warnings of an entry, one line each, and facts for the record."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class CheckAborted(Exception):  # noqa: N818 - it ends the checks of an entry, and is no error of the program
    """A problem makes further checks pointless. The report has it already."""


@contextmanager
def guard_call(report: EntryReport, action: str) -> Iterator[None]:
    """Reports what an entry's code raises and ends the checks. A lack of memory ends the child instead."""
    try:
        yield
    except (CheckAborted, MemoryError):
        raise
    except UserError as error:
        report.problems.append(str(error))
        raise CheckAborted from None
    except BaseException as error:  # noqa: BLE001 - an entry may raise anything, SystemExit too
        if "allocate memory" in str(error):
            raise MemoryError from None
        report.problems.append(f"{action} raises {one_line(error)}")
        raise CheckAborted from None


@contextmanager
def guard_state(report: EntryReport, action: str, *, seeds: bool = False) -> Iterator[None]:
    """Reports changes of global state and restores what later checks depend on.

    Args:
        report: Where problems go.
        action: What runs, for the message.
        seeds: Whether the random number generators must stay as they are, too.
    """
    readers = STATES | (SEEDS if seeds else {})
    before = {name: read() for name, read in readers.items()}
    try:
        yield
    finally:
        for name, read in readers.items():
            line = f"{action} changes {name}; that is the harness' to set"
            if read() != before[name] and line not in report.problems:
                report.problems.append(line)
        torch.set_default_dtype(before["torch's default dtype"])
        torch.set_grad_enabled(before["torch's gradient mode"])
        torch.use_deterministic_algorithms(before["torch's determinism flag"])


STATES: dict[str, Callable[[], Any]] = {
    "torch's default dtype": torch.get_default_dtype,
    "torch's determinism flag": torch.are_deterministic_algorithms_enabled,
    "torch's gradient mode": torch.is_grad_enabled,
    "torch's number of threads": torch.get_num_threads,
    "torch's precision of products": torch.get_float32_matmul_precision,
    "cuDNN's flags": lambda: (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
    "the environment": lambda: dict(os.environ),
    "the working directory": os.getcwd,
}
"""Global state that an entry must not change."""
SEEDS: dict[str, Callable[[], Any]] = {
    "torch's random numbers": lambda: torch.random.get_rng_state().tolist(),
    "Python's random numbers": random.getstate,
    "NumPy's random numbers": lambda: str(np.random.get_state()),  # noqa: NPY002 - the global state is what is watched
}
"""Random number generators that only building may draw from."""


def make_images(count: int, height: int, width: int) -> Tensor:
    """Returns smooth colors with noise, (count, 3, height, width) in [0, 1], the same on every call.

    They have a mean and edges, as photographs do.
    """
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, 4, 4, generator=generator, dtype=torch.float32)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = torch.rand(smooth.shape, generator=generator, dtype=torch.float32)
    return (smooth + 0.1 * noise).clamp(0, 1)
