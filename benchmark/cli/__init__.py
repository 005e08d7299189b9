"""The commands, one per file. Only the commands that need torch and similar packages import them."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.runtime.terminal import Terminal

console = Terminal()

DATA = "Data"
MODELS = "Models and training"
SCORING = "Maps and scores"
EXECUTION = "Where it runs"
OUTPUT = "Output"

MAX_SEED = 2**32 - 1
"""Largest seed of NumPy's and torch's generators alike."""
MAX_COUNT = 10**6
"""Largest number of epochs or of images per step. More is a slip of the finger."""

Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON for programs.", rich_help_panel=OUTPUT)]
DataDirectory = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIRECTORY", help="A data set. Default: the embedded synthetic one.", rich_help_panel=DATA
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(help="Layout of the data set. Default: detected from its files.", rich_help_panel=DATA),
]
ImageDirectory = Annotated[
    Path | None,
    typer.Option(
        "--image-dir",
        metavar="DIRECTORY",
        help="Images of a data set without images, matched by name.",
        rich_help_panel=DATA,
    ),
]
Attributes = Annotated[
    Path | None,
    typer.Option(
        "--attributes",
        metavar="FILE",
        help="CSV with the column image and attributes of the images, such as age or skin tone.",
        rich_help_panel=DATA,
    ),
]
SplitGroups = Annotated[
    bool,
    typer.Option(
        "--allow-split-groups",
        metavar="",
        help="Accept a split that divides the images of a patient or lesion.",
        rich_help_panel=DATA,
    ),
]
Pseudonyms = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Publish pseudonyms in place of the names of images, groups and raters. The file has their key, and is "
        "made if it is missing.",
        rich_help_panel=DATA,
    ),
]
Split = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="CSV with the columns image,split, such as split.csv of another run.", rich_help_panel=DATA
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", help="Maximum number of images to use. 0 means all.", min=0, rich_help_panel=DATA),
]
Entries = Annotated[
    Path | None,
    typer.Option(metavar="DIRECTORY", help="Directory of entries. Default: `entries/`.", rich_help_panel=MODELS),
]
Regimes = Annotated[list[str] | None, typer.Option("--regime", help="Only these. Repeatable.", rich_help_panel=MODELS)]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", help="Only these. Repeatable.", min=0, max=MAX_SEED, rich_help_panel=MODELS),
]
Epochs = Annotated[
    int | None,
    typer.Option(help="Passes over the training images.", min=1, max=MAX_COUNT, rich_help_panel=MODELS),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="Initial weights: random, pretrained, a safetensors file, or a directory of them.", rich_help_panel=MODELS
    ),
]
Aggregation = Annotated[
    str | None,
    typer.Option(help="How the masks of several raters become one, see `list aggregations`.", rich_help_panel=DATA),
]
ImageSize = Annotated[
    int | None,
    typer.Option("--image-size", help="Side of images and maps in pixels.", min=96, max=4096, rich_help_panel=MODELS),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", help="Images per training step.", min=2, max=MAX_COUNT, rich_help_panel=MODELS),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="Saliency methods. The first one is that of the main table. Repeatable.",
        rich_help_panel=SCORING,
    ),
]
Alignment = Annotated[
    str | None,
    typer.Option(
        help="receptive-field: place grid cells at the centers of their receptive fields. "
        "effective-receptive-field: the same by the trained kernels. none: stretch the grid.",
        rich_help_panel=SCORING,
    ),
]
GridStride = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS",
        help="CAM methods read the last block with a grid of this stride, such as 16. Default: the target layer of "
        "each architecture, usually 32.",
        rich_help_panel=SCORING,
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="Expensive metrics to add: names, `all`, or quantus:NAME. Repeatable.",
        rich_help_panel=SCORING,
    ),
]
Eps = Annotated[
    list[float] | None,
    typer.Option("--eps", help="L2 budget of the robustness attacks at 224 px. Repeatable.", rich_help_panel=SCORING),
]
Autoattack = Annotated[
    bool,
    typer.Option(
        "--autoattack", metavar="", help="Also run AutoAttack. Needs its authors' package.", rich_help_panel=SCORING
    ),
]
Device = Annotated[
    str | None, typer.Option(help="cpu or cuda. Default: the GPU if there is one.", rich_help_panel=EXECUTION)
]
MaxMemory = Annotated[
    float,
    typer.Option("--max-memory", help="Memory limit of an entry, in GB.", min=0.1, rich_help_panel=EXECUTION),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        metavar="",
        help="Run the Python of an entry even where this system cannot confine it.",
        rich_help_panel=EXECUTION,
    ),
]
