"""Measures reliance: predictions for the versions of each image, and what they differ by from the original."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.reliance import PREFIX
from benchmark.reliance.fills import FILLS, Pixels
from benchmark.reliance.marks import Marks
from benchmark.reliance.stored import StoredVariants
from benchmark.reliance.variants import NUM_SUPERPIXELS, ONLY, Variant, build_variants
from benchmark.runtime.tensors import map_batches, on_device, to_float

CHUNK_IMAGES = 32
"""Number of images whose versions are in memory at once."""
MEASURES = ("drop", "changed", "correct", "shift")
TOWARD = "toward"


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredImages:
    """Images to measure reliance on.

    Attributes:
        pixels: (T, S, S, 3), uint8.
        expert_masks: (T, S, S). They may be empty.
        labels: True classes, (T,).
        names: Names of the images, which seed the choice of places.
        marks: The planted marks, and the class that they indicate. None without any.
        stored: Their versions. None builds them.
    """

    pixels: NDArray[np.uint8]
    expert_masks: NDArray[np.bool_]
    labels: NDArray[np.integer]
    names: Sequence[str]
    marks: Marks | None = None
    stored: StoredVariants | None = None

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.pixels)

    def variants(self, index: int) -> list[Variant]:
        """Builds all versions of an image, the original first, or loads them."""
        if self.stored is not None:
            return self.stored.load(index, self.pixels[index])
        variants = build_variants(self.pixels[index], self.expert_masks[index], self.names[index])
        changed = self.marks.variants[index] if self.marks else None
        return variants + ([changed] if changed else [])


def measure_reliance(model: nn.Module, layer: str, images: MeasuredImages, device: torch.device) -> pd.DataFrame:
    """Measures reliance on the marked region of each image, with at most twelve forward passes per image.

    The columns begin with :data:`benchmark.reliance.PREFIX`. Each has the name of a version of the image and one of:

    - `drop`: probability of the predicted class, original minus version, in [-1, 1].
    - `changed`: whether the predicted class differs. The fraction of the places for a control.
    - `correct`: whether the version is classified correctly. The fraction of the places for a control.
    - `shift`: distance of the features from those of the original, relative to the distance of two random images.

    Versions are `region FILL`, `control FILL` (mean over places), `only` and `superpixel INDEX`. They are NaN where the
    region is undefined: no mask, a region of more than half of the image, or no other place of its shape. With planted
    marks, there are also `mark added` and `mark removed`, with one more measure:

    - `toward`: probability of the marked class, version minus original, in [-1, 1].

    The column `area` is the fraction of the image that the mask covers.

    Args:
        model: In evaluation mode, on the device. Takes (N, 3, S, S) in [0, 1] and returns logits.
        layer: Name of the target layer. Its output, averaged over positions, is the features.
        images: The images.
        device: The device.

    Returns:
        One row per image.
    """
    rows: list[dict[str, float]] = []
    originals: list[NDArray[np.float64]] = []
    marked_class = images.marks.label if images.marks else 0
    for start in range(0, len(images), CHUNK_IMAGES):
        chunk = range(start, min(start + CHUNK_IMAGES, len(images)))
        groups = [images.variants(index) for index in chunk]
        outputs = _forward(model, layer, [version.pixels for group in groups for version in group], device)
        parts = _split(outputs, [len(group) for group in groups])
        for index, group, (probabilities, features) in zip(chunk, groups, parts, strict=True):
            rows.append(_row(group, probabilities, features, int(images.labels[index]), marked_class))
            originals.append(features[0])
    frame = pd.DataFrame(rows, columns=list(_column_names(with_marks=images.marks is not None)), dtype=np.float64)
    shifts = [name for name in map(str, frame) if name.endswith(" shift")]
    frame[shifts] /= _typical_distance(np.array(originals))
    frame["area"] = images.expert_masks.mean(axis=(1, 2))
    return frame.add_prefix(PREFIX)


def _column_names(*, with_marks: bool) -> Iterator[str]:
    """Yields the names of the columns of versions, without the prefix."""
    versions = [f"{role} {fill}" for fill in FILLS for role in ("region", "control")]
    versions += [ONLY, *(f"superpixel {index}" for index in range(NUM_SUPERPIXELS))]
    for version in versions:
        yield from (f"{version} {measure}" for measure in MEASURES)
    if with_marks:
        yield from (f"mark {change} {measure}" for change in ("added", "removed") for measure in ("changed", TOWARD))


def _forward(
    model: nn.Module, layer: str, pixels: Sequence[Pixels], device: torch.device
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Computes probabilities (M, C) and features (M, K)."""
    stacked = on_device(np.stack(pixels), device)
    captured: list[Tensor] = []
    num_classes = 0
    handle = model.get_submodule(layer).register_forward_hook(lambda *call: captured.append(call[-1]))

    def forward(part: slice) -> Tensor:
        nonlocal num_classes
        captured.clear()
        with torch.inference_mode():
            logits = model(to_float(stacked[part]))
            num_classes = logits.shape[1]
            return torch.cat([logits.double().softmax(dim=1), _average(captured[-1])], dim=1)

    try:
        joint = map_batches(forward, stacked).numpy()
    finally:
        handle.remove()
    return joint[:, :num_classes], joint[:, num_classes:]


def _average(activations: Tensor) -> Tensor:
    """Averages activations (N, K, h, w) or tokens (N, T, K) over positions, (N, K), float64."""
    activations = activations.double()
    return activations.mean(dim=(2, 3)) if activations.ndim == 4 else activations.flatten(1, -2).mean(dim=1)


def _split(
    outputs: tuple[NDArray[np.float64], NDArray[np.float64]], sizes: Sequence[int]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    ends = np.cumsum(sizes)[:-1]
    yield from zip(*(np.split(values, ends) for values in outputs), strict=True)


def _row(
    group: Sequence[Variant],
    probabilities: NDArray[np.float64],
    features: NDArray[np.float64],
    label: int,
    marked_class: int,
) -> dict[str, float]:
    """Computes the measures of one image. Several versions of one name are averaged."""
    predicted = int(probabilities[0].argmax())
    answers = probabilities.argmax(axis=1)
    values = {
        "drop": probabilities[0, predicted] - probabilities[:, predicted],
        "changed": answers != predicted,
        "correct": answers == label,
        "shift": np.linalg.norm(features - features[0], axis=1),
        TOWARD: probabilities[:, marked_class] - probabilities[0, marked_class],
    }
    collected: dict[str, list[float]] = {}
    for index, version in enumerate(group[1:], start=1):
        for measure, numbers in values.items():
            name = " ".join(filter(None, (version.role, version.detail, measure)))
            collected.setdefault(name, []).append(float(numbers[index]))
    return {name: float(np.mean(numbers)) for name, numbers in collected.items()}


def _typical_distance(features: NDArray[np.float64]) -> float:
    """Computes the root mean square distance of two random images, from features (T, K). NaN for fewer than two."""
    if len(features) < 2:
        return np.nan
    return float(np.sqrt(2 * features.var(axis=0, ddof=1).sum())) or np.nan
