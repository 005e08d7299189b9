"""DeiT-Tiny, the network of ViT-Tiny with weights of another recipe. Not in the default grid.

The classifier reads the class token, so the target layer is what the last attention reads. Sides are multiples of
16 px, and the position embedding is resampled to them.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "deit_tiny_patch16_224.fb_in1k"
TOKENS = "blocks.11.norm1"

DEIT_TINY = Architecture(
    name="deit_tiny",
    build=partial(random_network, TIMM_NAME, tokens=TOKENS),
    pretrained=partial(pretrained_network, "deit_tiny", TIMM_NAME, tokens=TOKENS),
    target_layer="grid",
    input_size=224,
    learning_rate=0.0005,
    quick_epochs=12,
    source="Touvron et al., 2021, arXiv 2012.12877",
    in_default_grid=False,
)
