"""The command on a card repeats a training: parsed again, it gives the same key."""

import json
import shlex
from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from benchmark import __main__ as program
from benchmark.cli import run as verb
from benchmark.config.options import OPTIONS, SOURCE_FLAGS, SOURCE_OPTIONS, are_source_options, changed_options
from benchmark.config.presets import PRESETS, Preset
from benchmark.experiments.build_record import build_provenance
from benchmark.experiments.job import Job
from benchmark.leaderboard.analysis.provenance import repeat_command

START = ["python", "-m", "benchmark"]
CELLS = {"--preset", "--architecture", "--regime", "--seed", "--name"}
NO_KEY = {"--engine", "--address", "--cells-per-gpu", "--train-only", "--log", "--dry-run", "--publish-images"}
"""Options that change no result."""


@pytest.fixture
def parse(own_folders, monkeypatch):  # noqa: ARG001 - nothing is written elsewhere
    """Runs a command without training and returns its first job."""
    planned: list[list[Job]] = []
    monkeypatch.setattr(verb, "_show_plan", planned.append)
    monkeypatch.setattr(verb, "_show_initial_weights", lambda _jobs: None)

    def parsed(*words: object) -> Job:
        outcome = CliRunner().invoke(program.app, [*map(str, words), "--dry-run"], catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        return planned[-1][0]

    return parsed


def record_of(job: Job) -> SimpleNamespace:
    """What the command needs of a job's record, through JSON."""
    cell = job.cell
    return SimpleNamespace(
        architecture=cell.architecture.name,
        regime=cell.regime.name,
        seed=cell.seed,
        variant=cell.variant,
        preset=job.preset.name,
        settings=json.loads(json.dumps({"preset": asdict(job.preset)})),
        provenance=build_provenance(job),
        submission=None,
        external_maps=None,
    )


def repeated(parse, job: Job) -> Job:
    words = shlex.split(repeat_command([record_of(job)]))
    assert words[:3] == START
    return parse(*words[3:])


def test_a_command_with_every_option_repeats_the_training(parse, own_folders, isic_tree):
    attributes = own_folders / "ages.csv"
    attributes.write_text("image,age\nISIC_0000000,40\n", encoding="utf-8")
    weights = own_folders / "my weights.safetensors"
    weights.write_bytes(b"its digest alone is part of the key")
    own = ("run", "--architecture", "mobilenet", "--device", "cpu", "--data", isic_tree, "--layout", "isic2018")
    own = (*own, "--attributes", attributes, "--allow-split-groups")
    first = parse(*own)
    job = parse(
        *(*own, "--regime", "adversarial", "--seed", "7", "--name", "mine", "--split", first.data.manifest),
        *("--pretrain", isic_tree, "--limit", "0", "--aggregation", "union", "--weights", weights, "--epochs", "3"),
        *("--image-size", "128", "--batch-size", "8", "--compile", "default", "--method", "gradient"),
        *("--method", "grad-cam", "--alignment", "none", "--metric", "all", "--eps", "0.5", "--eps", "1"),
    )
    assert are_source_options(job.options)
    again = repeated(parse, job)
    assert (again.key, again.identity, again.cell.name) == (job.key, job.identity, job.cell.name)
    assert again.data.split_origin == job.data.split_origin == "given"


def test_a_plain_command_repeats_the_training_and_says_no_more_than_it_must(parse, isic_tree):
    job = parse("run", "--architecture", "mobilenet", "--data", isic_tree, "--device", "cpu")
    assert repeated(parse, job).key == job.key
    start = "python -m benchmark run --preset quick --architecture mobilenet --regime standard --seed 0"
    command = f"{start} --data {isic_tree} --device cpu"
    assert repeat_command([record_of(job)]) == command


def test_every_option_of_run_is_repeated_or_changes_no_key():
    command = typer.main.get_command(program.app).commands["run"]
    options = {option for parameter in command.params for option in parameter.opts}
    assert set(OPTIONS) <= {field.name for field in fields(Preset)}
    assert options - set(OPTIONS.values()) - SOURCE_OPTIONS - SOURCE_FLAGS - CELLS == NO_KEY


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_a_preset_as_it_is_needs_no_options(preset):
    assert changed_options(preset) == []
    assert changed_options(replace(preset, autoattack=True, limit=7)) == ["--limit", "7", "--autoattack"]


def test_a_submission_is_submitted_again():
    record = SimpleNamespace(
        regime="standard",
        seed=0,
        variant="",
        preset="quick",
        settings={"preset": asdict(PRESETS["quick"])},
        provenance=None,
        external_maps=None,
        submission=SimpleNamespace(entry="mine.py"),
        architecture="mine",
    )
    command = "python -m benchmark submit entries/mine.py --preset quick --regime standard --seed 0 --seed 0"
    assert repeat_command([record, record]) == command
