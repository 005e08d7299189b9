"""The outputs of an entry's network: finite logits of the right shape, at any size and for any number of classes."""

import torch
from torch import Tensor, nn

from architectures import Architecture
from architectures.network import Network
from benchmark.submission.checks.building import NUM_CLASSES
from benchmark.submission.checks.guard import CheckAborted, EntryReport, guard_call, guard_state, make_images

OTHER_NUM_CLASSES = (2, 7)
MIN_SIZE = 96
ODD_SIZE = (97, 131)
TOLERANCE = 1e-3


def check_outputs(report: EntryReport, entry: Architecture, network: nn.Module) -> None:
    """Checks that the logits are deterministic and independent of the batch, at several image sizes."""
    images = make_images(3, MIN_SIZE, MIN_SIZE)
    with torch.inference_mode():
        logits = compute_logits(report, network, images, NUM_CLASSES)
        input_size = entry.input_size if 32 <= entry.input_size <= 1024 else 224
        for height, width in (ODD_SIZE, (input_size, input_size)):
            compute_logits(report, network, make_images(1, height, width), NUM_CLASSES)
        repeated = compute_logits(report, network, images, NUM_CLASSES)
        single = torch.cat([compute_logits(report, network, image[None], NUM_CLASSES) for image in images])
    if not torch.equal(logits, repeated):
        report.problems.append("gives other logits for the same images in evaluation mode; is something random in it?")
    elif not torch.allclose(logits, single, rtol=TOLERANCE, atol=TOLERANCE * float(logits.abs().max())):
        report.problems.append("the logits of an image depend on the other images of the batch")
    if bool((logits >= 0).all()) and torch.allclose(logits.sum(dim=1), torch.ones(len(logits)), atol=1e-4):
        report.warnings.append("returns probabilities, it seems: rows add up to 1; return logits, without softmax")
    for num_classes in OTHER_NUM_CLASSES:
        _check_num_classes(report, entry, images[:2], num_classes)


def _check_num_classes(report: EntryReport, entry: Architecture, images: Tensor, num_classes: int) -> None:
    """Checks the shape of the output. On the meta device where possible: it needs no memory for the weights."""
    action = f"build({num_classes})"
    with guard_call(report, action), guard_state(report, action):
        try:
            with torch.device("meta"):
                shape = entry.build(num_classes).eval()(torch.empty(images.shape)).shape
        except (RuntimeError, NotImplementedError):
            shape = compute_logits(report, entry.build(num_classes).eval(), images, num_classes).shape
        if shape != (2, num_classes):
            report.problems.append(f"{action} makes a network that returns {tuple(shape)} for 2 images")


def compute_logits(report: EntryReport, network: nn.Module, images: Tensor, num_classes: int) -> Tensor:
    """Returns the logits, (N, num_classes).

    Raises:
        CheckAborted: The output has another shape, or values that are no numbers.
    """
    size = " x ".join(map(str, images.shape[-2:]))
    inputs = images.clone()
    with guard_call(report, f"a call on images of {size} px"), guard_state(report, "a call", seeds=True):
        with torch.no_grad():
            logits = network(inputs)
        if not isinstance(logits, Tensor) or logits.shape != (len(images), num_classes):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            report.problems.append(
                f"returns {shape} for {len(images)} images and {num_classes} classes; return (N, classes)"
            )
            raise CheckAborted
        if logits.dtype != torch.float32:
            report.problems.append(f"returns {logits.dtype}, not torch.float32")
        if not bool(logits.isfinite().all()):
            report.problems.append(f"returns values that are no numbers for images of {size} px")
            raise CheckAborted
        if not torch.equal(inputs, images):
            report.problems.append("changes its input images; work on a copy")
        return logits
    raise CheckAborted


def check_normalization(report: EntryReport, network: nn.Module) -> None:
    """Warns of a network without a buffer that it could normalize with. Only a guess is possible."""
    triples = [tensor for tensor in network.buffers() if tensor.is_floating_point() and tensor.numel() == 3]
    if not isinstance(network, Network) and not triples:
        report.warnings.append("no buffer of three values: does it normalize images in [0, 1] itself? see Network")
    if isinstance(network, Network) and not bool((network.std > 0).all()):
        report.problems.append("divides by a standard deviation that is not positive")
