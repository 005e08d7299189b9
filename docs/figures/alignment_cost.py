"""Prints the table of costs of docs/alignment.md: CPU time of placement and of Grad-CAM, on one core.

Run from the repository: ``python -m docs.figures.alignment_cost [IMAGES]``. It takes a minute for 64 images.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor
from typer import echo

from architectures import Architecture
from benchmark.config.presets import EFFECTIVE
from benchmark.registry import select
from benchmark.saliency.alignment import get_placement
from benchmark.saliency.grad_cam import grad_cam

SIZE = (224, 224)
BATCH = 16
REPEATS = 5
T = TypeVar("T")


def timed(run: Callable[[], T]) -> tuple[float, T]:
    """Returns the CPU time in milliseconds, and the result."""
    start = time.process_time()
    result = run()
    return 1000 * (time.process_time() - start), result


def print_rows(entry: Architecture, images: int) -> None:
    """Prints a row for each alignment."""
    torch.manual_seed(0)
    model = entry.build(6).eval().to(memory_format=torch.channels_last)
    pixels = torch.rand(BATCH, 3, *SIZE).to(memory_format=torch.channels_last)
    classes = torch.arange(BATCH) % 6

    def explain() -> Tensor:
        """Computes the grids of all images."""
        grids = [grad_cam(model, entry.target_layer, pixels, classes, lambda maps, _: maps) for _ in range(parts)]
        return torch.cat(grids)

    parts = max(1, images // BATCH)
    explained, grids = timed(explain)
    for alignment in ("receptive-field", EFFECTIVE):

        def locate(way: str = alignment) -> Callable[..., Tensor]:
            placement = get_placement(entry, SIZE, way, model)
            if placement is None:
                raise SystemExit(f"{entry.name}: the geometry of its grid is unknown")
            return placement

        first, place = timed(locate)
        cached = median(timed(locate)[0] for _ in range(REPEATS))
        placed = median(timed(lambda: place(grids, SIZE))[0] for _ in range(REPEATS))  # noqa: B023 - called at once
        share = 100 * (cached + placed) / explained
        numbers = f"{explained:.0f} | {first:.0f} | {cached:.1f} | {placed:.1f} | {share:.2f} %"
        echo(f"| {entry.name} | {alignment} | {numbers} |")


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    with tempfile.TemporaryDirectory() as directory:
        os.environ["LOUPE_RUNS"] = directory
        echo("| network | alignment | Grad-CAM, ms | positions, first time | cached | placing | share of Grad-CAM |")
        echo("|" + "---|" * 7)
        for entry in select(Architecture, ["mobilenet", "resnet50"]):
            print_rows(entry, images)


if __name__ == "__main__":
    main()
