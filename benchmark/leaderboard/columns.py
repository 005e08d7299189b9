"""The columns of the leaderboard, each defined once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.leaderboard.load.predictions import RowData
from benchmark.leaderboard.load.scores import Kind
from benchmark.leaderboard.statistics.bootstrap import RatioStatistic
from benchmark.scoring.classification import MAP_KEPT, WITHSTOOD, positive_class
from benchmark.storage.record import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One statistic of a row.

    Attributes:
        name: Name in the CSV file.
        title: Heading in the tables that people read.
        higher_is_better: Direction; None where neither end is better.
        headline: Whether it is one of the four that the main table shows.
        definition: What it says, in one sentence.
        of: The statistic, or None where the row has no such thing.
        bounds: Least and greatest value; no interval leaves them.
        redefined: Whether the metric has meant different things; the definition shown is then that of the record.
    """

    name: str
    title: str
    higher_is_better: bool | None
    headline: bool
    definition: str
    of: Callable[[RowData], RatioStatistic | None]
    bounds: tuple[float, float] = (0.0, 1.0)
    redefined: bool = False

    @property
    def heading(self) -> str:
        """Title with an arrow towards better."""
        arrow = {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]
        return self.title + arrow

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Metric and levels of the scores that it reads; none of the diagnosis."""
        return tuple((self.of.metric, level) for level in self.of.levels) if isinstance(self.of, _Scores) else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scores:
    """Mean of a metric's scores, or (macro) the mean over characteristics of their means.

    Attributes:
        metric: Name of the metric.
        levels: Levels of the scores: the first one that there is.
        macro: Whether characteristics count alike.
        right_only: Whether images that are diagnosed wrongly are left out.
    """

    metric: str
    levels: tuple[str, ...]
    macro: bool = False
    right_only: bool = False

    def __call__(self, evidence: RowData) -> RatioStatistic | None:
        """The statistic of a row, None where it has no such scores."""
        present = [known for level in self.levels if (known := evidence.scores.get((self.metric, level))) is not None]
        if not present or (self.right_only and evidence.predictions is None):
            return None
        known, number = present[0], len(evidence.images)
        finite = counted = np.isfinite(known.values)
        if self.right_only and evidence.predictions is not None:
            right = (evidence.predictions["label"] == evidence.predictions["predicted"]).to_numpy()
            counted = finite & right[known.places]
            finite = finite | ~right[known.places]
        kinds = int(known.characteristics.max(initial=0)) + 1 if self.macro else 1
        cells = known.places.astype(np.int64) * kinds + known.characteristics if self.macro else known.places
        values = known.values
        if not counted.all():
            cells, values = cells[counted], values[counted]
        amounts = np.bincount(cells, weights=values, minlength=number * kinds)
        counts = np.bincount(cells, minlength=number * kinds)
        return RatioStatistic(
            amounts=amounts.astype(np.float64, copy=False).reshape(number, kinds),
            counts=counts.astype(np.float64).reshape(number, kinds),
            undefined=int((~finite).sum()),
        )


def _scores(metric: str, level: str, *, macro: bool = False, right_only: bool = False) -> _Scores:
    return _Scores(metric=metric, levels=(level,), macro=macro, right_only=right_only)


def _diagnosis(
    count: Callable[[NDArray[np.bool_], NDArray[np.bool_]], tuple[NDArray[Any], NDArray[Any]]],
    *,
    positive_only: bool = False,
) -> Callable[[RowData], RatioStatistic | None]:
    """A statistic of the confusion, from one-hot truth and prediction (N, C)."""

    def of(evidence: RowData) -> RatioStatistic | None:
        if evidence.predictions is None:
            return None
        frame = evidence.predictions
        numbers = np.arange(len(evidence.classes))
        truth = frame["label"].to_numpy()[:, None] == numbers
        predicted = frame["predicted"].to_numpy()[:, None] == numbers
        if positive_only and len(numbers) == 2:
            positive = positive_class(frame["label"].to_numpy())
            truth, predicted = truth[:, [positive]], predicted[:, [positive]]
        amounts, counts = count(truth, predicted)
        return RatioStatistic(amounts=amounts.astype(np.float64), counts=counts.astype(np.float64))

    return of


def _withstood(evidence: RowData) -> RatioStatistic | None:
    if evidence.predictions is None:
        return None
    frame = evidence.predictions
    of_pgd = sorted(
        (name for name in frame.columns if name.startswith(f"{WITHSTOOD}pgd-")),
        key=lambda name: float(name.split("-")[-1]),
    )
    # The first schema of records had one attack, without a name.
    name = of_pgd[len(of_pgd) // 2] if of_pgd else "withstood"
    if name not in frame:
        return None
    return _of_known(frame[name].to_numpy(dtype=np.float64))


def _map_kept(evidence: RowData) -> RatioStatistic | None:
    """Under the attack of the largest budget that moves the map off its highest pixels."""
    frame = evidence.predictions
    names = [] if frame is None else [name for name in frame.columns if name.startswith(f"{MAP_KEPT}top-k-")]
    return None if frame is None or not names else _of_known(frame[names[-1]].to_numpy(dtype=np.float64))


def _of_known(value: NDArray[np.float64]) -> RatioStatistic:
    """Mean of the values that are numbers."""
    known = np.isfinite(value)
    return RatioStatistic(amounts=np.where(known, value, 0.0)[:, None], counts=known.astype(np.float64)[:, None])


COLUMNS = (
    Column(
        name="fuzzy_f1",
        title="F1",
        higher_is_better=True,
        headline=True,
        definition="Fuzzy F1 of the map, min-max normalized, against the merged masks of all raters.",
        of=_scores("fuzzy-f1", "image"),
    ),
    Column(
        name="sparsity",
        title="sparsity",
        higher_is_better=True,
        headline=True,
        definition="Gini index of the map: 0 is spread evenly, 1 is a single pixel.",
        of=_scores("gini", "map"),
    ),
    Column(
        name="faithfulness",
        title="faithfulness",
        higher_is_better=True,
        headline=True,
        definition="Insertion minus deletion: area between the two curves of the class's probability; chance order: 0.",
        of=_scores("insertion-deletion", "map"),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="sharpness",
        title="sharpness",
        higher_is_better=True,
        headline=True,
        definition="Relative slope beyond what shuffled pixels have; compare only maps of one method and one grid.",
        of=_scores("sharpness", "map"),
        redefined=True,
    ),
    Column(
        name="balanced_accuracy",
        title="balanced accuracy",
        higher_is_better=True,
        headline=False,
        definition="Mean over classes of the share of their images that are diagnosed rightly.",
        of=_diagnosis(lambda truth, predicted: (truth & predicted, truth)),
    ),
    Column(
        name="macro_f1",
        title="macro F1",
        higher_is_better=True,
        headline=False,
        definition="Mean over classes of the F1 of the diagnosis.",
        of=_diagnosis(lambda truth, predicted: (2 * (truth & predicted), truth * 1 + predicted)),
    ),
    Column(
        name="sensitivity",
        title="sensitivity",
        higher_is_better=True,
        headline=False,
        definition="Of two classes: of the rarer one; of more: mean over classes, which is the balanced accuracy.",
        of=_diagnosis(lambda truth, predicted: (truth & predicted, truth), positive_only=True),
    ),
    Column(
        name="specificity",
        title="specificity",
        higher_is_better=True,
        headline=False,
        definition="Of two classes: share of the commoner one diagnosed rightly; of more: mean, each against the rest.",
        of=_diagnosis(lambda truth, predicted: (~truth & ~predicted, ~truth), positive_only=True),
    ),
    Column(
        name="accuracy_under_attack",
        title="accuracy under attack",
        higher_is_better=True,
        headline=False,
        definition="Plain accuracy on the attacked images, after the attack named below the table.",
        of=_withstood,
    ),
    Column(
        name="top_mask_f1",
        title="top-mask F1",
        higher_is_better=True,
        headline=False,
        definition="F1 of the map's highest values, as many as the union of the masks has pixels.",
        of=_scores("top-mask-f1", "image"),
    ),
    Column(
        name="fuzzy_f1_right",
        title="F1 where right",
        higher_is_better=True,
        headline=False,
        definition="F1 of the map over the images that are diagnosed rightly alone: other images for every model.",
        of=_scores("fuzzy-f1", "image", right_only=True),
    ),
    Column(
        name="fuzzy_sensitivity",
        title="map sensitivity",
        higher_is_better=True,
        headline=False,
        definition="Share of the merged masks that the map covers.",
        of=_scores("fuzzy-sensitivity", "image"),
    ),
    Column(
        name="fuzzy_specificity",
        title="map specificity",
        higher_is_better=True,
        headline=False,
        definition="Share of the unmarked image that the map leaves out.",
        of=_scores("fuzzy-specificity", "image"),
    ),
    Column(
        name="fuzzy_iou",
        title="IoU",
        higher_is_better=True,
        headline=False,
        definition="Fuzzy intersection over union with the merged masks.",
        of=_scores("fuzzy-iou", "image"),
    ),
    Column(
        name="characteristic_f1",
        title="characteristic F1",
        higher_is_better=True,
        headline=False,
        definition="Fuzzy F1 against each characteristic's masks, mean per characteristic, then over them.",
        of=_scores("fuzzy-f1", "characteristic", macro=True),
    ),
    Column(
        name="characteristic_sensitivity",
        title="characteristic sensitivity",
        higher_is_better=True,
        headline=False,
        definition="Fuzzy sensitivity against each characteristic's masks, averaged likewise.",
        of=_scores("fuzzy-sensitivity", "characteristic", macro=True),
    ),
    Column(
        name="rater_f1",
        title="F1 per rater",
        higher_is_better=True,
        headline=False,
        definition="Fuzzy F1 against each rater's own masks, mean over raters and images, where several drew.",
        of=_scores("fuzzy-f1", "rater"),
    ),
    Column(
        name="insertion",
        title="insertion",
        higher_is_better=True,
        headline=False,
        definition="Area under the explained class's probability while the image appears, best pixels first.",
        of=_scores("insertion", "map"),
    ),
    Column(
        name="deletion",
        title="deletion",
        higher_is_better=False,
        headline=False,
        definition="Area under the explained class's probability while the image vanishes, best pixels first.",
        of=_scores("deletion", "map"),
    ),
    Column(
        name="tv_ratio",
        title="TV ratio",
        higher_is_better=False,
        headline=False,
        definition="Total variation against that of the shuffled map: 1 is noise, 0 is coherent.",
        of=_scores("tv-ratio", "map"),
        bounds=(0.0, 2.0),
    ),
    Column(
        name="color_variation",
        title="color variation",
        higher_is_better=None,
        headline=False,
        definition="Rank correlation of the map with the local variation of color within the mask; "
        "counts for what it has above the turned map.",
        of=_scores("color-variation", "image"),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="color_variation_null",
        title="color variation, turned map",
        higher_is_better=None,
        headline=False,
        definition="The same for the map turned half about within the mask: what a merely central map would have.",
        of=_scores("color-variation-null", "image"),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="map_kept",
        title="map kept under attack",
        higher_is_better=True,
        headline=False,
        definition="Share of the highest tenth of the Grad-CAM map that an attack of Linf 4/255 leaves among the "
        "highest; the prediction stays what it was.",
        of=_map_kept,
    ),
    Column(
        name="shortcut_mass",
        title="mass on the shortcut",
        higher_is_better=False,
        headline=False,
        definition="Share of the map's mass on the planted ink mark, over the images that carry one.",
        of=_scores("relevance-mass", "shortcut"),
    ),
)


def columns_of(record: Record) -> tuple[Column, ...]:
    """The columns of a record's table: those above, and one for each metric of the record that none of them reads."""
    read = {column.of.metric for column in COLUMNS if isinstance(column.of, _Scores)}
    further = (
        Column(
            name=name.replace("-", "_"),
            title=name,
            higher_is_better=metric.higher_is_better,
            headline=False,
            definition=metric.definition,
            of=_Scores(metric=name, levels=("image", "map")),
            bounds=metric.bounds,
        )
        for name, metric in sorted(record.metrics.items())
        if name not in read
    )
    return (*(_as_told(column, record) for column in COLUMNS), *further)


def _as_told(column: Column, record: Record) -> Column:
    """The column with the record's own definition where the metric has had several."""
    told = record.metrics.get(column.of.metric) if isinstance(column.of, _Scores) else None
    return replace(column, definition=told.definition) if column.redefined and told else column


def column_kinds(columns: Sequence[Column]) -> frozenset[Kind]:
    """Metrics and levels of the scores that the columns read."""
    return frozenset(kind for column in columns for kind in column.kinds)


def column_bounds(columns: Sequence[Column]) -> dict[str, tuple[float, float]]:
    """Least and greatest value of each column by name."""
    return {column.name: column.bounds for column in columns}
