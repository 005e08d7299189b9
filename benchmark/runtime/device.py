"""The device and the precision of computations."""

import ctypes
import gc
from contextlib import suppress

import torch

from benchmark.errors import UserError

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Option numbers of mallopt, from glibc's malloc.h."""
MEBIBYTE = 2**20


def choose_device(name: str | None) -> torch.device:
    """Returns the device of that name. The default is the GPU if there is one, else the CPU.

    Raises:
        UserError: There is no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"--device {name}: there is no such device here; try --device cpu") from None
    return device


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory is short. The CPU's allocator of torch raises a plain RuntimeError."""
    texts = ("DefaultCPUAllocator", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in texts)


def max_batch_size(images: torch.Tensor) -> int:
    """Returns the best batch size of a forward pass for images (N, C, H, W) of this size on this device.

    On a CPU the activations should fit into the caches. Per image, forward passes of 64 images of 96 px took 1.03 to
    1.28 times as long as those of 28. Those of 32 images of 224 px took 1.3 to 1.5 times as long as those of 8
    (ResNet-50, MobileNet, DenseNet121, Xception, VGG16).
    """
    pixels = 2**18 if images.device.type == "cpu" else 2**22
    return max(pixels // images[0, 0].numel(), 1)


def fits_in_memory(device: torch.device, size: int) -> bool:
    """Whether data of this size in bytes takes at most half of the free memory. Training needs the rest."""
    return device.type != "cuda" or 2 * size <= torch.cuda.mem_get_info(device)[0]


def prefers_bfloat16(device: torch.device) -> bool:
    """Whether training in bfloat16 is faster than in float32.

    A CPU needs matrix units (AMX). The vector instructions of other CPUs (AVX-512 BF16) gain less than the conversions
    cost: a training step of seven of our networks at 96 px took 1.14 to 1.5 times as long.
    """
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported()  # noqa: SLF001 - there is no public function
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def nearest_device(device: torch.device) -> torch.device:
    """Returns the device itself, or the CPU where this machine lacks it, such as a driver of a cluster."""
    return torch.device("cpu") if device.type == "cuda" and not torch.cuda.is_available() else device


def use_exact_arithmetic() -> None:
    """Sets full float32 precision and deterministic kernels: the same seed yields the same bytes on the CPU."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def retain_freed_memory() -> None:
    """Makes the C library retain up to half a GiB of freed memory for reuse, instead of returning it to the system.

    A training step frees and allocates the same hundred MiB again, and every new page from the system costs a fault.
    At 96 px on two cores, training took 17 % less time for MobileNet and 5 % less for DenseNet121. Scoring took 8 to
    9 % less. Peak memory and trained weights did not change. (Huge pages by THP_MEM_ALLOC_ENABLE made both slower.)
    Blocks of 256 MiB and more, such as those of the first dense layer of VGG16, return to the system at once. Retained,
    they fragment: smaller blocks fill a part of a hole, and the next large block needs new pages.
    Does nothing for C libraries other than glibc.
    """
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, 256 * MEBIBYTE)
        mallopt(TRIM_THRESHOLD, 512 * MEBIBYTE)


def return_freed_memory() -> None:
    """Returns freed memory to the system, also that between memory in use.

    Blocks of changing sizes leave gaps, which add up: 0.3 MiB for each map of 224 px that is scored. Does nothing for
    C libraries other than glibc.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def release_memory() -> None:
    """Frees the memory of a finished training: its optimizer, gradients and weights.

    A schedule wraps a method of its optimizer, so the two refer to each other. Without this call, they would remain
    until Python looks for such cycles, while the model is scored or the next one is trained. The free memory returns to
    the system, since the next network has blocks of other sizes.
    """
    gc.collect()
    return_freed_memory()
