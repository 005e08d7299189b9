"""Reliance of a network on a region of the image: what happens to its answer if the region is filled.

Layers above read the columns that :func:`benchmark.reliance.measure.measure_reliance` computes.
"""

VERSION = 1
"""Raised by hand with every change of the numbers. It is part of the protocol of scoring, and of no model's key."""
PREFIX = "reliance: "
"""First characters of all columns of this package in a table of predictions."""
