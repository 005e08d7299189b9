"""Records that lie, each in its own way, and entries that try to."""

import json
from pathlib import Path

import pandas as pd

from benchmark.storage.hashing import file_digest
from benchmark.storage.record import SEAL


def write_unsealed(record: Path, content: dict) -> None:
    """As a liar writes it: a seal shows damage, and whoever changes a record on purpose leaves it out."""
    record.write_text(json.dumps({name: value for name, value in content.items() if name != SEAL}), encoding="utf-8")


def better(record: Path) -> None:
    """Scores, summary and hashes that agree with each other, and not with the checkpoint."""
    path = record.with_name(f"{record.stem}.scores.parquet")
    frame = pd.read_parquet(path)
    chosen = frame["metric"] == "map-f1"
    frame.loc[chosen, "value"] = (frame.loc[chosen, "value"] + 0.1).clip(upper=1)
    frame.to_parquet(path)
    content = json.loads(record.read_text(encoding="utf-8"))
    content["files"]["scores.parquet"] = file_digest(path)
    for (method, level), values in frame[chosen].groupby(["method", "level"])["value"]:
        content["summary"][f"{method}: map-f1 ({level})"] = float(values.mean())
    write_unsealed(record, content)


def out_of_bounds(record: Path) -> None:
    other_file(record)
    edited(files={"scores.parquet": file_digest(record.with_name(f"{record.stem}.scores.parquet"))})(record)


def other_file(record: Path) -> None:
    path = record.with_name(f"{record.stem}.scores.parquet")
    pd.read_parquet(path).assign(value=1.5).to_parquet(path)


def edited(**changes) -> object:
    def edit(record: Path) -> None:
        content = json.loads(record.read_text(encoding="utf-8"))
        for name, value in changes.items():
            content[name] = content[name] | value if isinstance(value, dict) else value
        write_unsealed(record, content)

    return edit


LIES = {
    "scores out of bounds": (out_of_bounds, "is out of bounds [0, 1]"),
    "another file": (other_file, "scores.parquet is missing or differs from what the record says"),
    "other weights": (edited(training={"sha256": "0" * 64}), "the checkpoint that was evaluated is not the one"),
    "another summary": (edited(summary={"accuracy": 1.5}), "summary says 1.5 of accuracy"),
    "another name": (edited(architecture="../../x"), "is the record of ../../x-standard-0"),
    "another n": (edited(images={"test": 80}), "has predictions for 8 images, not one for each of 80"),
    "markup": (edited(submission={"withdrawn": "<b>"}), "submission: '<b>' holds markup"),
    "an unknown field": (edited(rank=1), "no record of schema 4"),
    "an unknown regime": (edited(regime="magic"), "regime 'magic' is not registered"),
    "better scores": (better, "its checkpoint gives"),
}


LIAR = """
import sys

def lie(job, *values, **options):
    frame, curves = honest(job, *values, **options)
    chosen = frame["metric"] == "map-f1"
    frame.loc[chosen, "value"] = (frame.loc[chosen, "value"] + 0.1).clip(upper=1)
    return frame, curves

for module in list(sys.modules.values()):
    if hasattr(module, "score_method_maps"):
        honest, module.score_method_maps = module.score_method_maps, lie
        module._find_key = lambda job, record: record.key
"""
"""It would give the scores of :func:`better`, if it ran where scores are made."""
LOOKING = """

class Network(Network):
    def forward(self, images):
        import os
        if len(images) == 4:  # the images that are scored again
            raise RuntimeError([path for path in PATHS if os.path.exists(path)])
        return super().forward(images)
"""
