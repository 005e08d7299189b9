"""README, guides and site: that what they say can be typed, found and read."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml

from benchmark.__main__ import app
from tests.prose import Prose, pages, read_prose, split_sentences, table, together

ROOT = Path(__file__).resolve().parent.parent
PAGES = pages()
OTHERS = [ROOT / "CHANGELOG.md", *sorted((ROOT / ".github").rglob("*.md"))]
FENCED = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"``([^`\n]+)``|`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ROLE = re.compile(r":doc:`([^`]+)`")
CALL = re.compile(r"^(?:\.venv/bin/)?python -m benchmark\b(.*)")
MAKE = re.compile(r"^(?:[A-Z_]+=\S+ )*make ([a-z-]+)(.*)")
OUTSIDE = re.compile(r"(?<![\w.$/])(?:~|/(?:work|home|root|tmp|opt|usr|mnt|srv|var|etc|data|farm))/|\bshared/")
OURS = ("architectures", "benchmark", "datasets", "docs", "metrics", "results", "tests")
BRITISH = re.compile(
    r"\b\w*(?:colour|centre[ds]?|licence|neighbour|behaviour|grey|labell|tumour|analyse|(?:normal|random|optim|recogn|summar|local)is(?:e|ing|ation))\w*",
    re.IGNORECASE,
)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def slug(heading: str) -> str:
    """The anchor that a code host gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def code(page: Path) -> Iterator[str]:
    """Lines of code blocks, and pieces of inline code."""
    text = page.read_text(encoding="utf-8")
    for block in FENCED.findall(text):
        yield from block.splitlines()
    for double, single in INLINE.findall(FENCED.sub("", text)):
        yield double or single


def calls() -> Iterator[str]:
    """The command lines of Loupe that the pages show, those inside of make's ARGS too."""
    for page in PAGES:
        for line in code(page):
            if found := CALL.match(line):
                yield shlex.join(shlex.split(found[1], comments=True))
            elif (made := MAKE.match(line)) and "ARGS=" in made[2]:
                words = dict(word.split("=", 1) for word in shlex.split(made[2], comments=True) if "=" in word)
                verb = {"benchmark": "run", "submit": f"submit {words.get('ENTRY', '')}"}.get(made[1])
                if verb:
                    yield f"{verb} {words['ARGS']}"


@cache
def command_line():
    return typer.main.get_command(app)


def parse(command, words: list[str]) -> None:
    """Parses words as the command line would, without doing anything; raises what it would."""
    if "--help" in words or "-h" in words:
        words = [word for word in words if word not in {"--help", "-h"}]
        if not words:
            return
    if not hasattr(command, "commands"):
        command.make_context(command.name, list(words))
        return
    if words[0].startswith("-"):
        assert words[0] in {option for each in command.params for option in each.opts}, words[0]
        return
    assert words[0] in command.commands, f"there is no command {words[0]}"
    parse(command.commands[words[0]], words[1:])


def options(command) -> set[str]:
    """All options of a command and of those below it."""
    own = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    return own.union(*(options(each) for each in getattr(command, "commands", {}).values()))


def anchors(page: Path) -> set[str]:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def test_the_readme_is_short_and_in_order():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 170
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Installation",
        "Quickstart",
        "Results",
        "Two questions",
        "Your own data",
        "Your own model",
        "What is measured",
        "Documentation",
        "Limitations",
        "Citation",
        "License",
    ]
    before = text.split("## Installation")[0]
    assert "![" in before
    assert "plausibility" in before.lower()
    assert "faithfulness" in before.lower()


def test_results_of_the_readme_are_those_of_the_tables():
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## Results")[1].split("## ")[0]
    rows = [line.split("|")[1:-1] for line in text.splitlines() if "leaderboard.md" in line]
    assert len(rows) == 6
    for link, models, above_chance, best, gaussian in rows:
        page = (ROOT / LINK.findall(link)[0]).read_text(encoding="utf-8")
        first = next(line for line in page.splitlines() if re.match(r"\| 1 [(|]", line))
        baseline = next(
            line for line in page.splitlines() if re.search(r"cent(er|r)ed Gaussian", line) and line[0] == "|"
        )
        assert best.strip() in first
        assert "†" not in first
        below_chance = re.search(rf"Without a rank: (\d+) of {models.strip()} models", page)
        assert int(above_chance) == int(models) - (int(below_chance[1]) if below_chance else 0)
        assert "**None yet: no " in page
        assert f" {gaussian.strip()} [" in baseline
        assert re.search(rf"\n{models.strip()} models?, ", page)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_sentences_are_short(page):
    found = read_prose(page)
    assert found.mean_length <= 16, table([found])


