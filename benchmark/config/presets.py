"""Presets: named settings of a run."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from benchmark.errors import UserError

ENGINE_VERSION = 2
"""Raised by hand whenever a change to shared code changes numbers, so that stored results do not count as new ones.

Golden numbers check this. The code of an entry is part of every key anyway (:mod:`benchmark.storage.identity`).
"""

EFFECTIVE = "effective-receptive-field"
ALIGNMENTS = ("receptive-field", EFFECTIVE, "none")
"""How to place maps of a grid: at the centers of the receptive fields of its cells, which depend on the architecture
alone, at those of the effective receptive fields, which depend on the trained kernels, or stretched over the image."""

GRID_STRIDES = (8, 16, 32)
"""Strides of a grid that CAM methods can read instead of that of the target layer."""

COMPILE_MODES = ("default", "reduce-overhead")
"""Modes of torch.compile, by torch's names. The second replays CUDA graphs, which suit small networks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """The settings of a run, and its default cells.

    Attributes:
        name: Name on the command line and in the path of the results.
        purpose: Its purpose, in one line.
        image_size: Height and width of images, maps and masks in pixels.
        limit: Maximum number of images from the data set, stratified by class. None takes all.
        test_folds: Number of folds, one of which is the test set, if the data set has no split of its own.
        val_folds: Number of folds of the rest, one of which is the validation set. 0 disables validation.
        aggregation: How to combine the masks of several raters into one reference.
        regimes: Names of the regimes.
        seeds: Training seeds.
        methods: Names of the saliency methods. The main table shows the first one.
        metrics: Names of expensive metrics to compute in addition to the others, which are always computed. "all"
            selects all of ours. "quantus:MaxSensitivity" and the like select metrics of Quantus.
        weights: "random", "pretrained", or a safetensors file or a directory of them.
        epochs: Passes over the training images. None takes the `quick_epochs` of each architecture.
        batch_size: Images per training step.
        num_perturbed: Maximum number of test images scored by perturbation (insertion and deletion). None takes all.
        perturbation_steps: Number of steps of a perturbation curve.
        compile: One of :data:`COMPILE_MODES`, for the training passes. None disables compilation.
        patience: Number of epochs without a lower validation loss after which training stops. 0 disables it.
        num_attacked: Maximum number of test images attacked for the robust accuracy. None takes all.
        attack_steps: Number of steps of PGD, which measures robust accuracy.
        attack_eps: Its L2 budgets for images of 224 px with values in [0, 1], scaled with the image size. The table
            shows the middle one.
        apgd_steps: Number of steps of APGD on the same budgets. 0 disables it.
        autoattack: Whether to run AutoAttack, or the part of it that supports few classes, on the same budgets. Needs
            the authors' package.
        num_map_attacked: Maximum number of test images whose Grad-CAM map is attacked, in `attack_steps` steps.
        alignment: How to place maps of a grid, one of :data:`ALIGNMENTS`.
        grid_stride: Stride in pixels of the grid that CAM methods read, a power of two. None takes each architecture's
            own target layer.
        small_size: Height and width of the training images in pixels during all but the last epochs. None trains at
            `image_size`.
        full_size_epochs: Number of last epochs at `image_size`, if there is a small size.
    """

    name: str
    purpose: str
    image_size: int
    limit: int | None
    test_folds: int = 3
    val_folds: int = 0
    aggregation: str = "additive_max"
    regimes: tuple[str, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...] = ("grad-cam", "gradient")
    metrics: tuple[str, ...] = ()
    weights: str
    epochs: int | None
    batch_size: int
    num_perturbed: int | None
    perturbation_steps: int
    num_attacked: int | None
    attack_steps: int
    attack_eps: tuple[float, ...]
    apgd_steps: int = 0
    autoattack: bool = False
    num_map_attacked: int = 0
    patience: int = 0
    compile: str | None = None
    alignment: str = "receptive-field"
    grid_stride: int | None = None
    small_size: int | None = None
    full_size_epochs: int = 0

    def __post_init__(self) -> None:
        """Rejects invalid settings.

        Raises:
            ValueError: One line that names the setting.
        """
        for eps in self.attack_eps:
            if not 0 < eps < math.inf:
                raise ValueError(f"eps {eps:g}: a budget must be more than 0 and finite")
        counts = self.num_attacked, self.num_perturbed, self.limit, self.epochs
        if any(count is not None and count < 1 for count in counts) or min(self.attack_steps, self.apgd_steps) < 0:
            raise ValueError("limit, epochs, num_perturbed and num_attacked must be 1 or more, steps not negative")
        if self.small_size is not None and self.patience:
            raise ValueError("patience must be 0 with small_size, since losses at two sizes do not compare")
        if self.compile not in {None, *COMPILE_MODES}:
            raise ValueError(f"compile {self.compile}: must be {' or '.join(COMPILE_MODES)}")
        if self.alignment not in ALIGNMENTS:
            raise ValueError(f"alignment {self.alignment}: must be {' or '.join(ALIGNMENTS)}")
        if self.grid_stride is not None and self.grid_stride not in GRID_STRIDES:
            raise ValueError(f"grid-stride {self.grid_stride}: must be one of {', '.join(map(str, GRID_STRIDES))}")


QUICK = Preset(
    name="quick",
    purpose="all architectures, standard and adversarial, on two CPU cores in half an hour",
    image_size=96,
    limit=240,
    regimes=("standard", "adversarial"),
    seeds=(0,),
    weights="random",
    epochs=None,
    batch_size=16,
    num_perturbed=20,
    perturbation_steps=8,
    num_attacked=40,
    attack_steps=5,
    attack_eps=(0.25,),
)
STANDARD = Preset(
    name="standard",
    purpose="every image at 224 px, three seeds; for one GPU",
    image_size=224,
    limit=None,
    regimes=("standard", "pgd-l2"),
    seeds=(0, 1, 2),
    weights="pretrained",
    epochs=30,
    batch_size=32,
    num_perturbed=None,
    perturbation_steps=20,
    num_attacked=None,
    attack_steps=20,
    attack_eps=(0.5, 1.0, 2.0),
    apgd_steps=20,
    num_map_attacked=200,
    val_folds=8,
    patience=10,
)
MEDIUM = Preset(
    name="medium",
    purpose="every image, trained at 128 px, finished and scored at 224 px; a day or two on two CPU cores",
    # The target layer of a network of stride 32 has 7 x 7 cells at 224 px. At 128 px its 4 x 4 cells hardly show more
    # than a centered Gaussian does, while training costs a third.
    image_size=224,
    small_size=128,
    # With two of 14 epochs at full size, the learning rate is near zero there. In a pilot the validation loss rose at
    # the change of size and stayed above its lowest value.
    full_size_epochs=4,
    limit=None,
    val_folds=8,
    regimes=("standard", "adversarial"),
    seeds=(0,),
    weights="random",
    epochs=18,
    batch_size=16,
    num_perturbed=100,
    perturbation_steps=16,
    # Three budgets, two attacks and three losses on 200 images take longer than the training.
    num_attacked=64,
    attack_steps=10,
    attack_eps=(0.25, 0.5, 1.0),
    apgd_steps=10,
    num_map_attacked=40,
)
SMALL = Preset(
    name="small",
    purpose="every image at 96 px, CAM grids of stride 16; all architectures on two CPU cores in a few hours",
    # Of 96 px a grid of stride 32 has 3 x 3 cells, which hardly show a small lesion. One of stride 16 has a ceiling of
    # twice the best baseline, at a fifth of the pixels of 224 px.
    image_size=96,
    grid_stride=16,
    limit=None,
    val_folds=8,
    regimes=("standard", "adversarial"),
    seeds=(0,),
    weights="random",
    epochs=10,
    batch_size=16,
    num_perturbed=64,
    perturbation_steps=16,
    num_attacked=32,
    attack_steps=10,
    attack_eps=(0.25, 0.5, 1.0),
    apgd_steps=10,
    num_map_attacked=10,
)
STUDY = Preset(
    name="study",
    purpose="every regime three times, small, with attacks on classification and map; on a CPU, name one architecture "
    "and give --weights of a trained model",
    image_size=96,
    limit=600,
    regimes=(
        "standard",
        "gaussian-noise",
        "pgd-l2",
        "pgd-linf",
        "trades",
        "fgsm-rs",
        "free",
        "sgt",
        "scaat",
        "scaat-inverted",
        "scaat-random",
        "scaat-whole",
        "robust-finetune",
        "robust-stem",
    ),
    seeds=(0, 1, 2),
    weights="random",
    epochs=3,
    batch_size=16,
    val_folds=8,
    num_perturbed=32,
    perturbation_steps=16,
    num_attacked=24,
    attack_steps=20,
    attack_eps=(0.25, 0.5, 1.0),
    apgd_steps=10,
    num_map_attacked=10,
)
PAPER = Preset(
    name="paper",
    purpose="five seeds of fine-tuning, half of the images held out, as in Jalaboi 2023; two stages with --pretrain",
    # The paper resizes photographs to 400 x 300. This square has about as many pixels, and is a multiple of 32.
    image_size=352,
    limit=None,
    test_folds=2,
    val_folds=8,
    regimes=("standard",),
    seeds=(0, 1, 2, 3, 4),
    weights="pretrained",
    epochs=50,
    batch_size=32,
    num_perturbed=None,
    perturbation_steps=20,
    num_attacked=None,
    attack_steps=20,
    attack_eps=(0.5, 1.0, 2.0),
    apgd_steps=20,
    num_map_attacked=200,
)
PRESETS = {preset.name: preset for preset in (QUICK, SMALL, MEDIUM, STANDARD, PAPER, STUDY)}


def load_preset(settings: Mapping[str, Any]) -> Preset:
    """Loads a preset from the parsed JSON of a record. Lists become tuples, and newer fields have their defaults.

    Raises:
        UserError: A field is unknown, missing or invalid. The message names it.
    """
    required = {field.name: field.default is MISSING for field in fields(Preset)}
    unknown = sorted(settings.keys() - required)
    missing = [name for name, is_required in required.items() if is_required and name not in settings]
    if unknown or missing:
        problem = f"has unknown settings ({', '.join(unknown)})" if unknown else f"lacks {', '.join(missing)}"
        raise UserError(f"the preset of the record {problem}; it was written by another version of Loupe")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }
    try:
        return Preset(**values)
    except ValueError as error:
        raise UserError(f"the preset of the record is invalid: {error}") from None
