"""Converts a checkpoint of plain torch to safetensors. The file is read in the sandbox, and no pickled code runs."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import UserError
from benchmark.storage.files import atomic_file
from benchmark.storage.hashing import file_digest
from benchmark.submission.sandbox.client import Worker
from benchmark.submission.sandbox.limits import Limits
from benchmark.submission.sandbox.replies import Conversion

SUFFIXES = (".ckpt", ".pth", ".pt")
STATE_NAMES = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights", "module")
"""Where training scripts and Lightning put the state of a model in a larger dictionary."""
CONVERTED = "model.safetensors"
MAX_NAMED = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversionReport:
    """What was found in a checkpoint.

    Attributes:
        matched: Number of tensors that the network has.
        added: Number of tensors of the normalization that the network adds to the file.
        missing: Tensors of the network that the checkpoint lacks.
        surplus: Tensors of the checkpoint that the network lacks, or has in another shape.
        prefix: What was removed from the front of the names.
        num_classes: Number of classes of the classifier. None if the checkpoint has no classifier.
        sha256: SHA-256 of the written file.
    """

    matched: int
    added: int
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    prefix: str
    num_classes: int | None
    sha256: str


def convert(checkpoint: Path, architecture: str, output: Path, worker: Worker, limits: Limits) -> ConversionReport:
    """Converts a checkpoint and writes the tensors that the network has.

    Args:
        checkpoint: A file that `torch.save` wrote: a state dictionary, or a dictionary that holds one.
        architecture: Name of an architecture, or path of an entry file.
        output: The safetensors file to write.
        worker: Reads the file and builds the network.
        limits: Its limits.

    Raises:
        UserError: The file cannot be read without running code, or fits the network nowhere.
    """
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint} does not exist; give a file of {', '.join(SUFFIXES)}")
    if output.suffix != ".safetensors":
        raise UserError(f"--output {output}: the name must end in .safetensors")
    with tempfile.TemporaryDirectory(prefix="loupe-convert-") as scratch:
        is_file = architecture.endswith((".py", ".toml"))
        arguments = {
            "checkpoint": str(checkpoint.resolve()),
            "architecture": str(Path(architecture).resolve()) if is_file else architecture,
            "directory": scratch,
        }
        read = [checkpoint.resolve(), *([Path(architecture).resolve()] if is_file else [])]
        if not architecture.endswith(".py"):
            limits = replace(limits, trust=True)  # no code of a stranger
        outcome = worker.run(
            "convert_checkpoint", arguments, limits, Conversion, readable=read, writable=[Path(scratch)]
        )
        if outcome.result is None:
            raise UserError(f"{checkpoint}: {outcome.error}")
        with atomic_file(output) as temporary:
            shutil.copyfile(Path(scratch) / CONVERTED, temporary)
    found = outcome.result
    return ConversionReport(
        matched=found.matched,
        added=found.added,
        missing=tuple(found.missing),
        surplus=tuple(found.surplus),
        prefix=found.prefix,
        num_classes=found.num_classes,
        sha256=file_digest(output),
    )
