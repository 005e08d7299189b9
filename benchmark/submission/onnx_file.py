"""ONNX files from elsewhere: what has to be said of them, and what is checked before anything reads them."""

from importlib.util import find_spec
from pathlib import Path

from benchmark.errors import UserError
from benchmark.registry import resolve_name

NORMALIZATIONS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "bytes": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "signed": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and standard deviation of what a network expects, for pixels in [0, 1]: values in [0, 255], ImageNet's
normalization, values in [-1, 1], or values in [0, 1]."""
ANSWERS = ("logits", "probabilities")
SUFFIX = ".onnx"
PACKAGES = ("onnx", "onnxruntime")
MAX_BYTES = 2**31 - 1
"""Maximum size of a file in bytes. A protocol buffer cannot be larger."""


def require_onnx(path: Path, normalization: str | None, answers: str | None) -> tuple[str, str]:
    """Requires the packages, a regular file of limited size, and what a file does not say of itself.

    Returns:
        What the network expects of its input, and what it answers.

    Raises:
        UserError: Something is missing. The message names a remedy.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(f"--onnx needs {missing[0]}; install it with `pip install {' '.join(PACKAGES)}` (extra 'onnx')")
    if not path.is_file():
        raise UserError(f"--onnx: {path} {'is no regular file' if path.exists() else 'does not exist'}; give a file")
    if path.suffix != SUFFIX:
        raise UserError(f"--onnx: {path} is no {SUFFIX} file; export the network, and name it so")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"--onnx: {path} is larger than 2 GB; an ONNX file in one piece has at most that")
    if normalization is None:
        kinds = ", ".join(NORMALIZATIONS)
        raise UserError(f"--onnx: say what its input expects with --normalization: {kinds} (docs/maps.md)")
    return (
        resolve_name(normalization, NORMALIZATIONS, "--normalization"),
        resolve_name(answers or ANSWERS[0], ANSWERS, "--answers"),
    )
