"""Models on disk: safetensors, checked before they are used."""

from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from architectures import Architecture, Checkpoint
from benchmark.errors import UserError
from benchmark.registry import source_file
from benchmark.storage.files import atomic_file
from benchmark.storage.hashing import file_digest

PUBLISHED_CLASSES = 1000


def save_model(model: nn.Module, path: Path) -> str:
    """Writes the weights and buffers of a model; returns the SHA-256 of the file."""
    with atomic_file(path) as temporary:
        safetensors.torch.save_model(model, str(temporary))
        return file_digest(temporary)


def load_weights(model: nn.Module, path: Path, *, fresh_classifier: bool = False, whole: bool = False) -> None:
    """Reads weights into a model: ours of the same shape, or published ones as timm names them.

    Args:
        model: To be changed.
        path: A safetensors file.
        fresh_classifier: Whether a classifier for another number of classes is left out, and the model's own stays.
        whole: Whether published weights must bring their classifier too.

    Raises:
        UserError: The file is no safetensors file, or does not fit the model; the message names the tensor.
    """
    try:
        tensors = safetensors.torch.load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is not a readable safetensors file ({error}); save the weights again") from None
    wanted = model.state_dict()
    if "mean" not in tensors and "mean" in wanted:
        tensors = _as_ours(tensors, wanted, whole=whole)
    if fresh_classifier:
        tensors |= {name: wanted[name] for name in _classifier_of_others(tensors, wanted)}
    for name, tensor in tensors.items():
        if name not in wanted:
            raise UserError(f"{path} has a tensor {name!r} that the network lacks; is it another architecture's?")
        if tensor.shape != wanted[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(wanted[name].shape)}"
            raise UserError(f"{path}: tensor {name!r} has shape {shapes}; is it for another number of classes?")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise UserError(f"{path}: tensor {name!r} holds values that are no numbers; train the model again")
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise UserError(f"{path} lacks the tensor {missing[0]!r} and {len(missing) - 1} more; save the whole model")
    model.load_state_dict(tensors)


def checkpoint_file(architecture: Architecture, checkpoint: Checkpoint) -> Path:
    """The file of a checkpoint from elsewhere, which lies beside its entry.

    Raises:
        UserError: It is not there, its name leads elsewhere, or its content is another.
    """
    if Path(checkpoint.file).name != checkpoint.file or not checkpoint.file.endswith(".safetensors"):
        raise UserError(f"checkpoint file {checkpoint.file!r}: give the name of a .safetensors file beside the entry")
    path = source_file(architecture).parent / checkpoint.file
    if not path.is_file():
        raise UserError(f"{path} does not exist; put the checkpoint beside the entry ({checkpoint.source})")
    found = file_digest(path)
    if found != checkpoint.sha256:
        raise UserError(f"{path} has SHA-256 {found[:12]}..., the entry says {checkpoint.sha256[:12]}...; mend one")
    return path


def class_order(checkpoint: Checkpoint, classes: tuple[str, ...]) -> list[int]:
    """For each class of the data, the place of its logit in a checkpoint from elsewhere.

    Raises:
        UserError: The two do not have the same classes.
    """
    theirs, ours = (", ".join(sorted(names)) for names in (checkpoint.classes, classes))
    if theirs != ours or len(set(checkpoint.classes)) != len(classes):
        raise UserError(
            f"the checkpoint tells apart {theirs}; the data has {ours}: name them alike, or take other data"
        )
    return [checkpoint.classes.index(name) for name in classes]


def reorder_logits(model: nn.Module, order: list[int]) -> nn.Module:
    """The same module, whose logits come in another order; names of modules and tensors stay."""
    if order != sorted(order):
        place = torch.tensor(order)
        model.register_forward_hook(lambda _module, _inputs, logits: logits[:, place.to(logits.device)])
    return model


def _as_ours(tensors: dict[str, Tensor], wanted: dict[str, Tensor], *, whole: bool) -> dict[str, Tensor]:
    """Published weights, as timm names them, under our names; the classifier of other classes stays fresh."""
    ours = {f"body.{name}": tensor for name, tensor in tensors.items()}
    others = (name for name, tensor in ours.items() if name in wanted and _of_other_classes(tensor, wanted[name]))
    classifier = set() if whole else set(others)
    fresh = {"mean", "std", *classifier, *(name for name in wanted if name.endswith("num_batches_tracked"))}
    best_weights = {name: tensor for name, tensor in ours.items() if name not in classifier}
    return {name: wanted[name] for name in fresh} | best_weights


def _classifier_of_others(tensors: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """Weight and bias of one layer that differ from the network's in the number of outputs alone; else nothing."""
    differing = [name for name in tensors.keys() & wanted.keys() if tensors[name].shape != wanted[name].shape]
    outputs_alone = all(tensors[name].shape[1:] == wanted[name].shape[1:] for name in differing)
    one_layer = {name.rpartition(".")[0] for name in differing}
    return differing if outputs_alone and len(one_layer) == 1 else []


def _of_other_classes(tensor: Tensor, wanted: Tensor) -> bool:
    return tensor.ndim > 0 and tensor.shape[0] == PUBLISHED_CLASSES != wanted.shape[0]


def initial_model(architecture: Architecture, classes: int, weights: str) -> nn.Module:
    """A network to begin with.

    Args:
        architecture: What to build.
        classes: Number of classes.
        weights: "random", "pretrained", a safetensors file, or a directory with one of the architecture's name. Where a
            file's classifier is for another number of classes, the network begins with a fresh one.

    Raises:
        UserError: The weights cannot be had; the message says what to do.
    """
    if weights == "random":
        return architecture.build(classes)
    if weights == "pretrained":
        if architecture.pretrained is None:
            raise UserError(f"nobody publishes weights of {architecture.name} that we can load; give --weights FILE")
        try:
            return architecture.pretrained(classes)
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from None
    model = architecture.build(classes)
    load_weights(model, weights_file(architecture, weights), fresh_classifier=True)
    return model


def weights_file(architecture: Architecture, weights: str) -> Path:
    """The safetensors file for an architecture.

    Raises:
        UserError: There is none.
    """
    path = Path(weights)
    path = path / f"{architecture.name}.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"--weights: {path} does not exist; give a safetensors file or a directory of them")
    return path
