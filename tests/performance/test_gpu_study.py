"""The study on a GPU keeps its time, goes on where it stopped, and names what is missing."""

import json
import os
import time

import pytest

from tests.performance import gpu_study
from tests.performance.gpu_study import DONE, FAILED, STOPPED, Step, parsed, perform, plan, study, unmet_requirements


@pytest.fixture
def steps(monkeypatch):
    """A study of two quick steps and its tables. Each writes down that it ran."""
    made = [
        Step(name=name, module="json", words=("-c", f"print('ran {name}')"), share=0.9)
        for name in ("checks", "study", "tables")
    ]
    monkeypatch.setattr(gpu_study, "plan", lambda *_: made)
    return made


def arguments(tmp_path, *more):
    return parsed(["--output", str(tmp_path / "gpu"), "--device", "cpu", *more])


def test_a_finished_step_is_skipped_and_tables_are_made_again(tmp_path, steps):
    assert study(arguments(tmp_path)) == 0
    assert study(arguments(tmp_path)) == 0
    runs = {step.name: (tmp_path / "gpu" / f"{step.name}.log").read_text().count("ran") for step in steps}
    assert runs == {"checks": 1, "study": 1, "tables": 2}
    page = (tmp_path / "gpu" / "README.md").read_text()
    assert "| study | done |" in page


def test_a_step_whose_time_is_up_is_interrupted_and_the_study_says_so(tmp_path, steps, capsys, monkeypatch):
    steps[1] = Step(name="study", module="json", words=("-c", "import time; time.sleep(60)"), share=0.5)
    monkeypatch.setattr(gpu_study, "GRACE_S", 1)  # of a suite in the background, children ignore the interrupt
    begun = time.monotonic()
    assert study(arguments(tmp_path, "--minutes", "0.05")) == 1
    assert time.monotonic() - begun < 30
    assert json.loads((tmp_path / "gpu" / "progress.json").read_text())["study"]["status"] == STOPPED
    assert "not done: study" in capsys.readouterr().out


def test_a_missing_package_is_named_and_a_failure_is_one(tmp_path):
    def status(module, code):
        step = Step(name="one", module=module, words=("-c", code))
        return perform(step, time.monotonic() + 30, dict(os.environ), tmp_path / "log")

    assert "No module named 'nowhere'" in status("nowhere", "")
    assert status("json", "raise SystemExit(2)") == FAILED
    assert status("json", "") == DONE


def test_packages_that_are_missing_or_of_another_version_are_named(monkeypatch):
    known = gpu_study.importlib.metadata.version

    def version(name):
        if name == "captum":
            raise gpu_study.importlib.metadata.PackageNotFoundError
        return "2.5.2" if name == "numpy" else known(name)

    monkeypatch.setattr(gpu_study.importlib.metadata, "version", version)
    assert unmet_requirements() == ["captum is missing", "numpy is 2.5.2, not <2.4"]


def test_options_of_the_run_follow_two_dashes():
    words = parsed(["--data", "images", "--", "--architecture", "mobilenet"])
    command = next(step.words for step in plan(words.data, words.device, words.run_options) if step.name == "study")
    assert command[-4:] == ("--data", "images", "--architecture", "mobilenet")
