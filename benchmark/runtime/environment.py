"""The environment of a result: code, packages and hardware."""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from typing import Any

import torch

from benchmark.storage.paths import ROOT

CODE_VARIABLE = "LOUPE_CODE"
"""Environment variable with the driver's :func:`code_state`, for workers without a git checkout."""
PACKAGES = ("torch", "torchvision", "timm", "numpy", "pandas", "scikit-image")


def environment(device: torch.device) -> dict[str, Any]:
    """Collects versions, hardware and the state of the code."""
    return {
        **code_state(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        **hardware(device.type),
    }


def hardware(device: str) -> dict[str, Any]:
    """Collects what times depend on, for a type of device. The accelerator is that of the current device."""
    has_accelerator = device == "cuda" and torch.cuda.is_available()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device,
        "accelerator": torch.cuda.get_device_name() if has_accelerator else None,
    }


def code_state() -> dict[str, Any]:
    """Returns the commit, and whether the code differs from it."""
    if CODE_VARIABLE in os.environ:
        state: dict[str, Any] = json.loads(os.environ[CODE_VARIABLE])
        return state
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no", "--", "*.py")),
    }


def _git(*words: str) -> str:
    try:
        result = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)  # noqa: S603, S607 - fixed words, the user's own git
    except OSError:
        return ""
    return result.stdout.strip()


def _processor() -> str:
    """Returns the name of the processor, if the system provides it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a system path, not ours
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
