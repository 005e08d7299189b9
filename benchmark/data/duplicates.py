"""Near-duplicate images. The same photograph on both sides of a split inflates every score."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import combinations, islice, product

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.runtime.parallel import parallel_map

MAX_BITS = 2
"""Two images are near-duplicates if at most this many of the 64 bits of their perceptual hashes differ."""
HASH_BITS = 64
CHUNK_SIZE = 2**20
"""Number of pairs that are compared at once."""
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
    found = [np.zeros(0, dtype=np.int64)]
    for mask in _band_masks(max_bits):
        for rows, columns in _equal_pairs(first & mask, second & mask):
            is_near = np.bitwise_count(first[rows] ^ second[columns]) <= max_bits
            found.append(rows[is_near] * len(second) + columns[is_near])
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(len(second), 1)), axis=1)


def _band_masks(max_bits: int) -> list[np.uint64]:
    """Returns masks of bits such that hashes that differ in at most `max_bits` bits agree under at least one of them.

    The 64 bits are divided into two more bands than bits may differ, so that two bands at least are equal. Each mask is
    a pair of bands. Two hashes of different images rarely agree in so many bits.

    Reference:
        Manku, Jain, Das Sarma, Detecting near-duplicates for web crawling, WWW 2007, section 3.
    """
    bands = [
        sum(1 << int(bit) for bit in band)
        for band in np.array_split(np.arange(HASH_BITS), min(max_bits + 2, HASH_BITS))
    ]
    return [np.uint64(one | other) for one, other in combinations(bands, 2)] if max_bits < HASH_BITS else [np.uint64(0)]


def _equal_pairs(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.intp], ...]]:
    """Yields the indices of pairs of equal keys, in chunks."""
    order = np.argsort(second)
    start, stop = (np.searchsorted(second[order], first, side) for side in ("left", "right"))
    counts = stop - start
    # Keys of one value may form millions of pairs, so a chunk has a bounded number of them, or the pairs of one row.
    chunk_of_row = np.cumsum(counts) // CHUNK_SIZE
    for rows in np.split(np.arange(len(first)), np.flatnonzero(np.diff(chunk_of_row)) + 1):
        sizes = counts[rows]
        places = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(start[rows], sizes)
        yield np.repeat(rows, sizes), order[places]


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
