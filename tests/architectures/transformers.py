"""Ten networks of timm's families of transformers, as they come through ``from_timm``, but narrow and shallow.

`python -m tests.architectures.transformers` writes the table of the documentation, which the tests compare.
"""

from functools import cache
from pathlib import Path
from unittest import mock

import timm
import torch

from architectures import Architecture
from architectures.from_timm import from_timm
from architectures.geometry import grid_geometry

VIT = {"embed_dim": 24, "num_heads": 2, "depth": 3}
NARROW = {
    "vit_tiny_patch16_224": VIT,
    "deit_tiny_patch16_224": VIT,
    "swin_tiny_patch4_window7_224": {"embed_dim": 8, "num_heads": (1, 1, 2, 2), "depths": (1, 1, 2, 1)},
    "vit_small_patch14_dinov2": VIT,
    "vit_small_patch16_dinov3": VIT,
    "maxvit_nano_rw_256": {"embed_dim": (32, 32, 32, 32), "depths": (1, 1, 1, 1), "stem_width": 8},
    "mobilevit_xxs": {},
    "convnext_atto": {"dims": (8, 8, 16, 16)},
    "beit_base_patch16_224": VIT,
    "eva02_tiny_patch14_224": VIT,
}
"""timm's name by what is smaller than in timm."""
CELLS = {
    "swin_tiny_patch4_window7_224": 3,
    "vit_small_patch14_dinov2": 7,
    "eva02_tiny_patch14_224": 7,
    "maxvit_nano_rw_256": 8,
    "mobilevit_xxs": 3,
    "convnext_atto": 3,
    "beit_base_patch16_224": 14,
}
"""Cells per side of images of 96 px, where not 6."""
ATTENDING = [
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch16_dinov3",
    "beit_base_patch16_224",
    "eva02_tiny_patch14_224",
]
"""Those that attend over one grid of tokens."""
create_model = timm.create_model


def narrow_model(name, **options):
    return create_model(name, **NARROW[name.partition(".")[0]] | options)


@cache
def build_narrow(name):
    """An entry and its network for four classes, with weights that are large enough for layers to matter."""
    blank = Architecture(
        name="narrow",
        build=lambda _: None,
        pretrained=None,
        target_layer="",
        input_size=0,
        learning_rate=1e-3,
        quick_epochs=1,
        source="none",
    )
    with mock.patch("timm.create_model", narrow_model), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        entry = from_timm(blank, name)
        network = entry.build(4).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim > 1 or not parameter.any():
                    torch.nn.init.normal_(
                        parameter, std=(2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1
                    )
    return entry, network


PAGE = Path(__file__).parents[2] / "docs" / "transformers.md"
START, END = "<!-- networks -->\n", "<!-- end of networks -->\n"


def describe_sides(sides):
    if sides.fixed:
        return f"{sides.fixed} px alone"
    return f"multiples of {sides.step} px" if sides.step > 1 else "any"


def build_table():
    """What the tests run, as the documentation shows it."""
    lines = ["| network | sides | target layer | grid at 96 px | displacement | attention methods |", "|" + "---|" * 6]
    for name in NARROW:
        entry, network = build_narrow(name)
        rows = grid_geometry(network, entry.target_layer, (96, 96)).rows
        layer = f"grid of {network.grid.layer}" if network.grid else entry.target_layer
        layer = layer.replace("blocks.2", "the last block")
        moved = f"{rows.displacement:+.1f} px" if abs(rows.displacement) > 0.05 else "0"
        attending = "yes" if name in ATTENDING else "no"
        cells = f"{rows.cells} x {rows.cells}"
        lines.append(f"| {name} | {describe_sides(network.sides)} | {layer} | {cells} | {moved} | {attending} |")
    return "\n".join(lines) + "\n"


def main():
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(START)
    PAGE.write_text(before + START + "\n" + build_table() + "\n" + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
