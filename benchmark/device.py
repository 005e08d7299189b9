"""Where and how precisely to compute."""

import torch

from benchmark.errors import UserError


def choose_device(name: str | None) -> torch.device:
    """The device of that name, or the GPU if there is one, else the CPU.

    Raises:
        UserError: There is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"--device {name}: there is no such device here; try --device cpu") from None
    return device


def bfloat16_pays(device: torch.device) -> bool:
    """Whether the hardware itself computes in bfloat16; where it is emulated, training in it is far slower."""
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - the only way to ask oneDNN
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def use_exact_arithmetic() -> None:
    """Full float32 products and repeatable kernels: the same seed gives the same bytes on the CPU."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
