"""What a submission asks for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionRequest:
    """What to evaluate an entry on, and how.

    Attributes:
        preset: Name of a preset.
        changes: Settings that replace those of the preset.
        data: Directory of the data set. None is the embedded one.
        layout: Its layout. None detects it.
        images: Directory of the images of a data set without images.
        split: split.csv of another run, to reuse.
        regimes: Names of regimes. Empty means those of the preset. A checkpoint has the regime that its entry names.
        seeds: Seeds. Empty means those of the preset.
        device: cpu or cuda. None is the GPU if there is one.
        network: Whether the entry may use the network, as published weights need.
        hours: Time limit of each box: one trains, one answers.
    """

    preset: str = "quick"
    changes: dict[str, Any] = field(default_factory=dict)
    data: Path | None = None
    layout: str | None = None
    images: Path | None = None
    split: Path | None = None
    regimes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    device: str | None = None
    network: bool = False
    hours: float = 24.0
