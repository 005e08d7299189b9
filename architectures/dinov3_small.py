"""ViT-Small with the self-supervised weights of DINOv3. Not in the default grid.

The classifier reads the mean of the patch tokens after the last normalization, the target layer. Class token and
registers have no position. Sides are multiples of 16 px. The license of the weights is that of DINOv3.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "vit_small_patch16_dinov3.lvd1689m"
TOKENS = "norm"

DINOV3_SMALL = Architecture(
    name="dinov3_small",
    build=partial(random_network, TIMM_NAME, tokens=TOKENS),
    pretrained=partial(pretrained_network, "dinov3_small", TIMM_NAME, tokens=TOKENS),
    target_layer="grid",
    input_size=256,
    learning_rate=0.0005,
    quick_epochs=6,
    source="Simeoni et al., 2025, arXiv 2508.10104",
    in_default_grid=False,
)
