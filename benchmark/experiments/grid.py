"""What to do: the cells of a run."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from architectures import Architecture
from benchmark.config.presets import Preset
from benchmark.errors import UserError
from benchmark.registry import NamedEntry, entries, select
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


def build_grid(
    preset: Preset, architectures: Sequence[str], regimes: Sequence[str], seeds: Sequence[int]
) -> list[Cell]:
    """The cells of a preset, or of the parts of it that are named.

    Networks that predict masks go with the regimes that need masks, and the others with the others. A checkpoint from
    elsewhere goes with the regime that is claimed for it, once.

    Args:
        preset: Says which regimes and seeds there are unless told otherwise.
        architectures: Names; none means all that go with one of the regimes.
        regimes: Names; none means those of the preset.
        seeds: Training seeds; none means those of the preset.

    Returns:
        Cells, regime by regime within an architecture; a regime that starts from another one's model comes after it.
        Where that other one was not asked for, it is a stage of the training and no cell.

    Raises:
        UserError: A name is unknown, or what it names goes with nothing else that was asked for.
    """
    chosen = select(Architecture, dict.fromkeys(architectures or entries(Architecture)))
    ways = sorted(select(Regime, dict.fromkeys(regimes or preset.regimes)), key=_stages)
    if architectures:
        for architecture in chosen:
            if not any(_fit(architecture, regime) for regime in ways):
                fitting = [regime for regime in entries(Regime).values() if _fit(architecture, regime)]
                raise _misfit("architecture", architecture, "regime", ways, fitting)
    if regimes:
        for regime in ways:
            if not any(_fit(architecture, regime) for architecture in chosen):
                others = [architecture for architecture in entries(Architecture).values() if _fit(architecture, regime)]
                raise _misfit("regime", regime, "architecture", chosen, others)
    draws = list(dict.fromkeys(seeds or preset.seeds))
    return [
        Cell(architecture=architecture, regime=regime, seed=seed)
        for architecture, regime, seed in itertools.product(chosen, ways, draws)
        if _fit(architecture, regime) and (architecture.checkpoint is None or seed == draws[0])
    ]


def _fit(architecture: Architecture, regime: Regime) -> bool:
    if architecture.checkpoint is not None and architecture.checkpoint.regime != regime.name:
        return False
    return architecture.predicts_masks == regime.needs_masks


def _stages(regime: Regime) -> int:
    """How many trainings come before the regime's own."""
    return 0 if regime.init_from is None else 1 + _stages(*select(Regime, [regime.init_from]))


def _misfit(
    kind: str, entry: NamedEntry, other_kind: str, asked: Sequence[NamedEntry], fitting: Sequence[NamedEntry]
) -> UserError:
    wrong, right = (", ".join(other.name for other in others) for others in (asked, fitting))
    return UserError(f"{kind} {entry.name} does not go with {wrong}; give --{other_kind} one of: {right}")
