"""Models on disk: safetensors, checked before use."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from architectures import Architecture, Checkpoint
from benchmark.errors import UserError
from benchmark.phrases import format_names
from benchmark.registry import source_file
from benchmark.storage.files import atomic_file
from benchmark.storage.hashing import file_digest
from benchmark.training.partial_weights import LoadReport, fill_missing, report_loaded

IMAGENET_CLASSES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class InitialWeights:
    """What a network starts from.

    Attributes:
        loaded: Number of tensors from a file. 0 without one.
        random: Names of the parameters that stay random although a file was loaded, such as those of the classifier.
    """

    loaded: int = 0
    random: tuple[str, ...] = ()


def save_model(model: nn.Module, path: Path) -> str:
    """Writes the weights and buffers of a model and returns the SHA-256 of the file."""
    with atomic_file(path) as temporary:
        safetensors.torch.save_model(model, str(temporary))
        return file_digest(temporary)


def load_weights(
    model: nn.Module, path: Path, *, fresh_classifier: bool = False, whole: bool = False
) -> InitialWeights:
    """Loads weights into a model: our own of the same shape, or published ones with timm's names.

    Args:
        model: Changed in place.
        path: A safetensors file.
        fresh_classifier: Whether to skip a classifier for another number of classes and retain the model's own. Other
            modules that the file lacks then stay as they are, too.
        whole: Whether published weights must include their classifier.

    Returns:
        What came from the file, and which parameters did not.

    Raises:
        UserError: The file is not a safetensors file, or does not fit the model. The message names the tensor.
    """
    try:
        tensors = safetensors.torch.load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is not a readable safetensors file ({error}); save the weights again") from None
    expected = model.state_dict()
    if "mean" not in tensors and "mean" in expected:
        tensors = _convert_timm_names(tensors, expected, whole=whole)
    if fresh_classifier:
        other = _find_other_classifier(tensors, expected)
        tensors = fill_missing({name: tensor for name, tensor in tensors.items() if name not in other}, expected, path)
    for name, tensor in tensors.items():
        if name not in expected:
            raise UserError(f"{path} has a tensor {name!r} that the network lacks; is it another architecture's?")
        if tensor.shape != expected[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(expected[name].shape)}"
            raise UserError(f"{path}: tensor {name!r} has shape {shapes}; is it for another number of classes?")
        if reason := _find_bad_values(name, tensor, expected[name].dtype):
            raise UserError(f"{path}: tensor {name!r} holds {reason}")
    if missing := sorted(expected.keys() - tensors.keys()):
        raise UserError(f"{path} lacks the tensor {format_names(list(map(repr, missing)), 1)}; save the whole model")
    # Tensors that the file lacks are the model's own, and mean and standard deviation of its input are no weights.
    own = [name for name, tensor in tensors.items() if tensor is expected[name]]
    parameters = {name for name, _ in model.named_parameters()}
    model.load_state_dict(tensors)
    return InitialWeights(loaded=len(tensors) - len(own), random=tuple(sorted(parameters.intersection(own))))


def _find_bad_values(name: str, tensor: Tensor, dtype: torch.dtype) -> str:
    """Returns what is wrong with the values of a tensor and how to avoid it. Empty for usable values."""
    is_count = tensor.is_floating_point() and _kind(dtype) == "integers"  # a network in half precision counts so
    if _kind(tensor.dtype) != _kind(dtype) and not is_count:
        return f"{_kind(tensor.dtype)} where the network has {_kind(dtype)}; save the weights of the network"
    values = tensor if is_count else tensor.to(dtype)  # which can be too large for the type of the network
    if not bool(values.isfinite().all()):
        return "values that are not finite; train the model again"
    if name.rsplit(".", maxsplit=1)[-1] == "running_var" and bool((tensor < 0).any()):
        return "negative variances; save the weights again"
    return ""


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_complex or dtype == torch.bool:
        return "complex numbers" if dtype.is_complex else "truth values"
    return "floating-point numbers" if dtype.is_floating_point else "integers"


def checkpoint_file(architecture: Architecture, checkpoint: Checkpoint) -> Path:
    """Finds the file of an external checkpoint, in the directory of its entry.

    Raises:
        UserError: The file is missing, its name contains a directory, or its SHA-256 differs from the entry's.
    """
    if Path(checkpoint.file).name != checkpoint.file or not checkpoint.file.endswith(".safetensors"):
        raise UserError(
            f"checkpoint file {checkpoint.file!r}: give the name of a .safetensors file in the entry's directory"
        )
    path = source_file(architecture).parent / checkpoint.file
    if not path.is_file():
        raise UserError(f"{path} does not exist; put the checkpoint into the entry's directory ({checkpoint.source})")
    digest = file_digest(path)
    if digest != checkpoint.sha256:
        raise UserError(
            f"{path} has SHA-256 {digest[:12]}..., the entry says {checkpoint.sha256[:12]}...; correct one of them"
        )
    return path


def class_order(checkpoint: Checkpoint, classes: tuple[str, ...]) -> list[int]:
    """Finds the index of each class of the data among the logits of an external checkpoint.

    Raises:
        UserError: The classes of checkpoint and data differ.
    """
    unknown = sorted(set(checkpoint.classes) - set(classes))
    if unknown:
        nearest = difflib.get_close_matches(unknown[0], classes, n=1, cutoff=0.4)
        hint = f", is it {nearest[0]!r}?" if nearest else "; use the names of the data, or other data"
        listed = format_names(list(map(repr, unknown)), 1)
        raise UserError(f"the checkpoint has the class {listed}, the data has {', '.join(classes)}{hint}")
    if len(set(checkpoint.classes)) < len(checkpoint.classes):
        raise UserError(f"the checkpoint has the classes {', '.join(checkpoint.classes)}; give each class once")
    if missing := sorted(set(classes) - set(checkpoint.classes)):
        listed = format_names(list(map(repr, missing)), 1)
        raise UserError(f"the checkpoint lacks the class {listed} of the data; use data of its classes alone")
    return [checkpoint.classes.index(name) for name in classes]


def reorder_logits(model: nn.Module, order: list[int]) -> nn.Module:
    """Permutes the logits of a module by a hook. Names of modules and tensors do not change."""
    if order != sorted(order):
        indices = torch.tensor(order)
        model.register_forward_hook(lambda _module, _inputs, logits: logits[:, indices.to(logits.device)])
    return model


def _convert_timm_names(tensors: dict[str, Tensor], expected: dict[str, Tensor], *, whole: bool) -> dict[str, Tensor]:
    """Renames published weights from timm's names to ours. A classifier of other classes is not loaded."""
    ours = {f"body.{name}": tensor for name, tensor in tensors.items()}
    others = (
        name for name, tensor in ours.items() if name in expected and _has_imagenet_classes(tensor, expected[name])
    )
    classifier = set() if whole else set(others)
    fresh = {"mean", "std", *classifier, *(name for name in expected if name.endswith("num_batches_tracked"))}
    loaded = {name: tensor for name, tensor in ours.items() if name not in classifier}
    return {name: expected[name] for name in fresh} | loaded


