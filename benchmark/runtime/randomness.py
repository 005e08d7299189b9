"""Random numbers that depend on a name alone: not on the order, the batch or the other images."""

import hashlib

import numpy as np


def seeded_generator(name: str) -> np.random.Generator:
    """A generator seeded by a name."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
