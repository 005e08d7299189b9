"""The columns on reliance: whether the network uses the lesion, whether the map shows it, and the planted mark."""

from collections.abc import Iterator, Sequence
from functools import partial

from benchmark.leaderboard.column import Column
from benchmark.leaderboard.load import reliance as statistics
from benchmark.leaderboard.load.reliance import MapStatistic, network_class_mean, network_mean, network_recall
from benchmark.leaderboard.load.statistics import mean_score
from benchmark.reliance import ratios
from benchmark.reliance.fills import FILLS

RELIANCE = "reliance"
LESION_MASS = "lesion_mass"
MASS_OVER_AREA = "mass_over_area"
MARK_EFFECT = "mark_effect"
_FILL_NAMES = {
    "ring": "the mean color of its ring",
    "biharmonic": "biharmonic inpainting",
    "blur": "blurred surroundings",
}


def reliance_column(fill: str) -> str:
    """Returns the name of the column of the reliance by one fill."""
    return f"{RELIANCE}_{fill}"


def class_column(name: str, label: int) -> str:
    """Returns the name of the column of one class, by its index."""
    return f"{name}_class_{label}"


def build_class_columns(classes: Sequence[str]) -> Iterator[Column]:
    """Yields the columns of each class: reliance on the lesion, over all fills and by each, and mass over area."""
    columns = {RELIANCE: tuple(FILLS)} | {reliance_column(fill): (fill,) for fill in FILLS}
    for label, of_class in enumerate(classes):
        for name, fills in columns.items():
            yield Column(
                name=class_column(name, label),
                title=f"{name.replace('_', ', fill ')} in {of_class}",
                higher_is_better=None,
                definition="Reliance on the lesion over the images of the class.",
                statistic=network_class_mean(label, fills),
                bounds=ratios.BOUNDS,
            )
        yield Column(
            name=class_column(MASS_OVER_AREA, label),
            title=f"mass over area in {of_class}",
            higher_is_better=None,
            definition="Mass on the lesion over the area of the lesion, over the images of the class.",
            statistic=MapStatistic(compute=partial(statistics.mass_over_area_of_class, label=label)),
            bounds=(0.0, float("inf")),
        )


