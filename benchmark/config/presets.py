"""Named settings of a plan."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from benchmark.errors import UserError

ENGINE_VERSION = 2
"""Raised by hand whenever a change to the harness changes numbers, so that no stored result is mistaken for a new one.

The code of an entry is part of every key by itself (:mod:`benchmark.storage.identity`). What entries
share does, and golden numbers guard it.
"""

ALIGNMENTS = ("receptive-field", "none")
"""How maps of a grid are placed: at the centers of the receptive fields of its cells, or stretched over the image."""

COMPILE_MODES = ("default", "reduce-overhead")
"""Modes of torch.compile, by torch's names; the second replays CUDA graphs, which are meant for small networks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """What a run does with each cell, and which cells it has unless told otherwise.

    Attributes:
        name: Name on the command line and in the path of the results.
        purpose: What it is for, in one line.
        image_size: Side in pixels of images, maps and masks.
        limit: Most images taken from the data set, stratified by class; None takes all.
        test_folds: One part in so many is held out for testing where the data set has no split of its own.
        val_folds: One part in so many of the rest is held out for validation; 0 for none.
        aggregation: How the masks of several raters become one reference.
        regimes: Names of the regimes.
        seeds: Training seeds.
        methods: Names of the saliency methods; the first one makes the main table.
        metrics: Names of dear metrics to compute beside the cheap ones, which are always computed; "all" for all of
            ours; "quantus:MaxSensitivity" and the like for those of Quantus.
        weights: "random", "pretrained", or a safetensors file or a directory of them.
        epochs: Passes over the training images; None takes each architecture's own for short runs.
        batch_size: Images per training step.
        num_perturbed: Most test images scored by perturbation (insertion and deletion); None takes all.
        perturbation_steps: Steps of a perturbation curve.
        compile: Mode, of :data:`COMPILE_MODES`, in which torch compiles the training passes; None compiles nothing.
        patience: Epochs without a lower validation loss after which a training ends; 0 never ends it early.
        num_attacked: Most test images attacked for the robust accuracy; None takes all.
        attack_steps: Steps of PGD, which measures robust accuracy.
        attack_eps: Its L2 budgets for images of 224 px with values in [0, 1]; scaled with the side. The one in the
            middle makes the column of the table.
        apgd_steps: Steps of APGD on the same budgets; 0 leaves it out.
        autoattack: Whether AutoAttack, or what there is of it for few classes, is run on the same budgets; needs the
            authors' package.
        num_map_attacked: Most test images whose Grad-CAM map is attacked, in as many steps.
        alignment: How maps of a grid are placed, of :data:`ALIGNMENTS`.
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

    def __post_init__(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            ValueError: One line that names the setting.
        """
        for eps in self.attack_eps:
            if not 0 < eps < math.inf:
                raise ValueError(f"eps {eps:g}: a budget must be more than 0 and finite")
        counts = self.num_attacked, self.num_perturbed, self.limit, self.epochs
        if any(count is not None and count < 1 for count in counts) or min(self.attack_steps, self.apgd_steps) < 0:
            raise ValueError("limit, epochs, num_perturbed and num_attacked must be 1 or more, steps not negative")
        if self.compile not in {None, *COMPILE_MODES}:
            raise ValueError(f"compile {self.compile}: must be {' or '.join(COMPILE_MODES)}")
        if self.alignment not in ALIGNMENTS:
            raise ValueError(f"alignment {self.alignment}: must be {' or '.join(ALIGNMENTS)}")


QUICK = Preset(
    name="quick",
    purpose="all architectures, standard and adversarial, on two CPU cores in a quarter of an hour",
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
    purpose="every image at 224 px, three seeds; made for one GPU",
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
STUDY = Preset(
    name="study",
    purpose="every regime three times, small, with attacks on diagnosis and map; on a CPU name one architecture and "
    "give --weights of a model trained before",
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
    purpose="five seeds of fine-tuning, half of the images held out, as in Jalaboi 2023; with --pretrain in two stages",
    # The paper squeezes photographs into 400 x 300; this square has as many pixels, in steps of 32.
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
PRESETS = {preset.name: preset for preset in (QUICK, STANDARD, PAPER, STUDY)}


def load_preset(settings: Mapping[str, Any]) -> Preset:
    """A preset from its record, as JSON tells it: lists become tuples, and fields that came later have their defaults.

    Raises:
        UserError: A field is unknown or missing, or the settings make no sense; the message names it.
    """
    known = {field.name: field.default is MISSING for field in fields(Preset)}
    unknown = sorted(settings.keys() - known)
    missing = [name for name, needed in known.items() if needed and name not in settings]
    if unknown or missing:
        what = f"has unknown settings ({', '.join(unknown)})" if unknown else f"lacks {', '.join(missing)}"
        raise UserError(f"the preset of the record {what}; it was made by another version of Loupe")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }
    try:
        return Preset(**values)
    except ValueError as error:
        raise UserError(f"the preset of the record makes no sense: {error}") from None
