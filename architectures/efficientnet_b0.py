"""EfficientNet-B0, with timm's own weights.

The target layer is Keras' ``top_conv`` with its BatchNorm and SiLU, the features that the classifier averages.
Keras counts seven more parameters, in a normalization layer.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "efficientnet_b0.ra_in1k"

EFFICIENTNET_B0 = Architecture(
    name="efficientnet_b0",
    build=partial(random_network, TIMM_NAME),
    pretrained=partial(pretrained_network, "efficientnet_b0", TIMM_NAME),
    target_layer="body.bn2",
    input_size=224,
    learning_rate=2e-3,
    quick_epochs=8,
    source="Tan and Le, 2019, arXiv 1905.11946",
)
