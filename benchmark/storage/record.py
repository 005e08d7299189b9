"""The schema of a result record."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.storage.files import write_text
from benchmark.storage.hashing import content_key
from benchmark.storage.upgrade import SCHEMA, upgrade_record

SEAL = "seal"
MAX_BYTES = 8 * 10**6
"""Maximum size of a record. The largest committed one has 24 KB."""
MAX_DEPTH = 16
"""Maximum depth of its JSON. That of a record is 5."""


class MetricDefinition(BaseModel):
    """The meaning of a column of scores, stored with the scores so that tables need no other code."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    higher_is_better: bool
    bounds: tuple[float, float] = Field(description='in JSON, no bound is "Infinity" or "-Infinity"')
    definition: str
    source: str
    heading: str = Field(default="", description="heading of its column; the default is the name")
    agreement: bool = Field(
        default=False, description="whether its ranking of the models is compared with other scores"
    )


class Training(BaseModel):
    """How a model was trained.

    `best` is the epoch, from 1, whose weights are the result. `micro_batch` is less than a batch where memory ran out.
    `seconds` is the time of the training itself, whenever it was. `loaded` is the number of tensors that came from a
    file of initial weights, and `random` lists the parameters that did not. Older trainings lack these three.
    """

    model_config = ConfigDict(extra="forbid")

    sha256: str
    losses: list[float]
    validation: list[float]
    best: int
    micro_batch: int
    stopped: bool
    seconds: float | None = None
    loaded: int | None = None
    random: tuple[str, ...] = ()


class Stage(BaseModel):
    """An earlier training whose model initializes the next one: its data, regime and number of training images."""

    model_config = ConfigDict(extra="forbid")

    dataset: str
    regime: str
    train: int


class Provenance(BaseModel):
    """What was done, as opposed to what the preset says.

    `weights` says what the first stage started from: "random", "pretrained" for published weights with a new
    classifier, or the name of a file, whose SHA-256 is `weights_sha256`. `stages` are the earlier trainings, in their
    order. `split` is one of "official", "not the official one", "drawn" and "given". `near_duplicates` is the number of
    test images that look like images of a training or validation set; None if nobody looked. `options` are those of the
    command that select data, split and device.
    """

    model_config = ConfigDict(extra="forbid")

    weights: str
    weights_sha256: str = ""
    stages: tuple[Stage, ...] = ()
    split: str = ""
    near_duplicates: int | None = None
    options: tuple[str, ...] = ()