RELIANCE_COLUMNS = (
    Column(
        name=RELIANCE,
        title="reliance on the lesion",
        higher_is_better=None,
        definition="Drop of the predicted class's probability when the lesion is filled, less the drop when the same "
        "shape is filled elsewhere; mean over three fills.",
        statistic=network_mean(ratios.reliance),
        bounds=ratios.BOUNDS,
    ),
    *(
        Column(
            name=reliance_column(fill),
            title=f"reliance, fill {fill}",
            higher_is_better=None,
            definition=f"Reliance on the lesion, filled with {_FILL_NAMES[fill]}.",
            statistic=network_mean(partial(ratios.reliance, fills=[fill])),
            bounds=ratios.BOUNDS,
        )
        for fill in FILLS
    ),
    Column(
        name="control_drop",
        title="drop at control",
        higher_is_better=None,
        definition="Drop of the predicted class's probability when the shape of the lesion is filled elsewhere.",
        statistic=network_mean(lambda frame: ratios.mean_over_fills(frame, "control", "drop")),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="answers_changed",
        title="answers changed",
        higher_is_better=None,
        definition="Fraction of the answers that change when the lesion is filled; mean over three fills.",
        statistic=network_mean(lambda frame: ratios.mean_over_fills(frame, "region", "changed")),
    ),
    Column(
        name="answers_changed_control",
        title="answers changed at control",
        higher_is_better=None,
        definition="Fraction of the answers that change when the shape of the lesion is filled elsewhere.",
        statistic=network_mean(lambda frame: ratios.mean_over_fills(frame, "control", "changed")),
    ),
    Column(
        name="accuracy_filled",
        title="accuracy without lesion",
        higher_is_better=None,
        definition="Balanced accuracy when the lesion is filled; mean over three fills.",
        statistic=network_recall(lambda frame: ratios.mean_over_fills(frame, "region", "correct")),
    ),
    Column(
        name="accuracy_control",
        title="accuracy at control",
        higher_is_better=None,
        definition="Balanced accuracy when the shape of the lesion is filled elsewhere.",
        statistic=network_recall(lambda frame: ratios.mean_over_fills(frame, "control", "correct")),
    ),
    Column(
        name="accuracy_lesion_only",
        title="accuracy on lesion only",
        higher_is_better=None,
        definition="Balanced accuracy when everything but the lesion and its rim is filled.",
        statistic=network_recall(lambda frame: ratios.column(frame, "only correct")),
    ),
    Column(
        name="fill_shift",
        title="shift by filling",
        higher_is_better=None,
        definition="Distance of the features of the filled image from the original's, relative to two random images.",
        statistic=network_mean(lambda frame: ratios.mean_over_fills(frame, "region", "shift")),
        bounds=(0.0, float("inf")),
    ),
    Column(
        name="control_shift",
        title="shift at control",
        higher_is_better=None,
        definition="The same when the shape of the lesion is filled elsewhere.",
        statistic=network_mean(lambda frame: ratios.mean_over_fills(frame, "control", "shift")),
        bounds=(0.0, float("inf")),
    ),
    Column(
        name=LESION_MASS,
        title="mass on the lesion",
        higher_is_better=None,
        definition="Fraction of the map's mass on the union of the masks. It is no measure of reliance.",
        statistic=mean_score("relevance-mass", "image"),
    ),
    Column(
        name=MASS_OVER_AREA,
        title="mass over area",
        higher_is_better=None,
        definition="Mass on the lesion over the area of the lesion: 1 for a constant map.",
        statistic=MapStatistic(compute=statistics.mass_over_area),
        bounds=(0.0, float("inf")),
    ),
    Column(
        name="honesty",
        title="honesty",
        higher_is_better=True,
        definition="Spearman's correlation over images of the map's density on the lesion with the reliance on it, "
        "within predicted classes.",
        statistic=MapStatistic(compute=statistics.lesion_association),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="honesty_auc",
        title="honesty, AUC",
        higher_is_better=True,
        definition="Area under the ROC curve of the map's density on the lesion for the images whose answer changes "
        "when the lesion is filled, within predicted classes.",
        statistic=MapStatistic(compute=statistics.lesion_auc),
    ),
    Column(
        name="honesty_random",
        title="honesty, random regions",
        higher_is_better=True,
        definition="Spearman's correlation of the map's density with the drop on random superpixels, within predicted "
        "classes. It needs no masks.",
        statistic=MapStatistic(compute=statistics.random_association),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="honesty_random_auc",
        title="honesty, random regions, AUC",
        higher_is_better=True,
        definition="Area under the ROC curve of the map's density for the random superpixels whose filling changes the "
        "answer, within predicted classes.",
        statistic=MapStatistic(compute=statistics.random_auc),
    ),
    Column(
        name=MARK_EFFECT,
        title="reliance on the mark",
        higher_is_better=False,
        definition="Rise of the marked class's probability when the planted mark is added to images of other classes.",
        statistic=network_mean(lambda frame: ratios.column(frame, "mark added toward"), "mark added toward"),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="mark_flips",
        title="answers changed by the mark",
        higher_is_better=False,
        definition="Fraction of the answers that change when the planted mark is added to images of other classes.",
        statistic=network_mean(lambda frame: ratios.column(frame, "mark added changed"), "mark added changed"),
    ),
    Column(
        name="mark_removal",
        title="change without the mark",
        higher_is_better=None,
        definition="Change of the marked class's probability when the planted mark is removed from images with it.",
        statistic=network_mean(lambda frame: ratios.column(frame, "mark removed toward"), "mark removed toward"),
        bounds=(-1.0, 1.0),
    ),
)
FOURFOLD_COLUMNS = {
    RELIANCE: "reliance",
    "answers_changed": "answers changed",
    "answers_changed_control": "at control",
    "accuracy_filled": "accuracy without lesion",
    "accuracy_lesion_only": "accuracy on lesion only",
    LESION_MASS: "map mass on lesion",
    "honesty": "honesty",
}
"""Columns of the fourfold table, with their headings there."""
CLASS_COLUMNS = {
    RELIANCE: "reliance",
    **{reliance_column(fill): f"fill {fill}" for fill in FILLS},
    MASS_OVER_AREA: "mass over area",
}
"""Columns of the table of classes, with their headings there."""
