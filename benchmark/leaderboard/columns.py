"""The columns of the leaderboard. Each is declared once, with all outputs that show it.

Metrics without a column here get one automatically: see :func:`benchmark.leaderboard.record_columns.build_columns`.
"""

from benchmark.leaderboard.column import Alternative, Column
from benchmark.leaderboard.load.attacks import UnderAttack, vanishing_gradients
from benchmark.leaderboard.load.statistics import classification_score, map_overlap_under_attack, mean_score
from benchmark.leaderboard.reliance_columns import RELIANCE_COLUMNS
from benchmark.scoring.classification import (
    class_f1,
    constant_accuracy,
    recall,
    robust_accuracy,
    robust_recall,
    specificity,
)

RANKED_BY = "map_f1"
"""The column that orders the rows."""
DEGENERATE = "tv_ratio"
"""The column that is undefined if and only if a map is constant or not finite."""
ACCURACY = "balanced_accuracy"
"""The column that is compared with chance."""
CONSTANT_ANSWER = "constant_answer"
"""The column of the accuracy under attack that needs no network."""
VANISHING = "vanishing_gradients"
"""The column that says whether an attack may be masked."""

COLUMNS = (
    Column(
        name="map_f1",
        title="map F1",
        higher_is_better=True,
        definition="Fuzzy F1 of the map, min-max normalized, against the merged masks of all raters.",
        statistic=mean_score("map-f1", "image"),
        headline=True,
        contrasted=True,
        by_regime=True,
        agreement=True,
    ),
    Column(
        name="sparsity",
        title="sparsity",
        higher_is_better=True,
        definition="Gini index of the map: 0 for a constant map, 1 for a single pixel.",
        statistic=mean_score("sparsity", "map"),
        headline=True,
        contrasted=True,
        by_regime=True,
        agreement=True,
    ),
    Column(
        name="faithfulness",
        title="faithfulness",
        higher_is_better=True,
        definition="Insertion minus deletion: area between the curves of the class's probability; 0 for random order.",
        statistic=mean_score("faithfulness", "map"),
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
        definition="Relative slope beyond that of shuffled pixels; compare only maps of one method and one grid.",
        statistic=mean_score("sharpness", "map"),
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
        definition="Mean over classes of the fraction of their images that are classified correctly.",
        statistic=classification_score(recall),
        classification=True,
        contrasted=True,
        by_regime=True,
        agreement=True,
    ),
    Column(
        name="macro_f1",
        title="macro F1",
        higher_is_better=True,
        definition="Mean over classes of the F1 of the classification.",
        statistic=classification_score(class_f1),
        classification=True,
    ),
    Column(
        name="sensitivity",
        title="sensitivity",
        higher_is_better=True,
        definition="For two classes, of the rarer one. For more, mean over classes, which is the balanced accuracy.",
        statistic=classification_score(recall, positive_only=True),
        classification=True,
    ),
    Column(
        name="specificity",
        title="specificity",
        higher_is_better=True,
        definition="For two classes, fraction of the commoner one classified correctly. For more, mean over classes.",
        statistic=classification_score(specificity, positive_only=True),
        classification=True,
    ),
    Column(
        name="accuracy_under_attack",
        title="accuracy under attack",
        higher_is_better=True,
        definition="Plain accuracy on the attacked images, under the worst of the attacks named below the table.",
        statistic=UnderAttack(compute=robust_accuracy),
        classification=True,
        by_regime=True,
        agreement=True,
        reference=CONSTANT_ANSWER,
    ),
    Column(
        name="balanced_accuracy_under_attack",
        title="balanced accuracy under attack",
        higher_is_better=True,
        definition="Mean over classes of the fraction of their attacked images that are robust to all of these "
        "attacks. A constant answer scores one divided by the number of classes.",
        statistic=UnderAttack(compute=robust_recall),
        classification=True,
    ),
    Column(
        name=CONSTANT_ANSWER,
        title="constant answer",
        higher_is_better=None,
        definition="Accuracy under attack of a constant answer: the fraction of the commonest class of the attacked "
        "images.",
        statistic=UnderAttack(compute=constant_accuracy),
        classification=True,
    ),
    Column(
        name=VANISHING,
        title="vanishing gradients",
        higher_is_better=None,
        definition="Fraction of the correct and attacked images at which the gradients of all losses vanish. "
        "Where it is high, the attack may be masked.",
        statistic=vanishing_gradients,
    ),
    Column(
        name="top_mask_f1",
        title="top-mask F1",
        higher_is_better=True,
        definition="F1 of the map's highest values, as many as the union of the masks has pixels.",
        statistic=mean_score("top-mask-f1", "image"),
        agreement=True,
        alternatives=(
            Alternative(column="f1_at_half", change="thresholded at half the range, not at the mask's size"),
            Alternative(column="best_f1", change="thresholded at the best value, not at the mask's size"),
        ),
    ),
    Column(
        name="map_f1_right",
        title="map F1 where correct",
        higher_is_better=True,
        definition="Map F1 over correctly classified images only, which differ from model to model.",
        statistic=mean_score("map-f1", "image", correct_only=True),
    ),
    Column(
        name="map_sensitivity",
        title="map sensitivity",
        higher_is_better=True,
        definition="Fraction of the merged masks that the map covers.",
        statistic=mean_score("map-sensitivity", "image"),
    ),
    Column(
        name="map_specificity",
        title="map specificity",
        higher_is_better=True,
        definition="Fraction of the image outside the merged masks that the map leaves out.",
        statistic=mean_score("map-specificity", "image"),
    ),
    Column(
        name="map_iou",
        title="map IoU",
        higher_is_better=True,
        definition="Fuzzy intersection over union with the merged masks.",
        statistic=mean_score("map-iou", "image"),
        agreement=True,
    ),
    Column(
        name="characteristic_f1",
        title="characteristic map F1",
        higher_is_better=True,
        definition="Map F1 against each characteristic's masks: mean per characteristic, then over characteristics.",
        statistic=mean_score("map-f1", "characteristic", macro=True),
        agreement=True,
    ),
    Column(
        name="characteristic_sensitivity",
        title="characteristic sensitivity",
        higher_is_better=True,
        definition="Map sensitivity against each characteristic's masks, averaged in the same way.",
        statistic=mean_score("map-sensitivity", "characteristic", macro=True),
    ),
    Column(
        name="rater_f1",
        title="map F1 per rater",
        higher_is_better=True,
        definition="Map F1 against each rater's own masks, mean over raters and images, for several raters.",
        statistic=mean_score("map-f1", "rater"),
    ),
    Column(
        name="insertion",
        title="insertion",
        higher_is_better=True,
        definition="Area under the explained class's probability while pixels are inserted, most salient first.",
        statistic=mean_score("insertion", "map"),
        agreement=True,
    ),
    Column(
        name="deletion",
        title="deletion",
        higher_is_better=False,
        definition="Area under the explained class's probability while pixels are deleted, most salient first.",
        statistic=mean_score("deletion", "map"),
        agreement=True,
    ),
    Column(
        name="tv_ratio",
        title="TV ratio",
        higher_is_better=False,
        definition="Total variation relative to that of the shuffled map: 1 for noise, 0 for a coherent map.",
        statistic=mean_score("tv-ratio", "map"),
        bounds=(0.0, 2.0),
        agreement=True,
    ),
    Column(
        name="color_variation",
        title="color variation",
        higher_is_better=None,
        definition="Rank correlation of the map with the local variation of color within the mask; "
        "meaningful only above that of the rotated map.",
        statistic=mean_score("color-variation", "image"),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="color_variation_null",
        title="color variation null",
        higher_is_better=None,
        definition="The same for the map rotated by 180° within the mask: the value of a merely central map.",
        statistic=mean_score("color-variation-null", "image"),
        bounds=(-1.0, 1.0),
    ),
    Column(
        name="map_kept",
        title="map kept under attack",
        higher_is_better=True,
        definition="Fraction of the highest tenth of the Grad-CAM map that is still in the highest tenth after an "
        "attack of Linf 4/255, which leaves the prediction unchanged.",
        statistic=map_overlap_under_attack,
    ),
    Column(
        name="shortcut_mass",
        title="map mass on the mark",
        higher_is_better=False,
        definition="Fraction of the map's mass on the planted mark, over the images with a mark. It is no measure of "
        "reliance: see the reliance on the mark.",
        statistic=mean_score("relevance-mass", "shortcut"),
    ),
    *RELIANCE_COLUMNS,
)

HEADLINES = tuple(column for column in COLUMNS if column.headline)