def _find_other_classifier(tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """Finds the one layer whose weight and bias differ from the network's in the number of outputs only.

    Returns an empty list if any other tensor differs too.
    """
    differing = [name for name in tensors.keys() & expected.keys() if tensors[name].shape != expected[name].shape]
    only_outputs = all(tensors[name].shape[1:] == expected[name].shape[1:] for name in differing)
    layers = {name.rpartition(".")[0] for name in differing}
    return differing if only_outputs and len(layers) == 1 else []


def _has_imagenet_classes(tensor: Tensor, expected: Tensor) -> bool:
    return tensor.ndim > 0 and tensor.shape[0] == IMAGENET_CLASSES != expected.shape[0]


def initial_model(architecture: Architecture, classes: int, weights: str) -> tuple[nn.Module, InitialWeights]:
    """Builds the network that training starts from, and says what was loaded.

    Args:
        architecture: The architecture to build.
        classes: Number of classes.
        weights: "random", "pretrained", a safetensors file, or a directory with one of the architecture's name. If
            the file's classifier is for another number of classes, the network starts with a random one.

    Raises:
        UserError: The weights are not available. The message names a remedy.
    """
    if weights == "random":
        return architecture.build(classes), InitialWeights()
    if weights == "pretrained":
        if architecture.pretrained is None:
            raise UserError(f"no published weights of {architecture.name} can be loaded; give --weights FILE")
        try:
            return architecture.pretrained(classes), InitialWeights()
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from None
    model = architecture.build(classes)
    return model, load_weights(model, weights_file(architecture, weights), fresh_classifier=True)


def describe_initial_weights(architecture: Architecture, classes: int, path: Path) -> LoadReport:
    """Reports what a file of initial weights provides for an architecture, and what stays random.

    Args:
        architecture: The architecture.
        classes: Number of classes.
        path: The file.

    Raises:
        UserError: The file is not readable, or does not fit.
    """
    with torch.device("meta"):
        expected = architecture.build(classes).state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is not a readable safetensors file ({error}); save the weights again") from None
    if "mean" not in shapes and "mean" in expected:
        shapes = {f"body.{name}": shape for name, shape in shapes.items()}
    fitting = [name for name, shape in shapes.items() if name in expected and tuple(expected[name].shape) == shape]
    return report_loaded(path, fitting, list(expected))


def weights_file(architecture: Architecture, weights: str) -> Path:
    """Finds the safetensors file for an architecture.

    Raises:
        UserError: The file does not exist.
    """
    path = Path(weights)
    path = path / f"{architecture.name}.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"--weights: {path} does not exist; give a safetensors file or a directory of them")
    return path
