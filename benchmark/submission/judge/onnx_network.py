"""An ONNX file as a network. Runs in the box: see :mod:`benchmark.submission.sandbox.worker`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.phrases import format_count
from benchmark.submission.judge.service import answer_for
from benchmark.submission.onnx_file import NORMALIZATIONS

LAYER = "answers"
"""Name of its one layer that the judge can see."""
MAX_DEVIATION = 1e-3
"""Maximum difference between answers of an image in two batches, relative to the largest one. Kernels for other batch
sizes add in another order, which changes float32 by about 1e-6 per layer. BatchNorm in training mode changes more."""
SUM_TOLERANCE = 1e-3
"""Maximum deviation of the sum of probabilities from 1, in half precision."""
CHANNELS = 3


def serve_onnx(file: str, classes: int, side: int, *, normalization: str, answers: str, address: str) -> dict[str, int]:
    """Answers for the network of an ONNX file until the judge closes the connection.

    Args:
        file: The file.
        classes: Number of classes.
        side: Side of the images.
        normalization: What it expects of its input, one of :data:`benchmark.submission.onnx_file.NORMALIZATIONS`.
        answers: What it returns, one of :data:`benchmark.submission.onnx_file.ANSWERS`.
        address: Path of the socket of the judge.

    Returns:
        The number of answers.

    Raises:
        UserError: The file is damaged, or does not fit.
    """
    network = OnnxNetwork(Path(file), side, normalization, answers)
    check_answers(network, classes, side, answers)
    return answer_for(network, LAYER, torch.device("cpu"), address)


class OnnxNetwork(nn.Module):
    """The network of an ONNX file, on the CPU.

    Args:
        path: The file.
        side: Side of the images.
        normalization: What it expects of its input.
        answers: What it returns.

    Raises:
        UserError: The file is damaged, has weights in other files, or takes other inputs.
    """

    def __init__(self, path: Path, side: int, normalization: str, answers: str) -> None:
        super().__init__()
        self._session = _open(path)
        name, shape = _find_input(self._session)
        self._name, self._is_nhwc = name, shape[1] != CHANNELS
        self._is_single = shape[0] == 1
        _check_input(shape, side, is_nhwc=self._is_nhwc)
        mean, std = NORMALIZATIONS[normalization]
        self._mean, self._std = (torch.tensor(values)[:, None, None] for values in (mean, std))
        self._has_probabilities = answers == "probabilities"
        self.answers = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (N, C) of images (N, 3, H, W) in [0, 1]. The softmax of logarithms is the probabilities."""
        answers = self.run(images)
        if self._has_probabilities:
            answers = answers.clamp_min(torch.finfo(answers.dtype).tiny).log()
        answered: Tensor = self.answers(answers)
        return answered

    def run(self, images: Tensor) -> Tensor:
        """Returns what the file answers for images (N, 3, H, W) in [0, 1]."""
        pixels = (images - self._mean) / self._std
        pixels = pixels.permute(0, 2, 3, 1) if self._is_nhwc else pixels
        array = pixels.contiguous().numpy()
        parts = np.split(array, len(array)) if self._is_single else [array]
        return torch.from_numpy(np.concatenate([self._run(part) for part in parts]))

    def _run(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = self._session.run(None, {self._name: array})[0]
        return answer


def check_answers(network: OnnxNetwork, classes: int, side: int, answers: str) -> None:
    """Checks what a network answers for random images.

    Raises:
        UserError: It fails, has other classes, depends on the batch, or answers something else than is said.
    """
    images = torch.rand((3, CHANNELS, side, side), generator=torch.Generator().manual_seed(0))
    try:
        together, alone = network.run(images), torch.cat([network.run(image[None]) for image in images])
    except Exception as error:  # noqa: BLE001 - the runtime raises its own errors
        raise UserError(f"fails on an image of {side} px ({_first_line(error)}); export it again") from None
    if together.dtype != torch.float32 or together.shape != (3, classes):
        found = tuple(together.shape[1:])
        raise UserError(
            f"answers {together.dtype} of shape (N, {', '.join(map(str, found))}), the data has {classes} classes; "
            "export one float32 value per class"
        )
    if not bool(together.isfinite().all()):
        raise UserError("answers values that are not finite; is --normalization right?")
    if float((together - alone).abs().max()) > MAX_DEVIATION * float(together.abs().max()):
        raise UserError("answers differently in another batch or at another time; export it in evaluation mode")
    _check_kind(torch.cat([together, alone]), answers)


def _check_kind(values: Tensor, answers: str) -> None:
    """Checks whether values are probabilities, as the user says."""
    sums = values.sum(dim=1)
    look_so = bool((values >= 0).all() and ((sums - 1).abs() < SUM_TOLERANCE).all())
    if look_so and answers == "logits":
        raise UserError("answers values that add up to 1, as probabilities do; give --answers probabilities")
    if not look_so and answers == "probabilities":
        raise UserError("answers values that are no probabilities; give --answers logits")


def _open(path: Path) -> Any:
    """Opens a session of the runtime, once nothing in the file refers to another file."""
    import onnx  # noqa: PLC0415 - the packages are an extra
    import onnxruntime  # noqa: PLC0415

    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # noqa: BLE001 - the parser raises its own errors
        raise UserError(f"is damaged or no ONNX file ({_first_line(error)}); export it again") from None
    if any(_is_external(tensor) for tensor in _find_tensors(model, onnx.TensorProto)):
        raise UserError("has weights in other files; export it as one file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # its errors are exceptions, too
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime raises its own errors
        raise UserError(f"cannot be run ({_first_line(error)}); export it with standard operators") from None


def _is_external(tensor: Any) -> bool:
    return bool(tensor.data_location) or len(tensor.external_data) > 0


def _find_tensors(message: Any, kind: type) -> Iterator[Any]:
    """Yields all tensors of a protocol buffer: initializers, attributes, and those of subgraphs and functions."""
    if isinstance(message, kind):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from _find_tensors(part, kind)


def _find_input(session: Any) -> tuple[str, list[Any]]:
    """Returns name and shape of the input. A dimension of any size is not an integer."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        counts = format_count(len(inputs), "input"), format_count(len(outputs), "output")
        raise UserError(f"has {' and '.join(counts)}; export it with one of each")
    (only,) = inputs
    shape = list(only.shape)
    if only.type != "tensor(float)" or len(shape) != 4 or CHANNELS not in {shape[1], shape[3]}:
        raise UserError(
            f"has an input of {only.type} and shape {_describe(shape)}; export it for float32 images in color, "
            "(N, 3, H, W) or (N, H, W, 3)"
        )
    return only.name, shape


def _check_input(shape: Sequence[Any], side: int, *, is_nhwc: bool) -> None:
    sides = shape[1:3] if is_nhwc else shape[2:]
    if isinstance(shape[0], int) and shape[0] != 1:
        raise UserError(f"takes {shape[0]} images at a time; export it for 1 or any number")
    if any(isinstance(size, int) and size != side for size in sides):
        raise UserError(f"takes images of {_describe(sides)}, not of {side} px; score at its side with --image-size")


def _describe(shape: Sequence[Any]) -> str:
    return f"({', '.join(str(size) if isinstance(size, int) else 'any' for size in shape)})"


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
