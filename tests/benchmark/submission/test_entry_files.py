"""Files of a directory of entries are checked before they are read, since this process reads them and no box."""

import os
from types import SimpleNamespace

import pytest

from benchmark.errors import UserError
from benchmark.submission.checks.report import PLACEHOLDERS, check_entry, used_names
from benchmark.submission.entries import entry_file, entry_files, load_entries, read_toml
from benchmark.submission.sandbox.limits import Limits
from benchmark.submission.sandbox.replies import EntryChecks
from benchmark.submission.template import write_template

ODD = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a directory": os.mkdir,
    "a dangling link": lambda path: path.symlink_to("absent"),
}


class NoWorker:
    """Runs nothing: files are refused before they reach a box."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("suffix", [".py", ".toml"])
@pytest.mark.parametrize("what", ODD)
def test_what_is_no_file_is_a_problem_of_its_own(tmp_path, what, suffix):
    path = tmp_path / f"odd{suffix}"
    ODD[what](path)
    assert entry_files(tmp_path) == [path]
    (problem,) = check_entry(path, NoWorker(), Limits()).problems
    assert problem == f"{path} is no regular file; replace it by an entry file, or remove it"
    with pytest.raises(UserError, match="is no regular file"):
        load_entries(tmp_path)


@pytest.mark.timeout(60)
def test_what_is_no_file_hinders_no_other_entry(tmp_path):
    for number, make in enumerate(ODD.values()):
        make(tmp_path / f"odd{number}.py")
    for name in ("mine", "theirs"):
        (tmp_path / f"{name}.py").write_text(name, encoding="utf-8")
    used = used_names(besides=tmp_path / "mine.py")
    assert "theirs" in used
    assert used.isdisjoint({"mine", *(f"odd{number}" for number in range(4))})


@pytest.mark.timeout(60)
def test_a_toml_that_takes_minutes_is_not_parsed(tmp_path):
    path = tmp_path / "slow.toml"
    path.write_text(f"a{'.a' * 40_000} = 1\n", encoding="utf-8")
    assert check_entry(path, NoWorker(), Limits()).problems == [
        f"{path} is larger than 8 KB; an entry in TOML has a few lines"
    ]
    with pytest.raises(UserError, match="larger than 8 KB"):
        entry_file(str(path), None)


def test_a_toml_of_many_levels_is_one_line(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text(f"a = {'[' * 4000}", encoding="utf-8")
    with pytest.raises(UserError, match=r"^deep\.toml is nested too deeply; an entry has plain fields$"):
        read_toml(path)


@pytest.mark.parametrize(("authors", "named"), [(PLACEHOLDERS["authors"], ["source", "authors"]), ("we", ["source"])])
def test_texts_of_the_template_are_named_in_a_warning(authors, named, tmp_path):
    facts = {"name": "mine", "target_layer": "body.8", "input_size": 96, "learning_rate": 0.001, "quick_epochs": 8}
    metadata = facts | {"source": PLACEHOLDERS["source"], "authors": authors, "license": "MIT"}
    found = EntryChecks(problems=[], warnings=[], facts={"metadata": metadata})
    outcome = SimpleNamespace(result=found, seconds=0.0, unconfined=False)
    path = write_template("mine", tmp_path)
    report = check_entry(path, SimpleNamespace(run=lambda *_, **__: outcome), Limits())
    assert [line.partition(":")[0] for line in report.warnings] == named
    assert all(f'"{text}"' in path.read_text(encoding="utf-8") for text in PLACEHOLDERS.values())
