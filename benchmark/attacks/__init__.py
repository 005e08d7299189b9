"""Attacks: small changes of an image, on the prediction or on the map, and noise of the same size as their control.

Each file has one attack: a frozen set of settings, and a function of the model and a batch. All attacks take images in
[0, 1] and return images within a :class:`benchmark.attacks.ball.Ball` and within [0, 1]. They need gradients of the
input only and leave the model unchanged. Run them in float32, since half precision rounds small gradients to zero.
"""
