"""The columns of the leaderboard, each declared once, with all places where it is shown.

A metric that no column here reads has one of its own: see :func:`benchmark.leaderboard.record_columns.columns_of`.
"""

from benchmark.leaderboard.column import Alternative, Column
from benchmark.leaderboard.load.statistics import map_kept, mean_score, of_diagnosis, withstood
from benchmark.scoring.classification import class_f1, recall, specificity

RANKED_BY = "map_f1"
"""The column that orders the rows."""
DEGENERATE = "tv_ratio"
"""The column that is undefined exactly where a map is constant or not finite."""
ACCURACY = "balanced_accuracy"
"""The column that is held against chance."""

COLUMNS = (
    Column(
        name="map_f1",
        title="F1",
        higher_is_better=True,
        definition="Fuzzy F1 of the map, min-max normalized, against the merged masks of all raters.",
        of=mean_score("map-f1", "image"),
        headline=True,
        contrasted=True,
        by_regime=True,
        agreement=True,
    ),
    Column(
        name="sparsity",
        title="sparsity",
        higher_is_better=True,
        definition="Gini index of the map: 0 is spread evenly, 1 is a single pixel.",
        of=mean_score("sparsity", "map"),
        headline=True,
        contrasted=True,
        by_regime=True,
        agreement=True,
    ),
    Column(
        name="faithfulness",
        title="faithfulness",
        higher_is_better=True,
        definition="Insertion minus deletion: area between the two curves of the class's probability; chance order: 0.",
        of=mean_score("faithfulness", "map"),
        bounds=(-1.0, 1.0),
        headline=True,
        contrasted=True,
        by_regime=True,
        agreement=True,
        alternatives=(
            Alternative(column="faithfulness_mean", change="pixels removed to the mean color, not blurred"),
            Alternative(column="faithfulness_minimum", change="pixels removed to the image's minimum, not blurred"),
        ),
    ),
    Column(
        name="sharpness",
        title="sharpness",
        higher_is_better=True,
        definition="Relative slope beyond what shuffled pixels have; compare only maps of one method and one grid.",
        of=mean_score("sharpness", "map"),
        redefined=True,
        headline=True,
        contrasted=True,
        by_regime=True,
        agreement=True,
    ),
    Column(
        name="balanced_accuracy",
        title="balanced accuracy",
        higher_is_better=True,
        definition="Mean over classes of the share of their images that are diagnosed rightly.",
        of=of_diagnosis(recall),
        classification=True,
        contrasted=True,
        by_regime=True,
        agreement=True,
    ),
    Column(
        name="macro_f1",
        title="macro F1",
        higher_is_better=True,
        definition="Mean over classes of the F1 of the diagnosis.",
        of=of_diagnosis(class_f1),
        classification=True,
    ),
    Column(
        name="sensitivity",
        title="sensitivity",
        higher_is_better=True,
        definition="Of two classes: of the rarer one; of more: mean over classes, which is the balanced accuracy.",
        of=of_diagnosis(recall, positive_only=True),
        classification=True,
    ),
    Column(
        name="specificity",
        title="specificity",
        higher_is_better=True,
        definition="Of two classes: share of the commoner one diagnosed rightly; of more: mean, each against the rest.",
        of=of_diagnosis(specificity, positive_only=True),
        classification=True,
    ),
    Column(
        name="accuracy_under_attack",
        title="accuracy under attack",
        higher_is_better=True,
        definition="Plain accuracy on the attacked images, after the attack named below the table.",
        of=withstood,
        classification=True,
        by_regime=True,
        agreement=True,
    ),
    Column(
        name="top_mask_f1",
        title="top-mask F1",
        higher_is_better=True,
        definition="F1 of the map's highest values, as many as the union of the masks has pixels.",
        of=mean_score("top-mask-f1", "image"),
        agreement=True,
        alternatives=(
            Alternative(column="f1_at_half", change="thresholded at half the range, not at the mask's size"),
            Alternative(column="best_f1", change="thresholded at the best place, not at the mask's size"),
        ),
    ),
    Column(
        name="map_f1_right",
        title="F1 where right",
        higher_is_better=True,
        definition="F1 of the map over the images that are diagnosed rightly alone: other images for every model.",
        of=mean_score("map-f1", "image", right_only=True),
    ),
    Column(
        name="map_sensitivity",
        title="map sensitivity",
        higher_is_better=True,
        definition="Share of the merged masks that the map covers.",
        of=mean_score("map-sensitivity", "image"),
    ),
    Column(
        name="map_specificity",
        title="map specificity",
        higher_is_better=True,
        definition="Share of the unmarked image that the map leaves out.",
        of=mean_score("map-specificity", "image"),
    ),
    Column(
        name="map_iou",
        title="IoU",
        higher_is_better=True,
        definition="Fuzzy intersection over union with the merged masks.",
        of=mean_score("map-iou", "image"),
        agreement=True,
    ),
    Column(
        name="characteristic_f1",
        title="characteristic F1",
        higher_is_better=True,
        definition="Fuzzy F1 against each characteristic's masks, mean per characteristic, then over them.",
        of=mean_score("map-f1", "characteristic", macro=True),
        agreement=True,
    ),
    Column(
        name="characteristic_sensitivity",
        title="characteristic sensitivity",
        higher_is_better=True,
        definition="Fuzzy sensitivity against each characteristic's masks, averaged likewise.",
        of=mean_score("map-sensitivity", "characteristic", macro=True),
    ),
    Column(
        name="rater_f1",
        title="F1 per rater",
        higher_is_better=True,
        definition="Fuzzy F1 against each rater's own masks, mean over raters and images, where several drew.",
        of=mean_score("map-f1", "rater"),
    ),
    Column(
        name="insertion",
        title="insertion",
        higher_is_better=True,
        definition="Area under the explained class's probability while the image appears, best pixels first.",
        of=mean_score("insertion", "map"),
        agreement=True,
    ),
    Column(
        name="deletion",
        title="deletion",
        higher_is_better=False,
        definition="Area under the explained class's probability while the image vanishes, best pixels first.",
        of=mean_score("deletion", "map"),
        agreement=True,
    ),
    Column(
        name="tv_ratio",
        title="TV ratio",
        higher_is_better=False,
        definition="Total variation against that of the shuffled map: 1 is noise, 0 is coherent.",
        of=mean_score("tv-ratio", "map"),
        bounds=(0.0, 2.0),
        agreement=True,
    ),
    Column(
        name="color_variation",
        title="color variation",
        higher_is_better=None,
        definition="Rank correlation of the map with the local variation of color within the mask; "
        "counts for what it has above the turned map.",
        of=mean_score("color-variation", "image"),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="color_variation_null",
        title="color variation, turned map",
        higher_is_better=None,
        definition="The same for the map turned half about within the mask: what a merely central map would have.",
        of=mean_score("color-variation-null", "image"),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="map_kept",
        title="map kept under attack",
        higher_is_better=True,
        definition="Share of the highest tenth of the Grad-CAM map that an attack of Linf 4/255 leaves among the "
        "highest; the prediction stays what it was.",
        of=map_kept,
    ),
    Column(
        name="shortcut_mass",
        title="mass on the shortcut",
        higher_is_better=False,
        definition="Share of the map's mass on the planted ink mark, over the images that carry one.",
        of=mean_score("relevance-mass", "shortcut"),
    ),
)

HEADLINES = tuple(column for column in COLUMNS if column.headline)
