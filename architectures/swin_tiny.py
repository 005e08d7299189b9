"""Swin-Tiny with windows of 7 x 7 cells. Not in the default grid.

The target layer is the last normalization, whose mean the classifier reads. Sides are multiples of 32 px. Where windows
do not fill a grid, timm pads it.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "swin_tiny_patch4_window7_224.ms_in1k"
TOKENS = "norm"

SWIN_TINY = Architecture(
    name="swin_tiny",
    build=partial(random_network, TIMM_NAME, tokens=TOKENS),
    pretrained=partial(pretrained_network, "swin_tiny", TIMM_NAME, tokens=TOKENS),
    target_layer="grid",
    input_size=224,
    learning_rate=0.0005,
    quick_epochs=4,
    source="Liu et al., 2021, arXiv 2103.14030",
    in_default_grid=False,
)
