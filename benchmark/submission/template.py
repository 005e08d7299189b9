"""Entry files to start from: what `new` writes passes the checks unchanged."""

import json
import re
from pathlib import Path

from architectures import Architecture
from architectures.network import HUB
from benchmark.errors import UserError
from benchmark.registry import entries
from benchmark.storage.files import write_text
from benchmark.submission.checks.report import used_names
from benchmark.submission.entries import NAME, TIMM_NAME

TEMPLATE = '''"""NAME: describe the network in one line.

An example to change: three convolutions. Check it at any time: python -m benchmark check NAME.py
"""

from torch import nn

from architectures import Architecture
from architectures.network import Network

# The normalization that the body expects: its input is (image - MEAN) / STD.
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)


def build(classes: int) -> Network:
    """Returns the network with random weights. Draw them with torch alone, and do not set its seed."""
    body = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, classes),  # logits: no softmax
    )
    # Network takes images (N, 3, H, W) in [0, 1] and normalizes them. If the body needs large images, let Network
    # enlarge them: Network(body, MEAN, STD, smallest_side=139).
    return Network(body, MEAN, STD)


CONSTANT = Architecture(
    name="NAME",  # also the name of this file
    build=build,
    pretrained=None,  # or a function of the number of classes that returns the network with published weights
    target_layer="body.8",  # layer for Grad-CAM: the last module with a spatial grid; it must run once per call
    input_size=224,  # px, the size that the network was designed for
    learning_rate=1e-3,  # maximum learning rate of AdamW, from random weights
    quick_epochs=8,  # epochs of the preset quick, a run of minutes
    source="Who described it, year, arXiv number or DOI",
    authors="Who submits it",
    license="Apache-2.0",
    # To evaluate weights that you trained elsewhere, import Checkpoint from architectures and set checkpoint= here.
    # It names the file, which is next to this one and was written by safetensors.torch.save_file. It also names its
    # SHA-256, the classes in the order of the logits (named as in the data), the regime, the training data (never
    # images of the test split), and where the file is published. docs/submitting.md has an example.
    # A new version is a new entry. The old one then sets superseded_by="its name". To withdraw an entry, set
    # withdrawn="why". `python -m benchmark submit` then marks its rows.
)
'''


def write_template(name: str, directory: Path) -> Path:
    """Writes an entry to start from.

    Raises:
        UserError: The name is invalid or in use, or the file exists.
    """
    if not re.fullmatch(NAME, name):
        raise UserError(f"{name!r} cannot be a name; use lower case letters, digits and underscores")
    path = directory / f"{name}.py"
    if path.exists():
        raise UserError(f"{path} already exists; choose another name or remove it")
    if name in used_names(besides=path):
        raise UserError(f"{name} is in use; choose another name")
    write_text(path, TEMPLATE.replace("NAME", name).replace("CONSTANT", name.upper()))
    return path


def timm_entry(timm_name: str, name: str | None, authors: str) -> tuple[str, str]:
    """Returns name and text of an entry file for a timm model.

    Raises:
        UserError: The name of the model or of the entry is invalid.
    """
    default = timm_name.rpartition("/")[2] if timm_name.startswith(HUB) else timm_name.partition(".")[0]
    name = name or re.sub(r"[^a-z0-9_]", "_", default.lower())
    if not re.fullmatch(NAME, name) or not re.fullmatch(TIMM_NAME, timm_name):
        raise UserError(
            f"--timm {timm_name!r}: not a valid name; give one such as regnety_002, and --name for the entry"
        )
    if name in entries(Architecture):
        raise UserError(f"--timm {timm_name}: an architecture of Loupe is named {name}; give another name by --name")
    fields = {
        "name": name,
        "timm": timm_name,
        "source": f"timm, {timm_name}",
        "authors": authors,
        "license": "Apache-2.0",
    }
    # A string of JSON is one of TOML.
    lines = [f"{field} = {json.dumps(text, ensure_ascii=False)}\n" for field, text in fields.items() if text]
    return name, "".join(lines)
