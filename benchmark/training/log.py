"""Training curves for TensorBoard."""

from importlib.util import find_spec
from pathlib import Path

from benchmark.errors import UserError
from benchmark.training.loop import Report
from benchmark.training.state import History

KINDS = ("tensorboard",)


def check_log(kind: str) -> None:
    """Checks that a log of this kind can be written.

    Raises:
        UserError: The kind is unknown, or its package is not installed.
    """
    if kind not in KINDS:
        raise UserError(f"--log {kind}: unknown; give --log {' or '.join(KINDS)}")
    if find_spec("tensorboard") is None:
        raise UserError("--log tensorboard: it is not installed; pip install tensorboard")


def epoch_log(kind: str | None, directory: Path) -> Report:
    """Returns a callback that writes the last epoch's losses. Without a kind it does nothing.

    Each call opens and closes the file. A killed run loses nothing, and a resumed one appends.
    """
    if kind is None:
        return lambda _done, _history: None

    def write(done: int, history: History) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - takes seconds, and few runs use it

        with SummaryWriter(str(directory)) as writer:
            writer.add_scalar("loss/train", history.losses[-1], done)
            if history.validation:
                writer.add_scalar("loss/validation", history.validation[-1], done)

    return write
