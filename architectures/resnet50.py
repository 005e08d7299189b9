"""ResNet50, with torchvision's first published weights.

These weights follow the plain recipe of the paper, as those of Keras do. The target layer is Keras'
``conv5_block3_out``. Keras has biases before BatchNorm, which cancels them: .1 % more parameters.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "resnet50.tv_in1k"

RESNET50 = Architecture(
    name="resnet50",
    build=partial(random_network, TIMM_NAME),
    pretrained=partial(pretrained_network, "resnet50", TIMM_NAME),
    target_layer="body.layer4",
    input_size=224,
    learning_rate=1e-3,
    quick_epochs=6,
    source="He et al., 2016, arXiv 1512.03385",
)
