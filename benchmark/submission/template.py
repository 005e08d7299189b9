"""The file that `new` writes: an entry that passes the checks as it stands."""

import re
from pathlib import Path

from benchmark.errors import UserError
from benchmark.storage.files import write_text
from benchmark.submission.checks.report import taken
from benchmark.submission.entries import NAME

TEMPLATE = '''"""NAME: say in one line what the network is.

An example to be changed: three convolutions. Check it whenever you like: python -m benchmark check NAME.py
"""

from torch import nn

from architectures import Architecture
from architectures.network import Network

# What the body was made for; it sees (image - MEAN) / STD.
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)


def build(classes: int) -> Network:
    """The network with random weights. Draw them by torch alone, and leave its seed to the harness."""
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
    # Network takes images (N, 3, H, W) in [0, 1] and normalizes them. A body that needs large images gets them
    # enlarged: Network(body, MEAN, STD, smallest_side=139).
    return Network(body, MEAN, STD)


CONSTANT = Architecture(
    name="NAME",  # also the name of this file
    build=build,
    pretrained=None,  # or a function of the number of classes that gives the network with published weights
    target_layer="body.8",  # what Grad-CAM reads: the last module with a spatial grid, which runs once
    input_size=224,  # px, what the network was designed for
    learning_rate=1e-3,  # peak of AdamW, from random weights
    quick_epochs=8,  # passes over the data in a run of minutes
    source="Who described it, year, arXiv number or DOI",
    authors="Who submits it",
    license="Apache-2.0",
    # Weights that you trained elsewhere are evaluated as they are, if you import Checkpoint from architectures and give
    # one here: the name of its file, which lies beside this one and was written by safetensors.torch.save_file; its
    # SHA-256; the classes in the order of the logits, named as in the data; the regime that you claim; what it was
    # trained on, never images of the test split; where the file can be had. docs/submitting.md shows one.
    # A new version is a new entry; the old one then says superseded_by="its name". One that shall no longer stand says
    # withdrawn="why". `python -m benchmark submit` marks its rows with it.
)
'''


def write_template(name: str, directory: Path) -> Path:
    """Writes an entry to begin with.

    Raises:
        UserError: The name cannot be one, is taken, or the file is there.
    """
    if not re.fullmatch(NAME, name):
        raise UserError(f"{name!r} cannot be a name; take lower case letters, digits and underscores")
    path = directory / f"{name}.py"
    if path.exists():
        raise UserError(f"{path} is there already; take another name or remove it")
    if name in taken(besides=path):
        raise UserError(f"{name} is taken; take another name")
    write_text(path, TEMPLATE.replace("NAME", name).replace("CONSTANT", name.upper()))
    return path


def timm_entry(timm_name: str, name: str | None, authors: str) -> tuple[str, str]:
    """Name and text of an entry file for a network of timm's.

    Raises:
        UserError: The name that follows from timm's cannot be one.
    """
    plain = timm_name.partition(".")[0]
    name = name or plain
    if not re.fullmatch(NAME, name) or not re.fullmatch(r"[A-Za-z0-9_.]+", timm_name):
        raise UserError(
            f"--timm {timm_name!r}: give a name of timm's, such as regnety_002, and --name where it differs"
        )
    fields = {
        "name": name,
        "timm": timm_name,
        "source": f"timm, {timm_name}",
        "authors": authors,
        "license": "Apache-2.0",
    }
    return name, "".join(f'{field} = "{text}"\n' for field, text in fields.items() if text)
