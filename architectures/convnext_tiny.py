"""ConvNeXt-Tiny, a convolutional network in the manner of a transformer. Not in the default grid.

The target layer is the last stage, whose normalized mean the classifier reads.
"""

from functools import partial

from architectures import Architecture
from architectures.network import pretrained_network, random_network

TIMM_NAME = "convnext_tiny.fb_in1k"

CONVNEXT_TINY = Architecture(
    name="convnext_tiny",
    build=partial(random_network, TIMM_NAME),
    pretrained=partial(pretrained_network, "convnext_tiny", TIMM_NAME),
    target_layer="body.stages",
    input_size=224,
    learning_rate=0.0005,
    quick_epochs=4,
    source="Liu et al., 2022, arXiv 2201.03545",
    in_default_grid=False,
)
