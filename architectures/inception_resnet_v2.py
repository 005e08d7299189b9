"""InceptionResNetV2, with its authors' weights.

The target layer is Keras' ``conv_7b`` with its BatchNorm and ReLU. Convolutions without padding reduce an
image of 96 px to a single cell, which gives no map. Images below 139 px are therefore enlarged to 139, which gives the
3 x 3 cells that other networks have at 96. BatchNorm has a scale in timm but not in Keras: .05 % more parameters.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "inception_resnet_v2.tf_in1k"
SMALLEST_SIDE = 139

INCEPTION_RESNET_V2 = Architecture(
    name="inception_resnet_v2",
    build=partial(random_network, TIMM_NAME, smallest_side=SMALLEST_SIDE),
    pretrained=partial(pretrained_network, "inception_resnet_v2", TIMM_NAME, smallest_side=SMALLEST_SIDE),
    target_layer="body.conv2d_7b",
    input_size=299,
    learning_rate=1e-3,
    quick_epochs=3,
    source="Szegedy et al., 2017, arXiv 1602.07261",
)
