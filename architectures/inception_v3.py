"""InceptionV3, with its authors' weights.

The target layer is Keras' ``mixed10``. Convolutions without padding reduce an image of 96 px to a single cell,
which gives no map. Images below 139 px are therefore enlarged to 139, which gives the 3 x 3 cells that other networks
have at 96. BatchNorm has a scale in timm but not in Keras: .07 % more parameters.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "inception_v3.tf_in1k"
SMALLEST_SIDE = 139

INCEPTION_V3 = Architecture(
    name="inception_v3",
    build=partial(random_network, TIMM_NAME, smallest_side=SMALLEST_SIDE),
    pretrained=partial(pretrained_network, "inception_v3", TIMM_NAME, smallest_side=SMALLEST_SIDE),
    target_layer="body.Mixed_7c",
    input_size=299,
    learning_rate=1e-3,
    quick_epochs=5,
    source="Szegedy et al., 2016, arXiv 1512.00567",
)
