"""Where and how precisely to compute."""

import ctypes
from contextlib import suppress

import torch

from benchmark.errors import UserError

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of the options of mallopt, from glibc's malloc.h."""
MEBIBYTE = 2**20


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


def max_batch_size(images: torch.Tensor) -> int:
    """How many images, of the size and on the device of these (N, C, H, W), a forward pass had best take at once.

    On a CPU what a layer puts out should stay in the caches: forwards of 64 images of 96 px took 1.03 to 1.28 times as
    long, image by image, as those of 28, and of 32 images of 224 px 1.3 to 1.5 times as long as those of 8 (ResNet-50,
    MobileNet, DenseNet121, Xception, VGG16).
    """
    pixels = 2**18 if images.device.type == "cpu" else 2**22
    return max(pixels // images[0, 0].numel(), 1)


def fits_in_memory(device: torch.device, size: int) -> bool:
    """Whether data of so many bytes takes at most half of the memory that is free there: training needs the rest."""
    return device.type != "cuda" or 2 * size <= torch.cuda.mem_get_info(device)[0]


def prefers_bfloat16(device: torch.device) -> bool:
    """Whether training in bfloat16 is faster than in float32.

    On a CPU it is with matrix units (AMX). The vector instructions (AVX-512 BF16) that others have gain less than the
    conversions cost: a training step of seven of our networks at 96 px took 1.14 to 1.5 times as long.
    """
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported()  # noqa: SLF001 - the only way to ask
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def nearest_device(device: torch.device) -> torch.device:
    """The device itself, or the CPU where this machine lacks it, such as one that only hands out work."""
    return torch.device("cpu") if device.type == "cuda" and not torch.cuda.is_available() else device


def use_exact_arithmetic() -> None:
    """Full float32 products and repeatable kernels: the same seed gives the same bytes on the CPU."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def retain_freed_memory() -> None:
    """Has the C library keep up to half a GiB of freed memory, and lend it again, instead of giving it back at once.

    A step of training frees and takes the same hundred MiB again, and every page that comes from the system anew costs
    a fault. At 96 px on two cores, training took 17 % less time for MobileNet and 5 % less for DenseNet121, scoring
    8 to 9 % less; the highest memory and the trained weights stayed the same. (Huge pages by THP_MEM_ALLOC_ENABLE made
    both slower.) C libraries other than glibc are left as they are.
    """
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, 1024 * MEBIBYTE)
        mallopt(TRIM_THRESHOLD, 512 * MEBIBYTE)
