"""MobileNetV2, with timm's own weights.

The target layer is Keras' ``out_relu``: the last convolution with its BatchNorm and ReLU6.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "mobilenetv2_100.ra_in1k"

MOBILENET_V2 = Architecture(
    name="mobilenet_v2",
    build=partial(random_network, TIMM_NAME),
    pretrained=partial(pretrained_network, "mobilenet_v2", TIMM_NAME),
    target_layer="body.bn2",
    input_size=224,
    learning_rate=2e-3,
    quick_epochs=12,
    source="Sandler et al., 2018, arXiv 1801.04381",
)
