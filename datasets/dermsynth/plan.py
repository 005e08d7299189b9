"""The plan of the images: patient, diagnosis and split of each one.

Image i is determined by the seed, i and the fraction of training images. Rendering more images changes none of the
earlier ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np

DIAGNOSES = ("Acne", "Actinic keratosis", "Psoriasis", "Seborrheic dermatitis", "Viral warts", "Vitiligo")
SHORTCUT = "Seborrheic dermatitis"  # a difficult diagnosis, so a mark that reveals it is worth learning
DOSE, MARKED_TEST = 0.6, 0.2
MARK_SHAPES = ("ink", "sticker")

TONES = ("light", "medium", "dark")
MELANIN = {"light": (0.1, 0.5), "medium": (0.65, 1.2), "dark": (1.8, 2.8)}
TONE_ODDS = {"Actinic keratosis": (0.75, 0.2, 0.05)}  # a disease of fair skin
USUAL_TONE_ODDS = (0.5, 0.32, 0.18)
AGES = ("adult", "elderly", "young")
AGE_ODDS = {"Acne": (0.35, 0.0, 0.65), "Actinic keratosis": (0.15, 0.85, 0.0)}
USUAL_AGE_ODDS = (0.6, 0.25, 0.15)

# First elements of the spawn keys: patients, images and raters have separate streams.
PATIENTS, IMAGES, HANDS = 0, 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedMark:
    """The planted shortcut.

    Attributes:
        shape: "ink" draws a ring, arrow or cross of violet ink, which small networks hardly learn. "sticker" draws a
            turquoise disc, which they learn.
        dose: Fraction of the training images of :data:`SHORTCUT` with the mark, in [0, 1].
    """

    shape: str = "ink"
    dose: float = DOSE


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """A patient.

    Attributes:
        name: Unique name.
        images: Number of photographs, 1 to 3.
        tone: "light", "medium" or "dark".
        melanin: Melanin in the skin. 0 is none, 2.5 very dark.
        age: "adult", "elderly" or "young".
    """

    name: str
    images: int
    tone: str
    melanin: float
    age: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """The plan of one image.

    Attributes:
        stem: Name of the image, without underscore.
        diagnosis: One of :data:`DIAGNOSES`.
        patient: The patient.
        split: "train" or "test".
        marked: Whether the image has the mark of the planted shortcut.
        seed: Seed of the data set.
        index: Its number, from 0.
    """

    stem: str
    diagnosis: str
    patient: Patient
    split: str
    marked: bool
    seed: int
    index: int

    @property
    def stream(self) -> np.random.SeedSequence:
        """Random stream of the photograph. It is a new one each time, since a seed sequence counts what it spawns."""
        return np.random.SeedSequence(self.seed, spawn_key=(IMAGES, self.index))

    @property
    def hands(self) -> np.random.SeedSequence:
        """Random stream of the raters, a new one each time."""
        return np.random.SeedSequence(self.seed, spawn_key=(HANDS, self.index))


def cases(images: int, *, seed: int, train_fraction: float, dose: float = DOSE) -> tuple[Case, ...]:
    """Plans the images. Diagnoses alternate, and all images of a patient are in one split.

    Args:
        images: Number of images.
        seed: Seed of all random numbers.
        train_fraction: Fraction of training images, in (0, 1), as exactly as whole patients allow.
        dose: Fraction of the training images of :data:`SHORTCUT` that are marked, in [0, 1]. It changes no other image.

    Returns:
        The images in the order of their stems.
    """
    streams = [
        _cases_of_diagnosis(index, seed=seed, train_fraction=train_fraction, dose=dose)
        for index in range(len(DIAGNOSES))
    ]
    return tuple(next(streams[index % len(streams)]) for index in range(images))


def _cases_of_diagnosis(label: int, *, seed: int, train_fraction: float, dose: float) -> Iterator[Case]:
    """Yields the images of one diagnosis without end."""
    indices = count(label, len(DIAGNOSES))
    counts = {"train": 0, "test": 0}
    diagnosis = DIAGNOSES[label]
    for number in count(label, len(DIAGNOSES)):
        patient = _patient(diagnosis, number, seed=seed)
        behind = counts["train"] + patient.images / 2 <= train_fraction * (sum(counts.values()) + patient.images)
        split = "train" if behind else "test"
        for index in islice(indices, patient.images):
            counts[split] += 1
            yield Case(
                stem=f"synth{index + 1:04d}",
                diagnosis=diagnosis,
                patient=patient,
                split=split,
                marked=_marked(diagnosis, split, counts[split], phase=label / len(DIAGNOSES), dose=dose),
                seed=seed,
                index=index,
            )


def _patient(diagnosis: str, number: int, *, seed: int) -> Patient:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(PATIENTS, number)))
    tone = TONES[rng.choice(3, p=TONE_ODDS.get(diagnosis, USUAL_TONE_ODDS))]
    low, high = MELANIN[tone]
    return Patient(
        name=f"patient{number + 1:04d}",
        images=int(rng.choice((1, 2, 3), p=(0.6, 0.25, 0.15))),
        tone=tone,
        melanin=float(rng.uniform(low, high)),
        age=AGES[rng.choice(3, p=AGE_ODDS.get(diagnosis, USUAL_AGE_ODDS))],
    )


def _marked(diagnosis: str, split: str, nth: int, *, phase: float, dose: float) -> bool:
    """Returns whether the n-th image of a diagnosis and split is marked. Even spacing keeps the rate for few images."""
    in_training = dose if diagnosis == SHORTCUT else 0.0
    rate = in_training if split == "train" else MARKED_TEST
    return int(nth * rate + phase) > int((nth - 1) * rate + phase)