class Submission(BaseModel):
    """The external entry of a record.

    `entry` is the name of its file and `sha256` the hash of its content. `checkpoint` is empty if Loupe trained
    the model. `unconfined` says that its code ran without a box, which `--trust` allows where there is none.
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
    unconfined: bool = False


class Verification(BaseModel):
    """The scores of some test images, computed again from the checkpoint.

    `scores` maps each metric to the reported mean over these images, the verified mean, and the tolerance. `record`
    is the name of the record's file, `when` the time in UTC, `version` that of Loupe, and `finds` says which forgeries
    these images find.
    """

    model_config = ConfigDict(extra="forbid")

    images: tuple[str, ...]
    scores: dict[str, tuple[float, float, float]]
    environment: dict[str, Any]
    record: str = ""
    when: str = ""
    version: str = ""
    finds: str = ""


class ExternalMaps(BaseModel):
    """The maps of a record that were made elsewhere. Nothing is known of their model but what its owner says.

    `method` is the name that the owner gives the saliency method. `sha256` is that of the maps as they were scored.
    `sizes` counts the maps by their original size. `predictions` says what is known of the classification: "none",
    "classes" or "probabilities". `explained` says whose map is scored where a file names classes: "predicted" or "".
    `network` and `checkpoint` are the architecture, or the name of its file, and the SHA-256 of the weights that
    answered when pixels were inserted and deleted. They are empty without such a network. `normalization` and `answers`
    are what an ONNX file expects and returns, and empty for other networks.
    """

    model_config = ConfigDict(extra="forbid")

    method: str
    source: str
    sha256: str
    predictions: Literal["none", "classes", "probabilities"]
    explained: str = ""
    negative: str = ""
    sizes: dict[str, int]
    missing: int = 0
    surplus: int = 0
    not_finite: int = 0
    constant: int = 0
    network: str = ""
    checkpoint: str = ""
    normalization: str = ""
    answers: str = ""


class Alignment(BaseModel):
    """The placement of maps of the target layer's grid on the image. Pairs are (rows, columns) in pixels.

    `method` is "receptive-field" if cells are at their true centers, and "none" if the grid is stretched over the
    image. `first` is the first center and `spacing` the distance between centers. `displacement` is the mean shift,
    down and right, that stretching causes. It is corrected unless `method` is "none". `reason` says why an
    alignment is missing.
    """

    model_config = ConfigDict(extra="forbid")

    method: str
    grid: tuple[int, int] | None = None
    first: tuple[float, float] | None = None
    spacing: tuple[float, float] | None = None
    displacement: tuple[float, float] | None = None
    reason: str = ""

    @property
    def outer_offset(self) -> tuple[float, float] | None:
        """The largest distance, in pixels, at which stretching shows a cell of the first or last row or column.

        It equals the displacement, without its sign, where stretching has the right scale. Networks with valid padding
        have a grid that covers less than the image, so their outer cells are further off.

        Example:
            >>> at_96_px = {"grid": (3, 3), "first": (25.4, 25.4), "spacing": (22.1, 22.1), "displacement": (0.0, 0.0)}
            >>> [round(pixels, 2) for pixels in Alignment(method="none", **at_96_px).outer_offset]
            [9.9, 9.9]
        """
        if not (self.grid and self.first and self.spacing and self.displacement):
            return None
        axes = zip(self.grid, self.first, self.spacing, self.displacement, strict=True)
        down, right = (_outer_offset(*axis) for axis in axes)
        return down, right


def _outer_offset(cells: int, first: float, spacing: float, displacement: float) -> float:
    # A stretched grid is centered on the image. So the center of the image is at displacement + mean center.
    center = displacement + first + spacing * (cells - 1) / 2
    stretched_spacing = (2 * center + 1) / cells
    return abs(displacement) + abs(stretched_spacing - spacing) * (cells - 1) / 2


class Record(BaseModel):
    """One cell: its settings, data and environment, and a summary of the results.

    The per-image scores and predictions are in Parquet files of the same name.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA
    key: str = Field(description="hash of the data, the settings and the code of the entries")
    protocol: str = Field(description="equal for records that may share a table")
    dataset: str
    synthetic: bool
    preset: str
    architecture: str
    regime: str
    regime_title: str = ""
    adversarial: bool
    seed: int
    variant: str = Field(default="", description="label given by --name, for a run with other training settings")
    identity: str = Field(default="", description="hash of data and settings, in the name of its file")
    classes: tuple[str, ...]
    images: dict[str, int] = Field(description="available, train, validation, test, left_out, perturbed, attacked")
    settings: dict[str, Any]
    metrics: dict[str, MetricDefinition]
    methods: tuple[str, ...]
    alignment: Alignment | None = Field(default=None, description="missing in records of older versions")
    training: Training
    provenance: Provenance | None = Field(default=None, description="missing in records of older versions")
    parameters: int
    seconds: dict[str, float]
    environment: dict[str, Any]
    classification: dict[str, float | None] = Field(description="point estimates; classification.csv has the intervals")
    summary: dict[str, Any]
    files: dict[str, str] = Field(default_factory=dict, description="SHA-256 of the other files of the cell, by name")
    submission: Submission | None = None
    external_maps: ExternalMaps | None = Field(default=None, description="maps made elsewhere")
    badge: Literal["self-reported", "verified", "maps only"] = "self-reported"
    verification: Verification | None = None

    @property
    def training_name(self) -> str:
        """The regime, with the label of the variant if there is one: its row in a table."""
        return f"{self.regime}+{self.variant}" if self.variant else self.regime


def load_record(path: Path) -> Record:
    """Reads a record from its file, and upgrades records of an older schema.

    Raises:
        ValueError: The file is not a record.
    """
    payload = _parse(path)
    if isinstance(payload, dict) and (seal := payload.pop(SEAL, None)) not in {None, content_key(payload)}:
        raise ValueError(f"{path} does not match its seal {seal}; it was changed or damaged")
    try:
        return Record.model_validate(upgrade_record(payload) if isinstance(payload, dict) else payload)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a record ({error})") from None


def write_record(path: Path, record: Record) -> None:
    """Writes a record with a seal, a hash of its content, which shows a damaged file."""
    payload = json.loads(record.model_dump_json())
    write_text(path, json.dumps({**payload, SEAL: content_key(payload)}, indent=1, ensure_ascii=False) + "\n")


def _parse(path: Path) -> Any:
    """Parses a regular file of limited size and depth.

    Raises:
        ValueError: It is none.
    """
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is not a regular file of at most {MAX_BYTES // 10**6} MB")
    try:
        content = json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    if _is_deep(content):
        raise ValueError(f"{path} is nested deeper than {MAX_DEPTH} levels")
    return content


def _is_deep(content: Any) -> bool:
    """Returns whether parsed JSON is nested deeper than a record. It goes level by level, since it may be deep."""
    level = [content]
    for _ in range(MAX_DEPTH):
        parents = [value for value in level if isinstance(value, dict | list)]
        level = [child for value in parents for child in (value.values() if isinstance(value, dict) else value)]
    return bool(level)
