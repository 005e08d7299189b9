"""Images that look alike: the same photograph, or nearly, on two sides of a split flatters every score."""

from collections.abc import Iterable

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.runtime.parallel import parallel_map

NEAR = 2
"""Two images are near-duplicates if at most so many of the 64 bits of their perceptual hashes differ."""
ROWS = 1024


def perceptual_hashes(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint64]:
    """Perceptual hash of each image (H, W, 3), uint8: the signs of the lowest frequencies of its brightness.

    Reference:
        Zauner, Implementation and benchmarking of perceptual image hash functions, 2010, section 3.2.1.
    """
    return np.fromiter(parallel_map(perceptual_hash, images), dtype=np.uint64)


def near_duplicates(first: NDArray[np.uint64], second: NDArray[np.uint64], most: int = NEAR) -> NDArray[np.intp]:
    """Pairs (P, 2) of places in two lists of hashes that differ in at most so many bits."""
    pairs = []
    for start in range(0, len(first), ROWS):
        apart = np.bitwise_count(first[start : start + ROWS, None] ^ second[None, :])
        rows, columns = np.nonzero(apart <= most)
        pairs.append(np.stack([rows + start, columns], axis=1))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.intp)


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """The hash of one image (H, W, 3), uint8, as 64 bits."""
    bits = imagehash.phash(Image.fromarray(image)).hash.ravel()
    return int(np.packbits(bits).view(">u8")[0])
