"""DenseNet121, with torchvision's published weights.

Of the published weights these follow the plain recipe of the paper, as those of Keras do. The target layer is the last
BatchNorm with its ReLU. The DermX study names no layer for this network.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "densenet121.tv_in1k"

DENSENET121 = Architecture(
    name="densenet121",
    build=partial(random_network, TIMM_NAME),
    pretrained=partial(pretrained_network, "densenet121", TIMM_NAME),
    target_layer="body.features.norm5",
    input_size=224,
    learning_rate=1e-3,
    quick_epochs=6,
    source="Huang et al., 2017, arXiv 1608.06993",
)
