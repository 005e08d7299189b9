"""ResNet50V2, with BatchNorm, with timm's own weights.

timm's other networks of this name have GroupNorm. The target layer is Keras' ``post_relu``: the last BatchNorm with
its ReLU. Keras has biases before BatchNorm, which cancels them: .07 % more parameters.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "resnetv2_50.a1h_in1k"

RESNET50_V2 = Architecture(
    name="resnet50_v2",
    build=partial(random_network, TIMM_NAME),
    pretrained=partial(pretrained_network, "resnet50_v2", TIMM_NAME),
    target_layer="body.norm",
    input_size=224,
    learning_rate=1e-3,
    quick_epochs=6,
    source="He et al., 2016, arXiv 1603.05027",
)
