"""The commands `new` and `submit`: templates, options, names of timm, and mistakes."""

import subprocess
import sys

import pytest
import typer

from benchmark.__main__ import app
from benchmark.errors import UserError
from benchmark.storage.paths import ROOT
from benchmark.submission import submit as submitting
from benchmark.submission.entries import load_entry
from benchmark.submission.request import SubmissionRequest
from benchmark.submission.submit import SubmissionResult, describe_other_protocols
from benchmark.submission.template import timm_entry, write_template


@pytest.mark.parametrize(
    ("number", "start"),
    [(0, ""), (1, "1 model of this table was made under another protocol"), (2, "2 models of this table were made")],
)
def test_one_model_is_no_plural(number, start):
    apart = SubmissionResult(directory=ROOT, records=(), report=None, num_apart=number)
    assert describe_other_protocols(apart, "quick").startswith(start)
    assert ("It is listed" in describe_other_protocols(apart, "quick")) == (number == 1)


def test_new_writes_an_entry_once(tmp_path):
    assert write_template("my_net", tmp_path).name == "my_net.py"
    for name, line in (("my_net", "already exists"), ("resnet50", "is in use"), ("../x", "cannot be a name")):
        with pytest.raises(UserError, match=line):
            write_template(name, tmp_path)


@pytest.mark.parametrize("directory", ["entries", "architectures"])
def test_what_new_writes_passes_the_gate_where_it_is_committed(tmp_path, directory):
    text = write_template("my_net", tmp_path).read_text(encoding="utf-8")
    for command in (["check"], ["format", "--diff"]):
        words = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(ROOT / directory / "my_net.py"), "-"]
        done = subprocess.run(words, cwd=ROOT, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("checkpoint", "changes", "side"),
    [({"file": "x"}, {}, 299), ({"file": "x"}, {"image_size": 128}, 128), (None, {}, None)],
)
def test_a_checkpoint_is_scored_at_its_input_size_unless_another_one_is_named(checkpoint, changes, side):
    lines = []
    facts = {"checkpoint": checkpoint, "input_size": 299}
    request = submitting._at_input_size(SubmissionRequest(changes=changes), facts, lines.append)
    assert request.changes.get("image_size") == side
    assert len(lines) == (side == 299)


def test_submit_has_every_option_of_run_that_decides_what_is_measured():
    commands = typer.main.get_command(app).commands
    run, submit_options = ({option.name for option in commands[name].params} for name in ("run", "submit"))
    training = {"pretrain", "class_map", "compiled", "log", "train_only"}
    data = {"attributes", "split_groups"}  # what a data set may hold, which the maintainer's run decides
    where = {"architecture", "engine", "address", "cells_per_gpu", "dry_run"}
    shown = {"publish_images", "pseudonyms"}  # what the maintainer publishes, and under which names
    assert run - submit_options == training | data | where | shown


def test_the_options_of_submit_reach_the_evaluation(monkeypatch, tmp_path):
    requests = []
    monkeypatch.setattr(submitting, "submit", lambda _entry, request, *_, **__: requests.append(request) or stop())
    words = [
        "--image-size",
        "112",
        "--method",
        "rise",
        "--metric",
        "road",
        "--batch-size",
        "4",
        "--aggregation",
        "union",
    ]
    words += ["--image-dir", str(tmp_path), "--limit", "0", "--eps", "0.5", "--alignment", "none"]
    with pytest.raises(UserError, match="stop"):
        typer.main.get_command(app)(
            ["submit", str(write_template("by_options", tmp_path)), *words], standalone_mode=False
        )
    assert requests[0].images == tmp_path
    assert requests[0].changes == {
        "image_size": 112,
        "methods": ("rise",),
        "metrics": ("road",),
        "batch_size": 4,
        "aggregation": "union",
        "limit": None,
        "attack_eps": (0.5,),
        "alignment": "none",
    }


def stop():
    raise UserError("stop")


@pytest.mark.parametrize(
    ("timm", "name", "reason"),
    [
        ("resnet50", None, "--timm resnet50: an architecture of Loupe is named resnet50; give another name by --name"),
        ("a b", None, "--timm 'a b': not a valid name; give one such as regnety_002, and --name for the entry"),
        ("hf-hub:only", None, "--timm 'hf-hub:only': not a valid name"),
    ],
)
def test_a_timm_name_that_cannot_be_an_entry_is_refused_with_its_remedy(timm, name, reason):
    with pytest.raises(UserError) as caught:
        timm_entry(timm, name, "")
    assert str(caught.value).startswith(reason)


def test_a_repository_on_the_hub_is_an_entry_and_offline_one_sentence(tmp_path, monkeypatch):
    name, text = timm_entry("hf-hub:timm/ViT_tiny-x.y", None, "")
    assert name == "vit_tiny_x_y"
    (tmp_path / "entry.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(
        "timm.models.load_model_config_from_hf", lambda *_: (_ for _ in ()).throw(RuntimeError("no net"))
    )
    with pytest.raises(UserError) as caught:
        load_entry(tmp_path / "entry.toml")
    remedy = "check the name, and connect once to cache it"
    reason = "hf-hub:timm/ViT_tiny-x.y: its configuration could not be fetched"
    assert str(caught.value) == f"entry.toml: {reason}; {remedy}"


def test_a_mistake_on_the_command_line_is_one_line():
    command = [sys.executable, "-m", "benchmark", "submit"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: give an entry file or --timm NAME")
    assert len(done.stderr.splitlines()) == 1
