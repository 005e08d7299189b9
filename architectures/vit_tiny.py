"""ViT-Tiny with patches of 16 px. Not in the default grid.

The classifier reads the class token, so the target layer is what the last attention reads. Sides are multiples of
16 px, and the position embedding is resampled to them.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
TOKENS = "blocks.11.norm1"

VIT_TINY = Architecture(
    name="vit_tiny",
    build=partial(random_network, TIMM_NAME, tokens=TOKENS),
    pretrained=partial(pretrained_network, "vit_tiny", TIMM_NAME, tokens=TOKENS),
    target_layer="grid",
    input_size=224,
    learning_rate=0.0005,
    quick_epochs=12,
    source="Dosovitskiy et al., 2021, arXiv 2010.11929; Steiner et al., 2022, arXiv 2106.10270",
    in_default_grid=False,
)
