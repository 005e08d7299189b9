"""Random numbers that depend only on a name, not on the order, the batch or the other images."""

import hashlib

import numpy as np


def seeded_generator(name: str) -> np.random.Generator:
    """Returns a generator seeded by a name."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
