"""What to do: the cells of a run."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from architectures import Architecture
from benchmark.presets import Preset
from benchmark.registry import entries, select
from benchmark.training.regimes import Regime


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One architecture trained in one regime with one seed."""

    architecture: Architecture
    regime: Regime
    seed: int

    @property
    def name(self) -> str:
        """Name of the model in tables and files."""
        return f"{self.architecture.name}/{self.regime.name}/{self.seed}"


def plan(preset: Preset, architectures: Sequence[str], regimes: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """The cells of a preset, or of the parts of it that are named.

    Args:
        preset: Says which regimes and seeds there are unless told otherwise.
        architectures: Names; none means all.
        regimes: Names; none means those of the preset.
        seeds: Training seeds; none means those of the preset.

    Returns:
        Cells, regime by regime within an architecture.

    Raises:
        UserError: A name is unknown.
    """
    chosen = select(Architecture, dict.fromkeys(architectures or entries(Architecture)))
    ways = select(Regime, dict.fromkeys(regimes or preset.regimes))
    return [
        Cell(architecture=architecture, regime=regime, seed=seed)
        for architecture, regime, seed in itertools.product(chosen, ways, dict.fromkeys(seeds or preset.seeds))
    ]
