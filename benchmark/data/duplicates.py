"""Near-duplicate images. The same photograph on both sides of a split inflates every score."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice, product

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.runtime.parallel import parallel_map

MAX_BITS = 2
"""Two images are near-duplicates if at most this many of the 64 bits of their perceptual hashes differ."""
CHUNK_SIZE = 1024
MAX_PAIRS = 1000
"""Maximum number of listed pairs. Thousands of blank images form millions."""


def perceptual_hashes(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint64]:
    """Computes the perceptual hash of each image (H, W, 3), uint8: the signs of its lowest brightness frequencies.

    Reference:
        Zauner, Implementation and benchmarking of perceptual image hash functions, 2010, section 3.2.1.
    """
    return np.fromiter(parallel_map(perceptual_hash, images), dtype=np.uint64)


def near_duplicates(
    first: NDArray[np.uint64], second: NDArray[np.uint64], max_bits: int = MAX_BITS
) -> NDArray[np.intp]:
    """Returns index pairs (P, 2) into two lists of distinct hashes that differ in at most `max_bits` bits."""
    pairs = []
    # In chunks, because the table of all distances grows with the product of both lengths.
    for start in range(0, len(first), CHUNK_SIZE):
        distances = np.bitwise_count(first[start : start + CHUNK_SIZE, None] ^ second[None, :])
        rows, columns = np.nonzero(distances <= max_bits)
        pairs.append(np.stack([rows + start, columns], axis=1))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.intp)


class DuplicateFinder:
    """The pairs of near-duplicates within one list of images. Equal hashes are compared only once.

    Attributes:
        examples: Index pairs (first, second), first < second, sorted, at most MAX_PAIRS.
    """

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        distinct, self._inverse = np.unique(hashes, return_inverse=True)
        pairs = near_duplicates(distinct, distinct)
        self._pairs = pairs[pairs[:, 0] <= pairs[:, 1]].tolist()
        self.examples = sorted(islice(self._expand(), MAX_PAIRS))

    def count(self, keys: Sequence[Hashable]) -> tuple[int, int]:
        """Counts the pairs of images, and those of two different keys. Images with the key None do not count."""
        members: list[Counter[Hashable]] = [Counter() for _ in range(int(self._inverse.max(initial=-1)) + 1)]
        for index, key in zip(self._inverse.tolist(), keys, strict=True):
            if key is not None:
                members[index][key] += 1
        total = same = 0
        for one, other in self._pairs:
            if one == other:
                total += members[one].total() * (members[one].total() - 1) // 2
                same += sum(count * (count - 1) // 2 for count in members[one].values())
            else:
                total += members[one].total() * members[other].total()
                same += sum(count * members[other][key] for key, count in members[one].items())
        return total, total - same

    def _expand(self) -> Iterator[tuple[int, int]]:
        members: list[list[int]] = [[] for _ in range(int(self._inverse.max(initial=-1)) + 1)]
        for image, index in enumerate(self._inverse.tolist()):
            members[index].append(image)
        for one, other in self._pairs:
            for first, second in product(members[one], members[other]):
                if one != other or first < second:
                    yield min(first, second), max(first, second)


def find_leaks(others: NDArray[np.uint64], tested: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Returns a pair of indices (other, tested) for each tested image with a near-duplicate among the others."""
    distinct, first_index = np.unique(others, return_index=True)
    distinct_tested, inverse = np.unique(tested, return_inverse=True)
    twin = dict(reversed(near_duplicates(distinct_tested, distinct).tolist()))
    return [(int(first_index[twin[index]]), image) for image, index in enumerate(inverse.tolist()) if index in twin]


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """Computes the 64-bit hash of one image (H, W, 3), uint8."""
    bits = imagehash.phash(Image.fromarray(image)).hash.ravel()
    return int(np.packbits(bits).view(">u8")[0])
