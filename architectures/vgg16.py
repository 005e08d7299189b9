"""VGG16, with torchvision's published weights.

The target layer is Keras' ``block5_conv3`` with its ReLU, before the last pooling. The dense head needs 7 x 7
features. timm enlarges smaller ones by adaptive pooling, so images of 96 px work. Without BatchNorm the network needs
a lower learning rate than the others.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "vgg16.tv_in1k"

VGG16 = Architecture(
    name="vgg16",
    build=partial(random_network, TIMM_NAME),
    pretrained=partial(pretrained_network, "vgg16", TIMM_NAME),
    target_layer="body.features.29",
    input_size=224,
    learning_rate=1e-4,
    quick_epochs=1,
    source="Simonyan and Zisserman, 2015, arXiv 1409.1556",
)
