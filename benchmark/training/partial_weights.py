"""What a file of initial weights provides, and what stays random.

A file may lack the last modules of a network, such as the classifier or all layers after the convolutions. A file that
lacks something in between is damaged or belongs to another network.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from benchmark.errors import UserError
from benchmark.phrases import format_names

COUNTERS = "num_batches_tracked"
"""Counters of BatchNorm, which published weights may lack. They do not affect the output."""
CONSTANTS = frozenset({"mean", "std"})
"""The normalization, which the architecture provides."""
MAX_NAMED = 3
"""Number of parts that a description names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadReport:
    """What of a network was loaded from a file.

    Attributes:
        path: The file.
        loaded: Names of the tensors that were loaded.
        random: Names of the tensors that stay random.
    """

    path: Path
    loaded: tuple[str, ...]
    random: tuple[str, ...]

    @property
    def random_parts(self) -> tuple[str, ...]:
        """Names of the modules that stay random, in the order of the network."""
        return tuple(dict.fromkeys(name.rpartition(".")[0] for name in self.random))

    def describe(self) -> str:
        """Describes in a line what was loaded and what is random.

        Example:
            >>> LoadReport(path=Path("a.safetensors"), loaded=("conv.weight",), random=("fc.weight",)).describe()
            '1 of 2 tensors from a.safetensors, random: fc'
        """
        total = len(self.loaded) + len(self.random)
        parts = self.random_parts
        more = f" and {len(parts) - MAX_NAMED} more parts" if len(parts) > MAX_NAMED else ""
        random = f", random: {', '.join(parts[:MAX_NAMED])}{more}" if parts else ""
        return f"{len(self.loaded)} of {total} tensors from {self.path.name}{random}"


def report_loaded(path: Path, tensors: Iterable[str], expected: Sequence[str]) -> LoadReport:
    """Compares the tensors of a file with those of a network.

    Args:
        path: The file, for messages.
        tensors: Names of the tensors in it, as the network has them.
        expected: Names of all tensors of the network, in its order.

    Raises:
        UserError: The file has none of the tensors, or lacks others than those of the last modules.
    """
    names = set(tensors)
    counted = [name for name in expected if not name.endswith(COUNTERS) and name not in CONSTANTS]
    loaded = tuple(name for name in counted if name in names)
    random = tuple(name for name in counted if name not in names)
    if not loaded:
        raise UserError(f"{path} has no tensor of the network, such as {counted[0]!r}; is it another architecture's?")
    last = counted.index(loaded[-1])
    module = loaded[-1].rpartition(".")[0]
    holes = [name for name in random if counted.index(name) < last or name.rpartition(".")[0] == module]
    if holes:
        raise UserError(
            f"{path} lacks the tensor {format_names(list(map(repr, holes)), 1)}, but has later ones; save all weights"
        )
    return LoadReport(path=path, loaded=loaded, random=random)


def fill_missing(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file, with those of the network for the last modules, where they are missing.

    Raises:
        UserError: As :func:`report_loaded`.
    """
    report_loaded(path, tensors, list(expected))
    return {**{name: tensor for name, tensor in expected.items() if name not in tensors}, **tensors}
