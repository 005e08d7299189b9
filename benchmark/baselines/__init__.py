"""Rows that no model made: what a trivial map, an untrained network and a rater would score."""

CONSTANT = "constant 0.5"
NOISE = "uniform noise"
EDGES = "edges of the image"
RATER = "one rater against the others"
AGAIN = "one rater against his first reading"
UNTRAINED = "untrained networks"
"""Their names; that of a Gaussian says how wide it is."""
