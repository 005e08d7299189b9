"""Xception, with its author's weights.

timm calls the network of the paper and of Keras ``legacy_xception``. Its other Xceptions are later variants with other
widths and depths (``xception41`` has 18 % more parameters). The target layer is Keras'
``block14_sepconv2_act``.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "legacy_xception.tf_in1k"

XCEPTION = Architecture(
    name="xception",
    build=partial(random_network, TIMM_NAME),
    pretrained=partial(pretrained_network, "xception", TIMM_NAME),
    target_layer="body.act4",
    input_size=299,
    learning_rate=1e-3,
    quick_epochs=6,
    source="Chollet, 2017, arXiv 1610.02357",
)