def test_semicolons_are_rare():
    found = [read_prose(page) for page in PAGES]
    assert together(found).semicolons < 0.03, table(found)


def test_sentences_are_counted_as_a_reader_would():
    text = "# No sentence\n\nOne, e.g. this. Two\nlines; really!\n\n```\nno. code\n```\n\n| no | table |\n\n- An item\n"
    assert split_sentences(text) == ("One, e.g. this.", "Two lines; really!", "An item")
    found = Prose(page="", sentences=split_sentences(text))
    assert found.lengths == [2, 3, 3]
    assert found.semicolons == pytest.approx(1 / 3)


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=named)
def test_the_spelling_is_american(page):
    text = re.sub(r"\]\([^)]*\)", "]", FENCED.sub("", page.read_text(encoding="utf-8")))  # names of files are theirs
    assert BRITISH.findall(INLINE.sub("", text)) == []


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=named)
def test_links_lead_somewhere(page):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    targets = [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]
    targets += [f"{name}.md" for name in ROLE.findall(text)]
    missing = []
    for target in targets:
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            missing.append(target)
    assert missing == []


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=named)
def test_no_page_speaks_of_places_outside_of_the_repository(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if OUTSIDE.search(line)] == []


@pytest.mark.parametrize("words", sorted(set(calls())))
def test_commands_parse(words):
    parse(command_line(), shlex.split(words))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_options_exist(page):
    known = options(command_line())
    shown = {word.split("=")[0] for line in code(page) if not CALL.match(line) for word in line.split()}
    assert {word for word in shown if re.match(r"--[a-z]", word)} - known == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_targets_of_make_exist(page):
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {found[1] for line in code(page) if (found := MAKE.match(line))} - known == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_named_exist(page):
    examples = {
        "architectures/regnety_002.py",
        "metrics/peak.py",
        "tests/metrics/test_peak.py",
        "results/leaderboard.html",
    }
    examples |= {"results/my_images/quick/split.csv", "results/dermsynth/quick/leaderboard.html"}
    shown = {word.strip("/.,") for line in code(page) for word in line.split()}
    files = {word for word in shown if re.fullmatch(rf"(?:{'|'.join(OURS)})/[\w./-]+", word)}
    assert {word for word in files - examples if not (ROOT / word).exists()} == set()


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs"]
    places = [str(tmp_path / "html"), "-d", str(tmp_path / "trees")]
    done = subprocess.run([*command, *places], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "metrics.html").read_text(encoding="utf-8")
    assert "Gini index of the absolute saliency" in page
    assert "|dv|" in page


def test_the_citation_says_what_the_package_says():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors", "version", "date-released"} <= cited.keys()
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert f"## [{cited['version']}] - {cited['date-released']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_versions_of_the_changelog_have_dates():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *others = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert first == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading) for heading in others)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


def test_the_workflow_runs_the_gate_and_may_only_read():
    text = (ROOT / ".github/workflows/check.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    assert "pull_request_target" not in text
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert any("make check" in step.get("run", "") for step in job["steps"])


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=named)
def test_files_of_the_code_host_are_yaml(path):
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "ISSUE_TEMPLATE" and path.name != "config.yml":
        assert {"name", "description", "body"} <= found.keys()
        names = [part["id"] for part in found["body"] if part["type"] != "markdown"]
        assert len(names) == len(set(names))


def test_hooks_call_the_tools_of_the_project():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repository,) = hooks["repos"]
    assert repository["repo"] == "local"
    entries = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert entries == {".venv/bin/ruff", ".venv/bin/mypy"}
