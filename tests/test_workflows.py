"""The way in for strangers: workflows without rights, and packages with hashes."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
REQUIREMENT = re.compile(r"^([a-z0-9-]+)==\S+", re.MULTILINE)


def load(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["on"] = content.pop(True)  # YAML 1.1 reads the key `on` as a truth value
    return content


def steps(path):
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_can_only_read_and_has_no_secrets(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job or "environment" in job for job in workflow["jobs"].values())
    # These two run with the rights of the base branch, whatever the pull request holds.
    assert not {"pull_request_target", "workflow_run"} & set(workflow["on"])
    assert not re.search(r"secrets\b|github\.token|GITHUB_TOKEN", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_text_of_a_pull_request_becomes_a_part_of_a_script(path):
    assert not [step["run"] for step in steps(path) if "${{" in step.get("run", "")]
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def git(directory, *words):
    return subprocess.run(["git", *words], cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


def write(directory, files):
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    git(directory, "add", "-A")
    git(directory, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a")
    return git(directory, "rev-parse", "HEAD")


def test_a_submission_brings_entries_and_records_and_no_code(tmp_path):
    """The step of the workflow that takes them, on a pull request with odd names and changes everywhere."""
    origin, runner = tmp_path / "origin", tmp_path / "runner"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    record = "results/d/quick/records/a-standard-0.json"
    ours = {"Makefile": "ours", "benchmark/a.py": "ours", record: "ours", "results/d/quick/split.csv": "ours"}
    base = write(origin, ours)
    git(origin, "checkout", "-qb", "theirs")
    new = {"entries/$(touch x) b\n'\".py": "new", "results/d/quick/records/b-standard-0.json": "new"}
    theirs = {
        **dict.fromkeys(ours, "theirs"),
        ".github/workflows/submission.yml": "theirs",
        "results/d/quick/data.webp": "x",
    }
    head = write(origin, theirs | new)
    git(origin, "update-ref", "refs/pull/7/head", head)
    git(tmp_path, "clone", "-q", "--branch", "main", str(origin), str(runner))
    scripts = [step.get("run", "") for step in steps(ROOT / ".github" / "workflows" / "submission.yml")]
    (script,) = [script for script in scripts if "git fetch" in script]
    environment = os.environ | {"BASE": base, "HEAD": head, "NUMBER": "7", "CHANGED": str(tmp_path / "changed")}
    subprocess.run(["bash", "-e", "-c", script], cwd=runner, env=environment, check=True, capture_output=True)
    expected = ours | new | {record: "theirs"}
    files = [path for path in runner.rglob("*") if path.is_file() and ".git" not in path.relative_to(runner).parts]
    assert {path.relative_to(runner).as_posix(): path.read_text() for path in files} == expected
    changed = (tmp_path / "changed").read_text().splitlines()
    assert "M\tbenchmark/a.py" in changed
    assert f"M\t{record}" in changed


def test_every_package_is_pinned_by_hash_and_installed_by_it():
    requirements = [part for part in re.split(r"\n(?=\S)", LOCK.strip()) if not part.startswith("#")]
    assert all(REQUIREMENT.match(part) and "--hash=sha256:" in part for part in requirements)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"pip install .*", makefile)
    assert len(installs) == 3
    assert all("--require-hashes" in line for line in installs)


def test_the_lock_has_every_package_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=]", line)[0].strip().lower().replace("_", "-") for line in declared}
    assert names <= set(REQUIREMENT.findall(LOCK))
