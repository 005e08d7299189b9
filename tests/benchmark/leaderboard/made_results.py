"""A results directory of any size, in the shape of a real one: its records and scores are drawn at random."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.registry import entries
from benchmark.storage.hashing import content_key, file_digest
from benchmark.training.regimes import Regime
from tests.architectures.paper import KERAS_PARAMETERS
from tests.committed import committed_sidecar, unnamed_content

ARCHITECTURES = sorted(KERAS_PARAMETERS)
NAMES = ["image", "method", "metric", "level", "rater", "characteristic"]


def make_results(
    directory: Path,
    *,
    images: int,
    architectures: int = 11,
    regimes: int = 2,
    seeds: int = 1,
    classes: int = 6,
    distinct: int | None = None,
) -> Path:
    """Writes records, scores, predictions and baselines; the architectures differ, the regimes and seeds a little.

    Args:
        directory: Where; becomes a results directory of its own.
        images: Test images, about two thirds as many patients.
        architectures: How many; more than there are get a number.
        regimes: How many, standard first.
        seeds: How many.
        classes: How many diagnoses.
        distinct: Records with files of their own; the others link to these in turn. None gives each its own.
    """
    rng = np.random.default_rng(0)
    content = unnamed_content("xception/standard")
    content |= {"dataset": "made", "synthetic": True, "images": content["images"] | {"test": images}, "files": {}}
    content["summary"] = {}
    if classes != len(content["classes"]):
        content["classes"] = [f"class{number}" for number in range(classes)]
    scores = _shape(images)
    patients = [f"p{number}" for number in np.sort(rng.integers(0, max(2, 2 * images // 3), images))]
    hard = rng.normal(0, 0.1, images)[scores["image"].cat.codes]
    (directory / "records").mkdir(parents=True)
    stems: list[str] = []
    for number in range(architectures):
        name = ARCHITECTURES[number % 11] + (str(number // 11) if number >= 11 else "")
        for regime in list(dict.fromkeys(["standard", "adversarial", *entries(Regime)]))[:regimes]:
            for seed in range(seeds):
                record = content | {
                    "architecture": name,
                    "regime": regime,
                    "seed": seed,
                    "key": content_key(number, regime, seed),
                }
                stem = str(directory / "records" / f"{name}-{regime}-{seed}")
                Path(f"{stem}.json").write_text(json.dumps(record), encoding="utf-8")
                stems.append(stem)
                if distinct is not None and len(stems) > distinct:
                    for kind in ("scores", "predictions"):
                        Path(f"{stem}.{kind}.parquet").hardlink_to(f"{stems[len(stems) % distinct]}.{kind}.parquet")
                    continue
                value = 0.5 - 0.01 * number + hard + rng.normal(0, 0.1, len(scores)) + rng.normal(0, 0.005)
                scores.assign(value=np.clip(value, 0, 1)).to_parquet(f"{stem}.scores.parquet")
                _predictions(images, patients, classes, rng).to_parquet(f"{stem}.predictions.parquet")
    (directory / "protocol.json").write_text(json.dumps({"protocol": content["protocol"]}), encoding="utf-8")
    baseline = scores[scores["method"] == "grad-cam"].assign(method="", value=0.4, protocol=content["protocol"])
    pd.concat([baseline.assign(baseline=name) for name in ("constant 0.5", "uniform noise")]).to_parquet(
        directory / "baselines.parquet"
    )
    return directory


def make_submission(directory: Path, stem: str, name: str, **fields: object) -> Path:
    """Turns a record into one of a submitted entry: with a name, weights and digests of its own.

    Returns:
        Its path.
    """
    old = stem.partition("-")[0]
    for path in (directory / "records").glob(f"{stem}.*"):
        path.rename(path.with_name(path.name.replace(old, name, 1)))
    record = directory / "records" / f"{stem.replace(old, name, 1)}.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    weights = hashlib.sha256(record.stem.encode()).hexdigest()
    submission = {"entry": f"{name}.py", "sha256": "0" * 64} | fields.pop("submission", {})
    if "checkpoint" in submission:
        submission["checkpoint"] = submission["checkpoint"] | {"sha256": weights}
    content |= {"architecture": name, "submission": submission, "files": digests_of(record)} | fields
    content["training"] = content["training"] | {"sha256": weights}
    record.write_text(json.dumps(content), encoding="utf-8")
    return record


def digests_of(record: Path) -> dict[str, str]:
    """SHA-256 of the files of a record, by suffix."""
    paths = record.parent.glob(f"{record.stem}.*.*")
    return {path.name.removeprefix(f"{record.stem}."): file_digest(path) for path in sorted(paths)}


def _shape(images: int) -> pd.DataFrame:
    """Rows of a real file of scores, again and again for other images."""
    real = pd.read_parquet(committed_sidecar("xception/standard", "scores.parquet")).drop(columns="value")
    old = list(dict.fromkeys(real["image"]))
    parts = []
    for turn in range(-(-images // len(old))):
        names = {name: f"image{turn * len(old) + place:05d}" for place, name in enumerate(old)}
        parts.append(real.assign(image=real["image"].map(names)))
    every = [f"image{number:05d}" for number in range(images)]
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[frame["image"].isin(every)].reset_index(drop=True)
    return frame.assign(**{name: frame[name].astype("category") for name in NAMES})


def _predictions(images: int, patients: list[str], classes: int, rng: np.random.Generator) -> pd.DataFrame:
    label = np.arange(images) % classes
    chances = rng.dirichlet(np.ones(classes), images).astype(np.float32)
    predicted = np.where(rng.random(images) < 0.5, label, rng.integers(0, classes, images))
    # The predicted class is the most probable one.
    rows, most = np.arange(images), chances.argmax(axis=1)
    chances[rows, most], chances[rows, predicted] = chances[rows, predicted], chances[rows, most]
    return pd.DataFrame(
        {"image": [f"image{number:05d}" for number in range(images)], "group": patients, "label": label}
        | {"predicted": predicted}
        | {f"p{place}": chances[:, place] for place in range(classes)}
        | {"withstood:pgd-5-l2-0.25": np.where(np.arange(images) % 2, np.nan, predicted == label)}
    )
