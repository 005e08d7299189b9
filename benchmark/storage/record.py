"""The schema of what a cell leaves behind."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.storage.upgrade import SCHEMA, upgrade_record


class MetricDefinition(BaseModel):
    """What a column of scores means, kept with the scores so that tables need no other code."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    higher_is_better: bool
    bounds: tuple[float, float] = Field(description='in JSON, no bound is "Infinity" or "-Infinity"')
    definition: str
    source: str
    heading: str = Field(default="", description="of its column; without one the name")
    agreement: bool = Field(default=False, description="whether its order of the models is set against other scores")


class Training(BaseModel):
    """How a model was trained.

    `best` is the epoch, from 1, whose weights were kept; `micro_batch` is less than a batch where memory ran out.
    """

    model_config = ConfigDict(extra="forbid")

    sha256: str
    losses: list[float]
    validation: list[float]
    best: int
    micro_batch: int
    stopped: bool


class Submission(BaseModel):
    """The entry from outside that a record belongs to.

    `entry` is the name of its file, `sha256` that of its content; `checkpoint` is empty where Loupe did the training.
    """

    model_config = ConfigDict(extra="forbid")

    entry: str
    sha256: str
    authors: str = ""
    license: str = ""
    source: str = ""
    checkpoint: dict[str, Any] = Field(default_factory=dict)
    superseded_by: str = ""
    withdrawn: str = ""


class Verification(BaseModel):
    """What came out when some of the test images were scored again, from the checkpoint.

    `scores` has for each metric the mean over these images as reported, as scored again, and how far they may differ.
    """

    model_config = ConfigDict(extra="forbid")

    images: tuple[str, ...]
    scores: dict[str, tuple[float, float, float]]
    environment: dict[str, Any]


class Alignment(BaseModel):
    """How maps of the saliency layer's grid were placed on the image; pairs are of rows and columns, in pixels.

    `method` is "receptive-field" where cells lie at their true centers, which begin at `first` and lie `spacing` apart,
    and "none" where the grid was stretched over the image. `displacement` is how far too far down and right stretching
    shows the cells, on average: what was corrected or, with "none", was not. `reason` says why nothing is known.
    """

    model_config = ConfigDict(extra="forbid")

    method: str
    grid: tuple[int, int] | None = None
    first: tuple[float, float] | None = None
    spacing: tuple[float, float] | None = None
    displacement: tuple[float, float] | None = None
    reason: str = ""


class Record(BaseModel):
    """One cell: what was asked, on what, with what, and a summary of what came out.

    The per-image scores and predictions lie beside it in Parquet files of the same name.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA
    key: str = Field(description="stands for the data, the settings and the code of the entries")
    protocol: str = Field(description="equal for records that may stand in one table")
    dataset: str
    synthetic: bool
    preset: str
    architecture: str
    regime: str
    regime_title: str = ""
    adversarial: bool
    seed: int
    classes: tuple[str, ...]
    images: dict[str, int] = Field(description="available, train, validation, test, left_out, perturbed, attacked")
    settings: dict[str, Any]
    metrics: dict[str, MetricDefinition]
    methods: tuple[str, ...]
    alignment: Alignment | None = Field(default=None, description="absent from records of before there was any")
    training: Training
    parameters: int
    seconds: dict[str, float]
    environment: dict[str, Any]
    classification: dict[str, float | None] = Field(description="point estimates; classification.csv has the intervals")
    summary: dict[str, Any]
    files: dict[str, str] = Field(default_factory=dict, description="SHA-256 of what lies beside it, by ending")
    submission: Submission | None = None
    badge: Literal["self-reported", "verified"] = "self-reported"
    verification: Verification | None = None


def load_record(path: Path) -> Record:
    """A record from its file; records of an older schema are read as if they were of this one.

    Raises:
        ValueError: The file is no record.
    """
    told = json.loads(path.read_bytes())
    try:
        return Record.model_validate(upgrade_record(told) if isinstance(told, dict) else told)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no record ({error})") from None
