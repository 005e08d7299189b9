"""Forged records, each a change to an honest one of a submitted entry: name, change and the reason that refuses it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.leaderboard.admission.scores import ScoreTableReader, mean_scores
from benchmark.storage.house import TableFacts, list_made, state_facts
from benchmark.storage.record import Record
from tests.benchmark.leaderboard.made_results import digests_of, make_results, make_submission

NAME = "theirs"
STEM = f"{NAME}-standard-0"
Content = dict[str, Any]


def make_table(directory: Path) -> Path:
    """Makes a table of two networks that a run published, and a submission."""
    make_results(directory, images=12, architectures=3, regimes=1)
    for path in sorted((directory / "records").glob("*.json")):
        path.write_text(json.dumps(read(path) | {"files": digests_of(path)}), encoding="utf-8")
    make_submission(directory, "inception_resnet_v2-standard-0", NAME)
    own = sorted((directory / "records").glob("[de]*.json"))
    content = read(own[0])
    frame = pd.read_parquet(own[0].with_suffix(".predictions.parquet"))
    facts = TableFacts(
        **{name: content[name] for name in ("dataset", "synthetic", "preset", "classes")},
        images=tuple(frame["image"]),
        labels=tuple(map(int, frame["label"])),
        groups=tuple(frame["group"]),
        settings=content["settings"]["preset"],
    )
    state_facts(directory, {content["protocol"]: facts})
    list_made(directory, own)
    return directory


def read(path: Path) -> Content:
    content: Content = json.loads(path.read_text(encoding="utf-8"))
    return content


def fields(**changes: Any) -> Callable[[Path], None]:
    """Changes fields of the record. Dictionaries are merged."""

    def forge(path: Path) -> None:
        content = read(path)
        for name, value in changes.items():
            content[name] = content[name] | value if isinstance(value, dict) and content.get(name) else value
        path.write_text(json.dumps(content), encoding="utf-8")

    return forge


def setting(part: str, **changes: Any) -> Callable[[Path], None]:
    def forge(path: Path) -> None:
        settings = read(path)["settings"]
        fields(settings=settings | {part: settings[part] | changes})(path)

    return forge


def metric(name: str, **changes: Any) -> Callable[[Path], None]:
    def forge(path: Path) -> None:
        metrics = read(path)["metrics"]
        fields(metrics={name: metrics.get(name, metrics["map-f1"]) | changes})(path)

    return forge


def frame(suffix: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    """Changes a table, and makes digests and summary agree with it again."""

    def forge(path: Path) -> None:
        file = path.with_suffix(f".{suffix}.parquet")
        change(pd.read_parquet(file)).to_parquet(file)
        agree(path)

    return forge


def agree(path: Path) -> None:
    fields(files=digests_of(path))(path)
    try:
        summary = mean_scores(
            ScoreTableReader().read(path.with_suffix(".scores.parquet"), 12), Record.model_validate(read(path))
        )
    except (ValueError, KeyError):
        return
    fields(summary={name: value for name, value in summary.items() if np.isfinite(value)})(path)


def parquet(suffix: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """Changes a table without pandas, which would repair it."""

    def forge(path: Path) -> None:
        file = path.with_suffix(f".{suffix}.parquet")
        pq.write_table(change(pq.read_table(file)), file)
        fields(files=digests_of(path))(path)

    return forge


def column(name: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[pa.Table], pa.Table]:
    """Replaces the values of a column, with their type."""
    return lambda t: t.set_column(t.schema.get_field_index(name), name, pa.array(change(t[name].to_pylist())))


def hidden(table: pa.Table) -> pa.Table:
    """Says that a column is the index of the rows."""
    metadata = json.loads(table.schema.metadata[b"pandas"]) | {"index_columns": ["value"]}
    return table.replace_schema_metadata({b"pandas": json.dumps(metadata).encode()})


def scores(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return frame("scores", change)


def predictions(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return frame("predictions", change)


def rename(name: str, regime: str = "standard", seed: int = 0, **changes: Any) -> Callable[[Path], None]:
    """Gives the record the name of another model, also in its files."""

    def forge(path: Path) -> None:
        for file in path.parent.glob(f"{path.stem}.*"):
            file.rename(file.with_name(file.name.replace(path.stem, f"{name}-{regime}-{seed}", 1)))
        target = path.with_name(f"{name}-{regime}-{seed}.json")
        entry = read(target)["submission"] | {"entry": f"{name}.py"}
        fields(**{"architecture": name, "regime": regime, "seed": seed, "submission": entry} | changes)(target)

    return forge


def copy_as(path: Path, name: str, **changes: Any) -> Path:
    """Copies the record to another name."""
    for file in path.parent.glob(f"{path.stem}.*"):
        shutil.copy(file, file.with_name(file.name.replace(path.stem, name, 1)))
    target = path.with_name(f"{name}.json")
    fields(**changes)(target)
    return target


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    file = path.with_suffix(".scores.parquet")
    file.unlink()
    file.symlink_to("/dev/zero")


def link_out(path: Path) -> None:
    target = path.parent.parent / "elsewhere.json"
    path.rename(target)
    path.symlink_to(target)


def deep(path: Path) -> None:
    path.write_text("[" * 200_000, encoding="utf-8")


def nested(path: Path) -> None:
    value: Any = 1
    for _ in range(40):
        value = [value]
    setting("training", weights=value)(path)


def wide(path: Path) -> None:
    """A few bytes that unfold to many rows."""
    file = path.with_suffix(".scores.parquet")
    pq.write_table(pa.table({"value": np.zeros(12 * 100_000 + 1)}), file)
    fields(files=digests_of(path))(path)


def long_name(path: Path) -> None:
    frame("predictions", lambda t: t.assign(group="x" * 5000))(path)


def other_file(path: Path) -> None:
    table = pd.read_parquet(path.with_suffix(".scores.parquet"))
    table.assign(value=1.0).to_parquet(path.with_suffix(".scores.parquet"))


def kinds(*changed: str) -> Callable[[pd.DataFrame], "pd.Series[bool]"]:
    return lambda t: t["metric"].astype(str).isin(changed)


F1 = ("map-f1", "fuzzy-f1")
FORGERIES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a free text as key": (fields(key="try 635"), "key is no hash"),
    "a free text as protocol": (fields(protocol="mine"), "protocol is no hash"),
    "wider bounds": (metric("map-f1", bounds=[-1000.0, 1000.0]), "are not those of the metric"),
    "the other direction": (metric("deletion", higher_is_better=True), "has the other direction"),
    "another definition": (metric("map-f1", definition="mine"), "defines the metrics otherwise"),
    "another rater": (
        scores(lambda t: t.assign(rater=t["rater"].astype(str).replace("derm1", "me"))),
        "rows, such as",
    ),
    "the three best images": (
        scores(lambda t: t[t["image"].astype(str).isin(sorted(t["image"].astype(str).unique())[:3])]),
        "of 12 test images",
    ),
    "labels are predictions": (predictions(lambda t: t.assign(label=t["predicted"])), "has other labels"),
    "everything withstood": (
        predictions(lambda t: t.assign(**{"withstood:pgd-5-l2-0.25": 1.0})),
        "says that a wrong answer withstood",
    ),
    "attacks of other images": (
        predictions(lambda t: t.assign(**{"withstood:pgd-5-l2-0.25": np.nan})),
        "is of other images",
    ),
    "an attack more": (predictions(lambda t: t.assign(**{"withstood:mine-l2-9": np.nan})), "lack the column"),
    "other groups": (predictions(lambda t: t.assign(group="one")), "has other groups"),
    "house weights": (
        lambda path: fields(training={"sha256": read(own(path))["training"]["sha256"]})(path),
        "has the weights of densenet121-standard-0.json",
    ),
    "a first training": (setting("training", start={"data": "x"}), "names a first training"),
    "smaller budgets": (setting("preset", attack_eps=[1e-9]), "as attack_eps"),
    "a house row": (rename("densenet121", seed=1), "is an architecture of this repository"),
    "a house row without a submission": (rename("densenet121", seed=1, submission=None), "no run published it here"),
    "the place of a house record": (
        lambda path: (own(path).unlink(), rename("densenet121", submission=None)(path)),
        "no run published it here",
    ),
    "another data set": (rename("aaa", dataset="mine"), "of dataset"),
    "real patients": (rename("aaa", synthetic=False), "of synthetic"),
    "another preset": (rename("aaa", preset="paper"), "of preset"),
    "a group per image": (predictions(lambda t: t.assign(group=t["image"])), "has other groups"),
    "other images": (
        lambda path: (
            predictions(lambda t: t.assign(image="x" + t["image"]))(path),
            scores(lambda t: t.assign(image="x" + t["image"].astype(str)))(path),
        ),
        "has other test images",
    ),
    "no scores": (scores(lambda t: t.assign(value=np.nan)), "for less than half of the images"),
    "no scores of hard images": (
        scores(lambda t: t.assign(value=t["value"].where(~(kinds(*F1)(t) & (t["value"] < 0.45))))),
        "undefined for maps that are not constant",
    ),
    "the easiest images": (scores(lambda t: t[~(kinds(*F1)(t) & (t["value"] < 0.45))]), "lacks"),
    "a metric less": (scores(lambda t: t[~kinds("deletion")(t)]), "lacks"),
    "classes reversed": (lambda path: fields(classes=read(path)["classes"][::-1])(path), "of classes"),
    "another side": (setting("preset", image_size=224), "as image_size"),
    "a score of 5": (scores(lambda t: t.assign(value=t["value"].where(~kinds(*F1)(t), 5.0))), "out of bounds"),
    "an infinite score": (scores(lambda t: t.assign(value=np.inf)), "out of bounds"),
    "the seed twice": (
        lambda path: copy_as(path, f"{STEM}-{'0' * 8}", identity="0" * 8, key="0" * 16),
        "has the model and seed of",
    ),
    "the key twice": (
        lambda path: fields(key=read(own(path))["key"])(path),
        "has the key of densenet121-standard-0.json",
    ),
    "another file name": (lambda path: copy_as(path, "other"), "rename the file"),
    "an empty regime": (rename(NAME, regime=""), "regime '' is not registered"),
    "an unknown regime": (rename(NAME, regime="magic"), "regime 'magic' is not registered"),
    "an unknown metric": (metric("mine", bounds=[0.0, 1e300]), "metric 'mine' is unknown"),
    "an unknown method": (fields(methods=["mine", "gradient"]), "method 'mine' is not registered"),
    "no settings": (lambda path: path.write_text(json.dumps(read(path) | {"settings": {}})), "settings lack"),
    "nested settings": (setting("training", weights={"a": {"b": 1}}), "settings have values"),
    "another environment": (fields(environment={"packages": ["torch"]}), "environment has values"),
    "no counts": (lambda path: path.write_text(json.dumps(read(path) | {"images": {}})), "images lack"),
    "labels out of range": (predictions(lambda t: t.assign(label=77)), "has other labels"),
    "labels as text": (predictions(lambda t: t.assign(label="a")), "no whole numbers in label"),
    "probabilities of 2": (predictions(lambda t: t.assign(p0=2.0)), "has probabilities"),
    "another answer": (predictions(lambda t: t.assign(predicted=1 - t["predicted"].clip(0, 1))), "predicts other"),
    "another summary": (fields(summary={"grad-cam: map-f1 (image)": 0.99}), "summary says 0.99"),
    "deep JSON": (deep, "no record of schema"),
    "nested JSON": (nested, "nested deeper"),
    "many rows": (wide, "more than 1200000"),
    "a long name": (long_name, "of more than 1000 characters"),
    "scores as text": (parquet("scores", column("value", lambda v: list(map(str, v)))), "no numbers in value"),
    "scores as lists": (parquet("scores", column("value", lambda v: [[x] for x in v])), "no numbers in value"),
    "truth values as labels": (
        parquet("predictions", column("label", lambda v: [x > 0 for x in v])),
        "no whole numbers in label",
    ),
    "names in lists": (parquet("predictions", column("image", lambda v: [[x] for x in v])), "lack the column image"),
    "a column twice": (parquet("scores", lambda t: t.append_column("value", t["value"])), "have a column twice"),
    "metadata that are no JSON": (
        parquet("scores", lambda t: t.replace_schema_metadata({b"pandas": b"{"})),
        "have columns that pandas cannot read",
    ),
    "a column as an index": (parquet("scores", hidden), "metadata that make a column an index"),
    "a pipe": (fifo, "no regular file"),
    "a device": (device, "link out of its directory"),
    "a link": (link_out, "link out of its directory"),
    "other scores": (other_file, "another SHA-256"),
    "no digests": (lambda path: path.write_text(json.dumps(read(path) | {"files": {}})), "names no SHA-256"),
    "a line break": (fields(provenance={"weights": "a\nb"}), "control characters"),
    "markup": (fields(submission={"withdrawn": "<script>"}), "holds markup"),
    "an option that trusts all code": (
        fields(provenance={"weights": "random", "options": ["--data", "x", "--trust"]}),
        "has words that no run writes",
    ),
    "a letter that looks like another": (rename("re\u0455net50"), "is no name"),
    "a mark of direction": (fields(regime_title="a\u202eb"), "control characters or direction marks"),
    "a control character": (fields(submission={"authors": "a\u009bb"}), "control characters or direction marks"),
    "the name of a baseline": (rename("constant 0.5"), "is no name"),
    "a negative seed": (rename(NAME, seed=-1), "seed -1 is out of range"),
    "the entry of another": (fields(submission={"entry": "resnet50.py"}), "but its entry is"),
    "maps and a submission": (
        fields(
            external_maps={"method": "lime", "source": "x", "sha256": "0" * 64, "predictions": "none", "sizes": {}},
        ),
        "it can only be one of them",
    ),
}


def own(path: Path) -> Path:
    """A record of the house."""
    return path.with_name("densenet121-standard-0.json")
