"""Reads a pickled checkpoint. Runs in the child: see :mod:`benchmark.submission.sandbox.worker`."""

import pickle
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from architectures import Architecture
from benchmark.errors import UserError
from benchmark.registry import select
from benchmark.submission.convert import CONVERTED, MAX_NAMED, STATE_NAMES
from benchmark.submission.entries import load_entry
from benchmark.training.partial_weights import CONSTANTS, COUNTERS

LEAST_MATCHED = 0.5
"""Fraction of the tensors outside the classifier that a file of the network holds. They are counted without their
sizes: the first fully connected layer of VGG16 alone has more parameters than all of its convolutions."""


def convert_checkpoint(checkpoint: str, architecture: str, directory: str) -> dict[str, Any]:
    """Writes the tensors of a checkpoint that a network has, under the network's names, in float32.

    Args:
        checkpoint: The file.
        architecture: Name of an architecture, or path of an entry file.
        directory: Where to write.

    Returns:
        matched, added, missing, surplus, prefix, num_classes.

    Raises:
        UserError: The file cannot be read without running code, or has less than half of the network.
    """
    tensors = _find_state(_read(Path(checkpoint)))
    is_file = architecture.endswith((".py", ".toml"))
    entry = load_entry(Path(architecture)) if is_file else select(Architecture, [architecture])[0]
    prefix, added, num_classes, classifier = _find_names(entry, tensors)
    expected = entry.build(num_classes or 2).state_dict()
    renamed = {added + name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
    matched = {
        ours: tensors[theirs]
        for ours, theirs in renamed.items()
        if ours in expected and expected[ours].shape == tensors[theirs].shape
    }
    if not matched:
        first = next(iter(tensors))
        raise UserError(f"has no tensor of {entry.name}, such as {first!r}; is it another architecture's?")
    require_half(entry.name, matched, [name for name in expected if name not in classifier])
    # Without them, the file would count as published weights under timm's names.
    constants = {name: expected[name] for name in expected if name in CONSTANTS and name not in matched}
    whole = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).contiguous().clone()
        for name, tensor in {**constants, **matched}.items()
    }
    safetensors.torch.save_file(whole, Path(directory) / CONVERTED)
    used = {renamed[name] for name in matched}
    missing = [name for name in expected if name not in whole and not name.endswith(COUNTERS)]
    return {
        "matched": len(matched),
        "added": len(constants),
        "missing": missing[:MAX_NAMED],
        "surplus": [name for name in tensors if name not in used][:MAX_NAMED],
        "prefix": prefix,
        "num_classes": num_classes,
    }


def require_half(architecture: str, matched: Collection[str], outside: Collection[str]) -> None:
    """Requires half of the tensors outside the classifier. Fewer are those of another architecture by chance.

    Raises:
        UserError: There are fewer.
    """
    counted = [name for name in outside if not name.endswith(COUNTERS) and name not in CONSTANTS]
    found = sum(name in matched for name in counted)
    if found < LEAST_MATCHED * len(counted):
        raise UserError(
            f"has {found} of the {len(counted)} tensors of {architecture} outside its classifier, so it is another "
            "architecture's; name that one with --architecture"
        )


def _read(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the protocol of the pickle
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            "holds Python objects other than tensors, which are not read, or is no checkpoint; save the weights alone: "
            "torch.save(model.state_dict(), FILE)"
        ) from None
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise
        # The unpickler raises anything for damaged content, in words of torch's own.
        raise UserError("is truncated or no file of torch; copy or save it again") from None


def _find_state(content: Any) -> dict[str, Tensor]:
    """Finds the dictionary of tensors in what was saved."""
    for name in STATE_NAMES:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    pairs = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): value for name, value in pairs if isinstance(value, Tensor)}
    if not tensors:
        raise UserError("has no dictionary of tensors; save torch.save(model.state_dict(), FILE)")
    return tensors


def _find_names(entry: Architecture, tensors: Mapping[str, Tensor]) -> tuple[str, str, int | None, set[str]]:
    """Finds the prefix to remove and the one to add that match most tensors, the number of classes, and the classifier.

    Wrappers of a network put their own name in front, such as `module.` or `model.`. Networks of Loupe put `body.`.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    with torch.device("meta"):
        two, three = (_shapes(entry.build(classes).state_dict()) for classes in (2, 3))
    classifier = {name for name in two if two[name] != three[name]}
    dotted = [name.split(".") for name in shapes]
    prefixes = {""} | {".".join(parts[:depth]) + "." for parts in dotted for depth in range(1, min(len(parts), 4))}
    added = {""} | {name.split(".")[0] + "." for name in two if "." in name}

    def count(pair: tuple[str, str]) -> int:
        theirs, ours = pair
        names = {ours + name.removeprefix(theirs): shape for name, shape in shapes.items() if name.startswith(theirs)}
        return sum(two.get(name) == shape or (name in classifier) for name, shape in names.items())

    best = max(sorted((p, a) for p in prefixes for a in added), key=count)
    for name in sorted(classifier):
        theirs = best[0] + name.removeprefix(best[1])
        if shapes.get(theirs):
            return *best, shapes[theirs][0], classifier
    return *best, None, classifier


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
