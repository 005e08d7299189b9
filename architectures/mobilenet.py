"""MobileNet, the first, with timm's own weights.

The target layer is Keras' ``conv_pw_13_relu``: the last pointwise convolution with its BatchNorm and ReLU6.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "mobilenetv1_100.ra4_e3600_r224_in1k"

MOBILENET = Architecture(
    name="mobilenet",
    build=partial(random_network, TIMM_NAME),
    pretrained=partial(pretrained_network, "mobilenet", TIMM_NAME),
    target_layer="body.blocks.4.1",
    input_size=224,
    learning_rate=3e-3,
    quick_epochs=12,
    source="Howard et al., 2017, arXiv 1704.04861",
)
