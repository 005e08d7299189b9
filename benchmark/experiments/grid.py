"""The grid of a run: its cells of architecture, regime and seed."""

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
    """One architecture trained in one regime with one seed.

    Attributes:
        architecture: The network.
        regime: How to train it.
        seed: Training seed.
        variant: Label of a row with other training settings than the preset's. Empty for none.
    """

    architecture: Architecture
    regime: Regime
    seed: int
    variant: str = ""

    @property
    def name(self) -> str:
        """Name of the model in tables and files."""
        variant = f"+{self.variant}" if self.variant else ""
        return f"{self.architecture.name}/{self.regime.name}{variant}/{self.seed}"


def build_grid(
    preset: Preset, architectures: Sequence[str], regimes: Sequence[str], seeds: Sequence[int], variant: str = ""
) -> list[Cell]:
    """Builds the cells of a preset, or those of the selected architectures, regimes and seeds.

    Networks that predict masks match the regimes that need masks, and the others match the others. An external
    checkpoint matches its self-reported regime, with one seed.

    Args:
        preset: Default regimes and seeds.
        architectures: Names. The default is all of the default grid that match one of the regimes.
        regimes: Names. The default is those of the preset.
        seeds: Training seeds. The default is those of the preset.
        variant: Label of the rows.

    Returns:
        Cells, regime by regime within an architecture. A regime that starts from another one's model comes after it. If
        the other one is not selected, it is a stage of the training and not a cell.

    Raises:
        UserError: A name is unknown, or an entry matches nothing else in the selection.
    """
    default = [name for name, entry in entries(Architecture).items() if entry.in_default_grid]
    networks = select(Architecture, dict.fromkeys(architectures or default))
    selected = sorted(select(Regime, dict.fromkeys(regimes or preset.regimes)), key=_count_stages)
    if architectures:
        for architecture in networks:
            if not any(_matches(architecture, regime) for regime in selected):
                matching = [regime for regime in entries(Regime).values() if _matches(architecture, regime)]
                raise _mismatch_error("architecture", architecture, "regime", selected, matching)
    if regimes:
        for regime in selected:
            if not any(_matches(architecture, regime) for architecture in networks):
                matching = [
                    architecture for architecture in entries(Architecture).values() if _matches(architecture, regime)
                ]
                raise _mismatch_error("regime", regime, "architecture", networks, matching)
    unique_seeds = list(dict.fromkeys(seeds or preset.seeds))
    return [
        Cell(architecture=architecture, regime=regime, seed=seed, variant=variant)
        for architecture, regime, seed in itertools.product(networks, selected, unique_seeds)
        if _matches(architecture, regime) and (architecture.checkpoint is None or seed == unique_seeds[0])
    ]


def _matches(architecture: Architecture, regime: Regime) -> bool:
    if architecture.checkpoint is not None and architecture.checkpoint.regime != regime.name:
        return False
    return architecture.predicts_masks == regime.needs_masks


def _count_stages(regime: Regime) -> int:
    """Counts the trainings before the regime's own."""
    return 0 if regime.init_from is None else 1 + _count_stages(*select(Regime, [regime.init_from]))


def _mismatch_error(
    kind: str, entry: NamedEntry, other_kind: str, requested: Sequence[NamedEntry], matching: Sequence[NamedEntry]
) -> UserError:
    wrong, right = (", ".join(other.name for other in others) for others in (requested, matching))
    return UserError(f"{kind} {entry.name} does not go with {wrong}; give --{other_kind} one of: {right}")
