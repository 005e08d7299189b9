"""The networks that Loupe compares, one entry per file.

An entry is a constant of type :class:`Architecture`. Dropping a file with such a constant into this
directory registers it; nothing else changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Weights that somebody trained elsewhere.

    Attributes:
        file: Name of a safetensors file that lies beside the entry.
        sha256: Its SHA-256, 64 hexadecimal digits.
        classes: Names of the classes, in the order of the logits.
        regime: Name of the regime that is claimed for the training.
        trained_on: The data it was trained on, and which part of it.
        source: Where the file can be had.
    """

    file: str
    sha256: str
    classes: tuple[str, ...]
    regime: str
    trained_on: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A network to be trained.

    Attributes:
        name: Unique name: lower case letters, digits and underscores.
        build: Makes the network with random weights for a number of classes. The module takes images
            (N, 3, H, W) in [0, 1] of any side from 96 px up, normalizes them itself and returns
            logits (N, classes).
        pretrained: The same network with published weights and a fresh classifier, or None where
            nobody publishes weights that we can load.
        target_layer: Dotted name, inside the built module, of the layer that Grad-CAM reads: the last
            one with a spatial grid.
        input_size: Side in pixels that the network was designed for.
        learning_rate: Peak learning rate of AdamW when training from random weights.
        quick_epochs: Passes over the data in a run of minutes. Chosen so that the networks of such a run
            cost about the same time, not the same number of passes.
        source: Where the network is described: author, year, arXiv number or DOI.
        predicts_masks: Whether the network also predicts a mask, by ``with_mask``: images as above to logits of the
            classes (N, classes) and of the mask (N, H, W). Such networks are trained by regimes that need masks,
            and by no others.
        checkpoint: Weights from elsewhere; such an entry is evaluated as it is and never trained.
        authors: Who submits it; empty for the entries of this directory.
        license: License of the entry and its weights, as an SPDX name.
        superseded_by: Name of the entry that takes its place; its rows stay.
        withdrawn: Why it was withdrawn; its rows stay, with this note.
    """

    name: str
    build: Callable[[int], nn.Module]
    pretrained: Callable[[int], nn.Module] | None
    target_layer: str
    input_size: int
    learning_rate: float
    quick_epochs: int
    source: str
    predicts_masks: bool = False
    checkpoint: Checkpoint | None = None
    authors: str = ""
    license: str = ""
    superseded_by: str = ""
    withdrawn: str = ""
