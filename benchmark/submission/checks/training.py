"""Training and weights of an entry: gradients reach everything, and a checkpoint fits."""

import torch
from torch import Tensor, nn

from architectures import Architecture
from benchmark.errors import UserError
from benchmark.registry import entries, resolve_name
from benchmark.submission.checks.attack import check_attack
from benchmark.submission.checks.building import NUM_CLASSES
from benchmark.submission.checks.guard import EntryReport, guard_call, make_images
from benchmark.submission.checks.outputs import MIN_SIZE, compute_logits
from benchmark.training.checkpoint import checkpoint_file, load_weights
from benchmark.training.regimes import Regime


def check_training(report: EntryReport, entry: Architecture, network: nn.Module) -> None:
    """Checks that gradients reach every parameter and the image. Leaves the network in training mode."""
    network.train()
    with torch.no_grad():
        for parameter in network.parameters():
            if not bool(parameter.any()):  # some blocks begin as an identity: a factor of zero stops the gradient
                parameter.fill_(0.1)
    images = make_images(4, MIN_SIZE, MIN_SIZE).requires_grad_()
    with guard_call(report, "a training step"):
        loss = nn.functional.cross_entropy(network(images), torch.arange(4))
        if entry.predicts_masks:
            logits, masks = network.with_mask(images)  # type: ignore[operator]  # the contract of such networks
            if masks.shape != (4, MIN_SIZE, MIN_SIZE) or logits.shape != (4, NUM_CLASSES):
                report.problems.append(f"with_mask returns {tuple(logits.shape)} and {tuple(masks.shape)}")
            loss = loss + masks.square().mean()
        loss.backward()
        if images.grad is None or not bool(images.grad.any()):
            report.problems.append("no gradient reaches the image; is something detached or rounded?")
        for name, parameter in network.named_parameters():
            if parameter.grad is None:
                report.problems.append(f"no gradient reaches the parameter {name!r}; remove it, or use it")
                break
            if not _all_finite(parameter.grad):
                report.problems.append(f"the gradient of {name!r} is no number")
                break


def _all_finite(tensor: Tensor) -> bool:
    """Returns whether all values are numbers. A finite sum implies that, and takes a tenth of the time."""
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def check_checkpoint(report: EntryReport, entry: Architecture, *, required: bool) -> None:
    """Checks that the checkpoint of an entry has the SHA-256 that the entry names, and fits the network.

    Args:
        report: Where problems go.
        entry: The entry. Without a checkpoint there is nothing to check.
        required: Whether an absent file is a problem. Otherwise it is a warning.
    """
    checkpoint = entry.checkpoint
    if checkpoint is None:
        return
    try:
        resolve_name(checkpoint.regime, entries(Regime), "regime")
        path = checkpoint_file(entry, checkpoint)
    except UserError as error:
        tolerated = "does not exist" in str(error) and not required
        (report.warnings if tolerated else report.problems).append(str(error))
        return
    network = entry.build(len(checkpoint.classes))
    try:
        load_weights(network, path, whole=True)
    except UserError as error:
        report.problems.append(str(error))
        return
    with torch.inference_mode():
        compute_logits(report, network.eval(), make_images(2, MIN_SIZE, MIN_SIZE), len(checkpoint.classes))
    check_attack(report, network)
    report.facts["checkpoint"] = str(path)
