"""What the code of an entry may answer. Replies are bounded, typed, and hold only printable text."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

MAX_TEXT = 2000


def make_printable(text: str) -> str:
    """Drops characters that a terminal could act on: control characters, line breaks and marks of direction."""
    return "".join(char for char in text if char.isprintable())


Text = Annotated[str, AfterValidator(lambda text: make_printable(text)[:MAX_TEXT])]
"""One printable line, cut where it is too long."""


class Reply(BaseModel):
    """What every task answers. Numbers and texts are not turned into each other."""

    model_config = ConfigDict(extra="forbid", strict=True)


class EntryChecks(Reply):
    """The answer of :func:`benchmark.submission.checks.entry.run_entry_checks`."""

    problems: list[Text] = Field(max_length=200)
    warnings: list[Text] = Field(max_length=200)
    facts: "EntryMeasurements"


class EntryMeasurements(Reply):
    """What the checks of an entry measured. The metadata are validated on their own."""

    metadata: dict[Text, JsonValue] | None = Field(default=None, max_length=50)
    pretrained: bool | None = None
    parameters: int | None = Field(default=None, ge=0)
    grid: list[int] | None = Field(default=None, max_length=2)
    displacement: list[float] | None = Field(default=None, max_length=2)
    checkpoint: Text | None = None
    vanishing_gradients: float | None = Field(default=None, alias="vanishing gradients")


class Scores(Reply):
    """The answer of :func:`benchmark.submission.checks.rescore.rescore`.

    Attributes:
        scores: Rows of image, method, metric, level, rater, characteristic and value.
        predictions: Rows of image and probabilities.
        truth: Rows of image, label and group.
        attacks: Columns of the attacks, in the same order.
        environment: Versions and machine.
        key: The key of its settings. Empty if unknown.
    """

    scores: list[list[Text | float | None]] = Field(max_length=100_000)
    predictions: list[list[Text | float]] = Field(max_length=100_000)
    truth: list[list[Text | int]] = Field(max_length=100_000)
    attacks: dict[Text, list[float | None]] = Field(max_length=100)
    environment: dict[Text, JsonValue] = Field(max_length=100)
    key: Text = ""


class Conversion(Reply):
    """The answer of :func:`benchmark.submission.checkpoint_task.convert_checkpoint`."""

    matched: int = Field(ge=0)
    added: int = Field(ge=0)
    missing: list[Text] = Field(max_length=1000)
    surplus: list[Text] = Field(max_length=1000)
    prefix: Text
    num_classes: int | None = Field(ge=1, le=100_000)


class Description(Reply):
    """The answer of :func:`benchmark.submission.judge.tasks.describe_entry`.

    The metadata are validated on their own.
    """

    metadata: dict[Text, JsonValue] = Field(max_length=50)
    pretrained: bool


class TrainingHistory(Reply):
    """The answer of :func:`benchmark.submission.judge.tasks.train_network`."""

    losses: list[float] = Field(max_length=100_000)
    validation: list[float] = Field(max_length=100_000)
    best: int = Field(ge=0)
    micro_batch: int = Field(ge=0)
    stopped: bool
    seconds: float = Field(ge=0)
    loaded: int = Field(ge=0)
    random: tuple[Text, ...] = Field(max_length=100_000, strict=False)


class AxisPositions(Reply):
    """One direction of a grid."""

    first: float = Field(ge=-10_000, le=10_000)
    spacing: float = Field(gt=0, le=10_000)
    cells: int = Field(ge=1, le=10_000)
    pixels: int = Field(ge=1, le=100_000)


class Grid(Reply):
    """Both directions of a grid."""

    rows: AxisPositions
    columns: AxisPositions


class Positions(Reply):
    """The answer of :func:`benchmark.submission.judge.tasks.measure_geometry`."""

    geometry: Grid | None
    reason: Text


class Answers(Reply):
    """The answer of :func:`benchmark.submission.judge.service.serve_network`."""

    answers: int = Field(ge=0)
