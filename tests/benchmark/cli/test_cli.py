"""The command line, used as a user would.

One whole run is a process, as a user starts it, and so are the runs that are killed. All else is called in this one.
"""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from architectures import Architecture
from benchmark.config.presets import QUICK
from benchmark.data.load import Source
from benchmark.errors import UserError
from benchmark.experiments.comparison_figure import plot_comparison
from benchmark.experiments.grid import build_grid
from benchmark.leaderboard.analysis.compare import ImagePair, compare_models
from benchmark.leaderboard.load.results import build_bootstrap_context, read_results
from benchmark.registry import entries
from benchmark.storage.paths import ROOT
from benchmark.storage.record import load_record
from tests.command import call, refused
from tests.conftest import write_isic_tree

RUN = ("run", "--architecture", "mobilenet", "--epochs", "1", "--device", "cpu")


def start(directory: Path, *words: object) -> subprocess.Popen[str]:
    """A process with runs and results in a directory, and one thread: files of tests run side by side."""
    command = [sys.executable, "-m", "benchmark", *map(str, words)]
    own = {"LOUPE_RUNS": str(directory / "runs"), "LOUPE_RESULTS": str(directory / "results"), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | own, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def run_process(directory: Path, *words: object) -> str:
    """What a process prints that ends well."""
    started = start(directory, *words)
    out, errors = started.communicate()
    assert started.returncode == 0, errors
    return out


def stem_of(directory: Path) -> Path:
    """The record of MobileNet, whose name ends with its identity, without the suffix."""
    (path,) = (directory / "records").glob("mobilenet-standard-0-*.json")
    return path.with_suffix("")


def the_gallery_shows_best_and_worst(directory: Path) -> None:
    assert len(list((directory / "gallery").glob("*.webp"))) == 3  # the images, and the maps of two models
    told = json.loads((directory / "gallery" / "mobilenet-standard.json").read_text(encoding="utf-8"))
    scores = pd.read_parquet(f"{stem_of(directory)}.scores.parquet")
    scores = scores[(scores["metric"] == "top-mask-f1") & (scores["level"] == "image")]
    scores = scores[scores["method"] == told["method"]].set_index("image")["value"]
    assert [each["score"] for each in told["extremes"]] == [scores.max(), scores.min()]
    assert [each["score"] for each in told["fixed"]] == [scores[each["name"]] for each in told["fixed"]]


def the_curves_have_the_areas_of_the_scores(directory: Path) -> None:
    stem = stem_of(directory)
    scores = pd.read_parquet(f"{stem}.scores.parquet").set_index(["method", "metric", "image"])["value"]
    curves = pd.read_parquet(f"{stem}.curves.parquet").groupby(["method", "kind", "image"], observed=True)
    assert len(curves) == len(scores[scores.index.get_level_values("metric").isin(["insertion", "deletion"])])
    for name, course in curves:
        assert np.trapezoid(course["probability"], course["share"]) == pytest.approx(scores[name], abs=1e-6)


def gallery_and_curves_agree_with_the_scores(directory: Path) -> None:
    the_gallery_shows_best_and_worst(directory)
    the_curves_have_the_areas_of_the_scores(directory)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run of MobileNet that is done: its folder, its data, what it printed and its table."""

    folder: Path
    data: Path
    stdout: str
    table: bytes

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny-isic" / "quick"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    """Trained alone, then run: the models stay as they are."""
    folder = tmp_path_factory.mktemp("finished")
    data = write_isic_tree(folder / "tiny-isic")

    def models() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("model.safetensors")}

    assert "2 of 2 models are trained" in run_process(folder, *RUN, "--data", data, "--train-only")
    assert not (folder / "results").exists()
    before = models()
    assert len(before) == 2
    printed = run_process(folder, *RUN, "--data", data)
    assert models() == before
    table = (folder / "results" / "tiny-isic" / "quick" / "leaderboard.csv").read_bytes()
    return Finished(folder=folder, data=data, stdout=printed, table=table)


def test_a_run_makes_a_leaderboard_and_a_second_one_does_nothing(finished, tmp_path, monkeypatch):
    folder, isic_tree, directory = finished.folder, finished.data, finished.results
    assert str(directory / "leaderboard.md") in finished.stdout.replace("\n", "")
    with (directory / "leaderboard.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    models = {(row["name"], row["regime"]) for row in rows if row["kind"] == "model"}
    assert models == {("mobilenet", "standard"), ("mobilenet", "adversarial")}
    assert {row["data"] for row in rows} == {"tiny-isic"}
    for row in rows:
        assert float(row["map_f1_low"]) <= float(row["map_f1"]) <= float(row["map_f1_high"])
        assert int(row["map_f1_n"]) == 8
    assert (directory / "leaderboard.html").is_file()
    gallery_and_curves_agree_with_the_scores(directory)
    page = (directory / "leaderboard.md").read_text(encoding="utf-8")
    assert "SYNTHETIC" not in page
    assert "centered Gaussian" in page
    for picture, kind in (("regimes.png", "PNG"), ("maps-standard.webp", "WEBP"), ("maps-adversarial.webp", "WEBP")):
        with Image.open(directory / picture) as opened:
            assert opened.format == kind
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    second = call(folder, *RUN, "--data", isic_tree)
    assert "Nothing to do: all 2 cells are done" in second.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before

    # As a run leaves it that is killed between the records and the tables.
    (directory / "protocol.json").write_text(json.dumps({"protocol": "another", "in_tables": []}), encoding="utf-8")
    (directory / "leaderboard.csv").write_text("old", encoding="utf-8")
    assert "2 of 2 cells are done" in call(folder, *RUN, "--data", isic_tree).stdout
    assert (directory / "leaderboard.csv").read_bytes() == finished.table

    (directory / "leaderboard.csv").unlink()
    assert call(folder, "leaderboard").returncode == 0
    assert (directory / "leaderboard.csv").read_bytes() == finished.table

    record = json.loads(stem_of(directory).with_suffix(".json").read_text(encoding="utf-8"))
    counts = {"available": 24, "left_out": 0, "train": 16, "validation": 0, "test": 8, "perturbed": 8, "attacked": 8}
    assert record["images"] == counts
    split = (directory / "split.csv").read_text(encoding="utf-8").splitlines()
    assert len(split) == 1 + 2 * 24
    again = call(folder, *RUN, "--data", isic_tree, "--split", directory / "split.csv")
    assert "Nothing to do: all 2 cells are done" in again.stdout
    assert json.loads(call(folder, "status", "--json").stdout)["runs"]["cells"] == 2

    # After one epoch the two models are the same to the bit, so the image to show is named here.
    monkeypatch.setenv("LOUPE_RUNS", str(folder / "runs"))
    published = read_results(directory)
    compared = compare_models(published, ("mobilenet/standard", "mobilenet/adversarial"))
    image = ImagePair(image=build_bootstrap_context(published).images[0], index=0, one=0.0, other=0.0)
    shown = replace(compared, images=(image,))
    assert plot_comparison(published, shown, Source(directory=isic_tree), tmp_path / "compared.png")
    assert (tmp_path / "compared.png").read_bytes().startswith(b"\x89PNG")
    assert not plot_comparison(published, shown, Source(directory=tmp_path / "nowhere"), tmp_path / "nothing.png")

    (directory / "records" / "damaged.json").write_text("{", encoding="utf-8")
    rebuilt = call(folder, "leaderboard")
    assert rebuilt.returncode == 1
    assert "damaged.json: no record of schema" in rebuilt.stdout
    assert (directory / "leaderboard.csv").read_bytes() == finished.table


@pytest.mark.slow
def test_killed_at_any_moment_a_run_ends_with_the_same_bytes(finished, tmp_path):
    draw = random.Random(int.from_bytes(os.urandom(4)))
    for _ in range(3):
        started = start(tmp_path, *RUN, "--data", finished.data)
        time.sleep(draw.uniform(3, 12))
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
    run_process(tmp_path, *RUN, "--data", finished.data)
    assert (tmp_path / "results" / "tiny-isic" / "quick" / "leaderboard.csv").read_bytes() == finished.table


def test_a_dry_run_shows_the_cells_and_does_nothing(tmp_path, isic_tree):
    done = call(tmp_path, "run", "--data", isic_tree, "--dry-run")
    cells = len(build_grid(QUICK, [], [], []))
    assert f"{cells} cells: 0 done, {cells} to do" in done.stdout
    # In the order of the run, the cheapest first. The grid begins with the first name of the alphabet.
    listed = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("to do")]
    assert len(listed) == cells
    assert listed[0] in {"mobilenet/standard/0", "mobilenet_v2/standard/0"}
    assert not (tmp_path / "results").exists()
    # Without scores nothing is gained by an order.
    done = call(tmp_path, "run", "--data", isic_tree, "--dry-run", "--train-only")
    listed = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("to do")]
    assert listed == [cell.name for cell in build_grid(QUICK, [], [], [])]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "--architecture", "resnet5"), "unknown architecture 'resnet5'; nearest: resnet50"),
        (("run", "--regime", "standart"), "unknown regime 'standart'; nearest: standard"),
        (("run", "--preset", "quik"), "unknown preset 'quik'; nearest: quick"),
        (("run", "--data", "/nowhere/at/all"), "/nowhere/at/all is not a directory"),
        (("run", "--device", "quantum"), "--device quantum: there is no such device here"),
        (("list", "architecture"), "unknown kind 'architecture'; nearest: architectures"),
        (("list", "metrics", "roc-aux"), "unknown metric 'roc-aux'; nearest: roc-auc"),
        (("run", "--metric", "quantus:MaxSensitivty"), "unknown metric of Quantus 'MaxSensitivty'; nearest: Max"),
        (("leaderboard",), "has no results"),
        (("leaderbord",), "No such command 'leaderbord'"),
        (("run", "--eps", "-1"), "--eps -1: a budget must be more than 0"),
        (("run", "--compile", "fast"), "--compile fast: must be default or reduce-overhead"),
        (("run", "--image-size", "32"), "'--image-size': Input should be greater than or equal to 96"),
        (("run", "--batch-size", "1"), "'--batch-size': Input should be greater than or equal to 2"),
        (("run", "--method", "grad-kam"), "unknown method 'grad-kam'; nearest: grad-cam"),
        (("run", "--metric", "ginny"), "unknown metric 'ginny'; nearest: "),
        (("run", "--log", "paper"), "--log paper: unknown; give --log tensorboard"),
        (("run", "--regime", "robust-stem-9"), "unknown regime 'robust-stem-9'; nearest: robust-stem"),
        (("run", "--autoattack"), "--autoattack: autoattack is not installed"),
        (("run", "--train-only", "--engine", "ray"), "--train-only trains in this process"),
        (("run", "--seed", "first"), "Invalid value for '--seed'"),
        (("run", "--color", "red"), "No such option"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, words, expected):
    assert expected in refused(call(tmp_path, *words))


def test_bad_folders_are_one_line_and_lose_nothing(tmp_path, isic_tree):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "is empty" in refused(call(tmp_path, "run", "--data", empty))
    (empty / "notes.txt").write_text("nothing here", encoding="utf-8")
    assert "has none of the layouts" in refused(call(tmp_path, "run", "--data", empty))

    images = isic_tree / "ISIC2018_Task1-2_Training_Input"
    kept = (images / "ISIC_0000003.png").read_bytes()
    (images / "ISIC_0000003.png").unlink()
    line = refused(call(tmp_path, "run", "--data", isic_tree))
    assert "ISIC_0000003_segmentation.png is a mask without an image" in line

    (images / "ISIC_0000003.png").write_bytes(kept[:50])
    line = refused(call(tmp_path, "run", "--data", isic_tree))
    assert "ISIC_0000003.png cannot be read as an image" in line
    assert not (tmp_path / "results").exists()


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(UserError, match="unknown preset 'quik'"):  # which Python shows with its traceback
        call(tmp_path, "--debug", "run", "--preset", "quik")


def test_lists_are_json_with_what_programs_need(tmp_path):
    rows = json.loads(call(tmp_path, "list", "architectures", "--json").stdout)
    assert [row["name"] for row in rows] == list(entries(Architecture))
    assert {"name", "parameters", "target_layer", "input_size", "source"} <= rows[0].keys()
    resnet = next(row for row in rows if row["name"] == "resnet50")
    assert abs(resnet["parameters"] / 25_636_712 - 1) < 0.01


@pytest.mark.parametrize("kind", ["regimes", "methods", "metrics", "datasets", "aggregations", "presets"])
def test_every_kind_can_be_listed(tmp_path, kind):
    rows = json.loads(call(tmp_path, "list", kind, "--json").stdout)
    assert rows
    assert all(row["name"] for row in rows)
    if kind != "presets":
        assert all(row["source"] for row in rows)


@pytest.mark.parametrize(
    "verb",
    ["run", "list", "data check", "data synthesize", "baselines", "leaderboard", "status", "new", "check", "submit"],
)
def test_every_verb_has_help_with_an_example(tmp_path, verb):
    assert "Example: python -m benchmark" in " ".join(call(tmp_path, *verb.split(), "--help").stdout.split())


def test_training_begins_on_another_set_with_classes_matched_by_name(tmp_path, isic_tree):
    clinic = tmp_path / "clinic"
    rng = np.random.default_rng(0)
    for number in range(16):
        # In the order of names the classes are the other way round here.
        pixels = rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)
        pixels[..., number % 2] //= 2
        directory = clinic / "images" / ("z_benign", "Melanoma")[number % 2]
        directory.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(directory / f"{number}.png")
    run = (*RUN, "--regime", "standard", "--method", "gradient", "--data", isic_tree, "--pretrain", clinic)
    assert "class 'z_benign' of" in refused(call(tmp_path, *run))
    (tmp_path / "map.csv").write_text("from,to\nz_benign,benign\n", encoding="utf-8")
    done = call(tmp_path, *run, "--class-map", tmp_path / "map.csv")
    assert done.returncode == 0, done.stderr
    directory = tmp_path / "results" / "tiny-isic" / "quick"
    record = json.loads(stem_of(directory).with_suffix(".json").read_text(encoding="utf-8"))
    assert record["settings"]["training"]["start"] == {"data": "clinic", "regime": "standard", "train": 16}
    assert len(list((tmp_path / "runs" / "models").iterdir())) == 2


@pytest.mark.slow
def test_dear_metrics_and_those_of_quantus_are_scored_and_recorded(tmp_path, isic_tree):
    of_quantus = {
        "quantus:MaxSensitivity?nr_samples=2": "map",
        "quantus:FaithfulnessCorrelation?nr_runs=4": "map",
        "quantus:RandomLogit": "map",
        "quantus:Sparseness": "map",
        "quantus:RelevanceRankAccuracy": "image",
        "quantus:IROF": "map",
    }
    own = ("max-sensitivity", "local-lipschitz", "parameter-randomization", "random-logit")
    asked = [word for name in (*own, *of_quantus) for word in ("--metric", name)]
    run = (*RUN, "--regime", "standard", "--method", "gradient", "--data", isic_tree, *asked)
    done = call(tmp_path, *run)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "quantus:IROF has no score for 8 maps: AssertionError: The shape of arr must be the same" in told
    assert done.stderr == ""
    stem = stem_of(tmp_path / "results" / "tiny-isic" / "quick")
    scores = pd.read_parquet(f"{stem}.scores.parquet")
    record = load_record(stem.with_suffix(".json"))
    for name, level in {**of_quantus, **dict.fromkeys(own, "map")}.items():
        found = scores[(scores["metric"] == name) & (scores["level"] == level)]
        assert len(found) == 8
        assert found["value"].isna().all() == (name == "quantus:IROF")
        assert name in record.metrics
        assert f"gradient: {name} ({level})" in record.summary
    assert record.metrics["quantus:RandomLogit"].bounds == (float("-inf"), float("inf"))
    wide = scores[scores["level"] == "map"].pivot_table(index="image", columns="metric", values="value")
    assert (wide["sparsity"] - wide["quantus:Sparseness"]).abs().max() < 1e-4
    assert "Nothing to do" in call(tmp_path, *run).stdout
