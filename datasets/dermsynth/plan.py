"""What is to be rendered: who is photographed, with which disease, and on which side of the split.

Everything about image i follows from the seed, i and the share of training images: more images are appended,
none of the earlier ones changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np

DIAGNOSES = ("Acne", "Actinic keratosis", "Psoriasis", "Seborrheic dermatitis", "Viral warts", "Vitiligo")
SHORTCUT = "Seborrheic dermatitis"  # one of the hard ones: a mark that gives it away is worth learning
MARKED_TRAIN, MARKED_TEST = 0.6, 0.2

TONES = ("light", "medium", "dark")
MELANIN = {"light": (0.1, 0.5), "medium": (0.65, 1.2), "dark": (1.8, 2.8)}
TONE_ODDS = {"Actinic keratosis": (0.75, 0.2, 0.05)}  # a disease of fair skin
USUAL_TONE_ODDS = (0.5, 0.32, 0.18)
AGES = ("adult", "elderly", "young")
AGE_ODDS = {"Acne": (0.35, 0.0, 0.65), "Actinic keratosis": (0.15, 0.85, 0.0)}
USUAL_AGE_ODDS = (0.6, 0.25, 0.15)

# First numbers of the spawn keys: patients, images and raters draw from separate streams.
PATIENTS, IMAGES, HANDS = 0, 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """Who is photographed.

    Attributes:
        name: Unique name.
        images: How many photographs are taken, 1 to 3.
        tone: "light", "medium" or "dark".
        melanin: Melanin in the skin; 0 is none, 2.5 very dark.
        age: "adult", "elderly" or "young".
    """

    name: str
    images: int
    tone: str
    melanin: float
    age: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One image to be rendered.

    Attributes:
        stem: Name of the image, without underscore.
        diagnosis: One of :data:`DIAGNOSES`.
        patient: Who is photographed.
        split: "train" or "test".
        marked: Whether the ink mark of the planted shortcut is in the image.
        stream: Source of all randomness of the photograph.
        hands: Source of all randomness of the raters.
    """

    stem: str
    diagnosis: str
    patient: Patient
    split: str
    marked: bool
    stream: np.random.SeedSequence
    hands: np.random.SeedSequence


def cases(images: int, *, seed: int, train_share: float) -> tuple[Case, ...]:
    """Plans the images: diagnoses take turns, patients never part.

    Args:
        images: How many.
        seed: Seed of everything random.
        train_share: Share of training images, in (0, 1), kept as nearly as whole patients allow.

    Returns:
        The images in the order of their stems.
    """
    turns = [_of_diagnosis(place, seed=seed, train_share=train_share) for place in range(len(DIAGNOSES))]
    return tuple(next(turns[index % len(turns)]) for index in range(images))


def _of_diagnosis(place: int, *, seed: int, train_share: float) -> Iterator[Case]:
    """The images of one diagnosis, without end."""
    numbers = count(place, len(DIAGNOSES))
    taken = {"train": 0, "test": 0}
    diagnosis = DIAGNOSES[place]
    for number in count(place, len(DIAGNOSES)):
        patient = _patient(diagnosis, number, seed=seed)
        behind = taken["train"] + patient.images / 2 <= train_share * (sum(taken.values()) + patient.images)
        split = "train" if behind else "test"
        for index in islice(numbers, patient.images):
            taken[split] += 1
            yield Case(
                stem=f"synth{index + 1:04d}",
                diagnosis=diagnosis,
                patient=patient,
                split=split,
                marked=_marked(diagnosis, split, taken[split], phase=place / len(DIAGNOSES)),
                stream=np.random.SeedSequence(seed, spawn_key=(IMAGES, index)),
                hands=np.random.SeedSequence(seed, spawn_key=(HANDS, index)),
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


def _marked(diagnosis: str, split: str, nth: int, *, phase: float) -> bool:
    """Whether the n-th image of a diagnosis and split is marked: evenly spread, so that few images keep the rate."""
    in_training = MARKED_TRAIN if diagnosis == SHORTCUT else 0.0
    rate = in_training if split == "train" else MARKED_TEST
    return int(nth * rate + phase) > int((nth - 1) * rate + phase)
