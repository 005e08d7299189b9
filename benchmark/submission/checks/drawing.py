"""Which test images of a record are scored again: how many find a forgery, and a draw that nobody can foresee."""

import math
import secrets
from collections.abc import Sequence

FORGED = 0.1
"""Fraction of forged images that must be found."""
DETECTION = 0.99
"""Probability with which it must be found."""


def count_forged(num_images: int) -> int:
    """Returns the least number of images that are :data:`FORGED` of all."""
    return max(1, math.ceil(FORGED * num_images))


def images_needed(num_images: int) -> int:
    """Computes how many images must be drawn, without replacement, to find a forged one among them.

    Args:
        num_images: Number of test images.

    Returns:
        The least number that finds at least one with probability :data:`DETECTION`. It approaches 44.

    Example:
        >>> images_needed(82), images_needed(200), images_needed(10_000), images_needed(5)
        (32, 40, 44, 5)
    """
    return next(
        drawn for drawn in range(num_images + 1) if drawn == num_images or detection(num_images, drawn) >= DETECTION
    )


def detection(num_images: int, drawn: int) -> float:
    """Computes the probability that a draw has at least one forged image, where :data:`FORGED` of all are forged."""
    honest = num_images - count_forged(num_images)
    return 1 - math.comb(honest, drawn) / math.comb(num_images, drawn) if num_images else 0.0


def draw_images(names: Sequence[str], count: int | None) -> list[str]:
    """Draws test images with the randomness of the system, at the time of the verification.

    Nothing in a record changes the draw, so no record can be made to fit it.

    Args:
        names: Names of the test images.
        count: Number of images. None means as many as :func:`images_needed`, 0 all.

    Returns:
        Their names, sorted.
    """
    number = images_needed(len(names)) if count is None else count
    if not number or number >= len(names):
        return sorted(names)
    return sorted(secrets.SystemRandom().sample(list(names), number))


def describe_draw(num_images: int, drawn: int) -> str:
    """Says which forgeries a draw finds, in a sentence.

    Example:
        >>> describe_draw(1000, 43)
        'A forgery of 10 % of the 1000 images is found with probability 0.99 by 43 of them.'
    """
    if drawn >= num_images:
        return f"All {num_images} images were scored again." if num_images > 1 else "The only image was scored again."
    probability = math.floor(100 * detection(num_images, drawn)) / 100
    forged = f"{100 * FORGED:g} % of the {num_images} images"
    return f"A forgery of {forged} is found with probability {probability:.2f} by {drawn} of them."
