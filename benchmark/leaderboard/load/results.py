"""Reads a results directory: its records, and the test images that all rows share."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import UserError
from benchmark.leaderboard.admission.admit import admit, refusals
from benchmark.leaderboard.load.cells import cell_statistics
from benchmark.leaderboard.load.predictions import read_predictions
from benchmark.leaderboard.load.rows import Model, group_by_model, group_by_name, model_name
from benchmark.leaderboard.load.scores import ScoreReader
from benchmark.scoring.classification import positive_class
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import Resampling, resampling
from benchmark.storage.protocol import read_protocol
from benchmark.storage.record import Record
from benchmark.storage.results import PROTOCOL_FILE, sidecar_file


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultsDirectory:
    """The records of a results directory.

    Attributes:
        directory: The directory.
        protocol: Protocol of the latest run. A table has records of one protocol only.
        records: Records of that protocol, those of runs first and maps from elsewhere last.
        problems: One line for each unusable record.
        others: Records of other protocols, those of runs first.
        names: The model of each record, where rows of several tables are joined. Empty groups the records by model.
        models: Paths of the records of each model of that protocol.
    """

    directory: Path
    protocol: str
    records: dict[Path, Record]
    problems: tuple[str, ...]
    others: dict[Path, Record] = field(default_factory=dict)
    names: dict[Path, Model] = field(default_factory=dict)
    models: dict[Model, list[Path]] = field(init=False)

    def __post_init__(self) -> None:
        """Groups the records."""
        models = group_by_name(self.names) if self.names else group_by_model(self.records)
        object.__setattr__(self, "models", models)


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapContext:
    """Test images and bootstrap draws that all rows of a results directory share.

    Attributes:
        images: Names of the test images.
        draws: Draws of the bootstrap.
        positive: The positive class of two classes; empty for more classes.
    """

    images: list[str]
    draws: Resampling
    positive: str


def read_results(directory: Path) -> ResultsDirectory:
    """Reads the records of a results directory.

    Raises:
        UserError: No record of the latest protocol is usable.
    """
    if not (directory / PROTOCOL_FILE).is_file():
        raise UserError(f"{directory} holds no results; make some with `python -m benchmark run`")
    if "protocol" not in (marker := read_protocol(directory)):
        raise UserError(f"{directory / PROTOCOL_FILE} is damaged; run `python -m benchmark run` again")
    protocol = marker["protocol"]
    admission = admit(directory)
    every = admission.records.items()
    records = {path: record for path, record in every if record.protocol == protocol}
    others = {path: record for path, record in every if record.protocol != protocol}
    problems = refusals(admission.refused)
    if not records:
        reason = f" ({problems[0]})" if problems else ""
        raise UserError(f"{directory} holds no record that can be used{reason}; run `python -m benchmark run` again")
    # The first record names the settings and methods of the tables, which maps from elsewhere do not have.
    records = dict(sorted(records.items(), key=lambda item: item[1].external_maps is not None))
    return ResultsDirectory(directory=directory, protocol=protocol, records=records, problems=problems, others=others)


def build_bootstrap_context(published: ResultsDirectory) -> BootstrapContext:
    """Builds the context of the bootstrap from the test images of the first readable record.

    Raises:
        UserError: No record is readable.
    """
    for path, record in published.records.items():
        try:
            # Sorted, so that results do not depend on the order in a file.
            first = read_predictions(sidecar_file(path, "predictions.parquet")).sort_values("image")
        except ValueError:
            continue
        positive = record.classes[positive_class(first["label"].to_numpy())] if len(record.classes) == 2 else ""
        return BootstrapContext(images=list(first["image"]), draws=resampling(list(first["group"])), positive=positive)
    raise UserError(f"{published.directory} holds no record that can be used; run `python -m benchmark run` again")


def load_ratio_statistics(
    published: ResultsDirectory, method: str, label: str, context: BootstrapContext
) -> dict[str, list[RatioStatistic]]:
    """Loads the statistics of one model by column and seed, the same as those of its row in the table.

    Args:
        published: The records.
        method: The saliency method.
        label: The model, as `architecture/regime`, with the label of a variant if there is one.
        context: Test images of the directory.

    Raises:
        ValueError: A file of the model is damaged.
    """
    statistics: dict[str, list[RatioStatistic]] = defaultdict(list)
    reader = ScoreReader(context.images, [method])
    paths = {model_name(model): paths for model, paths in published.models.items()}
    for path in paths.get(label, ()):
        for (_, name), ratios in cell_statistics(path, published.records[path], context.images, reader).items():
            statistics[name].append(ratios)
    return dict(statistics)
