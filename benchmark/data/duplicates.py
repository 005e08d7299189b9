"""Near-duplicate images. The same photograph on both sides of a split inflates every score."""

from collections.abc import Iterable

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.runtime.parallel import parallel_map

MAX_BITS = 2
"""Two images are near-duplicates if at most this many of the 64 bits of their perceptual hashes differ."""
CHUNK_SIZE = 1024


def perceptual_hashes(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint64]:
    """Computes the perceptual hash of each image (H, W, 3), uint8: the signs of its lowest brightness frequencies.

    Reference:
        Zauner, Implementation and benchmarking of perceptual image hash functions, 2010, section 3.2.1.
    """
    return np.fromiter(parallel_map(perceptual_hash, images), dtype=np.uint64)


def near_duplicates(
    first: NDArray[np.uint64], second: NDArray[np.uint64], max_bits: int = MAX_BITS
) -> NDArray[np.intp]:
    """Returns index pairs (P, 2) into two lists of hashes that differ in at most `max_bits` bits."""
    pairs = []
    # In chunks, because the table of all distances grows with the product of both lengths.
    for start in range(0, len(first), CHUNK_SIZE):
        distances = np.bitwise_count(first[start : start + CHUNK_SIZE, None] ^ second[None, :])
        rows, columns = np.nonzero(distances <= max_bits)
        pairs.append(np.stack([rows + start, columns], axis=1))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.intp)


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """Computes the 64-bit hash of one image (H, W, 3), uint8."""
    bits = imagehash.phash(Image.fromarray(image)).hash.ravel()
    return int(np.packbits(bits).view(">u8")[0])
