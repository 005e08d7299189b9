"""The networks that Loupe itself brings: what is known of them is not asked of others that are registered."""

# Keras counts the statistics of BatchNorm, and nothing else that is not trained.
KERAS_PARAMETERS = {
    "densenet121": 8_062_504,
    "efficientnet_b0": 5_330_571,
    "inception_resnet_v2": 55_873_736,
    "inception_v3": 23_851_784,
    "mobilenet": 4_253_864,
    "mobilenet_v2": 3_538_984,
    "nasnet_mobile": 5_326_716,
    "resnet50": 25_636_712,
    "resnet50_v2": 25_613_800,
    "vgg16": 138_357_544,
    "xception": 22_910_480,
}
"""The eleven, with the numbers of parameters that Keras publishes for a thousand classes."""
KNOWN = (*KERAS_PARAMETERS, "resnet50_multitask")
"""The eleven and the one that predicts masks: what Loupe itself brings."""
