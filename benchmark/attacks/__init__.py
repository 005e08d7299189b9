"""Attacks: small changes of an image, on the prediction or on the map, and noise of the same size as their control.

One attack per file, each a frozen set of settings and a function of the model and a batch. All of them take images in
[0, 1], keep within a :class:`benchmark.attacks.ball.Ball` and within [0, 1], need gradients of the input only and leave
the model as it was. Report what they find in float32: half precision rounds small gradients to zero.
"""
