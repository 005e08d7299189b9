"""Hostile and broken submissions: each is refused with a clear line, and nothing is changed on disk."""

import hashlib
import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from benchmark.submission.checks.report import check_entry
from benchmark.submission.sandbox.client import Worker, worker
from benchmark.submission.sandbox.limits import GIGABYTE, Limits
from benchmark.submission.template import TEMPLATE

GOOD = TEMPLATE.replace("NAME", "tiny").replace("CONSTANT", "TINY")
LIMITS = Limits(seconds=60, memory=2 * GIGABYTE, trust=True)


@pytest.fixture(scope="module")
def running():
    with worker() as process:
        yield process


@pytest.fixture
def entry(tmp_path):
    """Writes an entry file."""

    def write(text: str, name: str = "tiny.py") -> Path:
        path = tmp_path / "entries" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def tree(directory: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.rglob("*") if path.is_file()}


def changed(*pairs: tuple[str, str]) -> str:
    text = GOOD
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def with_layer(forward: str) -> str:
    """The template with a layer of its own before the classifier."""
    code = f"\n\nclass Layer(nn.Module):\n    def forward(self, x):\n        return {forward}\n"
    return changed(
        ("nn.Linear(64, classes)", "Layer(), nn.Linear(64, classes)"), ("\n\ndef build", f"{code}\n\ndef build")
    )


def first(line: str) -> str:
    """The template with a line at import."""
    return changed(("from torch import nn\n", f"from torch import nn\n{line}\n"))


def in_build(line: str) -> str:
    return changed(("    body = nn", f"    {line}\n    body = nn"))


BACK = "    return Network(body, MEAN, STD)"
HOSTILE = {
    "a name with a path in it": (changed(('name="tiny"', 'name="../../tiny"')), "name: String should match pattern"),
    "a name that exists": (
        changed(('name="tiny"', 'name="resnet50"')),
        "two Architecture entries are named 'resnet50'",
    ),
    "a name other than its file's": (
        changed(('name="tiny"', 'name="other"')),
        "is named other but its file is tiny.py",
    ),
    "code that raises": (first("raise RuntimeError('boo\\nmore')"), "importing it raises RuntimeError: boo"),
    "code that exits": (first("raise SystemExit(0)"), "importing it raises SystemExit: 0"),
    "code that ends its process": (first("import os; os._exit(0)"), "ended without a result"),
    "code that is no Python": ("def (", "importing it raises SyntaxError"),
    "no constant": ("X = 1\n", "has no constant of type Architecture"),
    "a network at import": (first("BODY = nn.Linear(3, 3)"), "importing it builds a network (Linear)"),
    "another default dtype": (
        first("import torch; torch.set_default_dtype(torch.float64)"),
        "importing it changes torch's default dtype",
    ),
    "seeds at import": (first("import torch; torch.manual_seed(3)"), "importing it changes torch's random numbers"),
    "seeds in build": (in_build("__import__('torch').manual_seed(3)"), "build sets torch's seed"),
    "determinism flags": (
        in_build("__import__('torch').use_deterministic_algorithms(True)"),
        "build(6) changes torch's determinism flag",
    ),
    "the environment": (first("import os; os.environ['LOUPE_RUNS'] = '/'"), "importing it changes the environment"),
    "needs 299 px and gets 96": (
        changed(("nn.AdaptiveAvgPool2d(1)", "nn.AvgPool2d(36)")),
        "a call on images of 96 x 96 px raises RuntimeError",
    ),
    "a layer that does not exist": (
        changed(("body.8", "body.layer4")),
        "has no module 'body.layer4' for the target layer",
    ),
    "a layer without a grid": (changed(("body.8", "body.9")), "the last module with a grid is 'body.8'"),
    "output of wrong width": (changed(("nn.Linear(64, classes)", "nn.Linear(64, 5)")), "returns (3, 5) for 3 images"),
    "not a number": (
        changed((BACK, "    body[0].weight.data.fill_(float('nan'))\n" + BACK)),
        "returns values that are no numbers",
    ),
    "random when evaluated": (
        with_layer("x + __import__('torch').rand_like(x)"),
        "a call changes torch's random numbers",
    ),
    "no gradient": (with_layer("x.detach()"), "Grad-CAM at 'body.8' raises RuntimeError"),
    "HTML in the metadata": (
        changed(("Who described it", "<script>alert(1)</script>")),
        "source: Value error, holds markup or a control character",
    ),
    "weights loaded by build": (
        in_build("return __import__('torch').load(__file__, weights_only=False)"),
        "build(6) raises",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_broken_entry_is_refused_in_a_clear_line(running, entry, tmp_path, what):
    text, line = HOSTILE[what]
    path = entry(text)
    before = tree(tmp_path)
    found = check_entry(path, running, LIMITS)
    assert any(line in problem for problem in found.problems), found.problems
    assert all("\n" not in problem for problem in found.problems)
    assert tree(tmp_path) == before


def test_the_template_passes_as_it_stands_but_for_its_own_texts(running, entry):
    found = check_entry(entry(GOOD), running, LIMITS)
    assert not found.problems
    assert [line.split(":")[0] for line in found.warnings] == ["source", "authors"]
    assert found.facts["grid"] == [12, 12]


def test_probabilities_are_warned_of(running, entry):
    found = check_entry(entry(changed(("classes),  #", "classes), nn.Softmax(dim=1),  #"))), running, LIMITS)
    assert not found.problems
    assert any("returns probabilities" in line for line in found.warnings)


MASKED = {
    "rounded": ("x.detach().round() + 0 * x", "its losses vanish"),
    "saturated": ("torch.tanh(1e4 * (x + 1))", "its losses vanish"),
    "huge": ("3e37 * x / x.abs().amax()", "multiplied by 10000 or divided"),
}


@pytest.mark.parametrize("what", MASKED)
def test_attacks_that_are_masked_are_warned_of(running, entry, what):
    forward, line = MASKED[what]
    code = f"\n\nclass Layer(nn.Module):\n    def forward(self, x):\n        return {forward}\n"
    last = ("nn.Linear(64, classes),", "nn.Linear(64, classes), Layer(),")
    imports = ("from torch import nn\n", "import torch\nfrom torch import nn\n")
    report = check_entry(entry(changed(last, ("\n\ndef build", f"{code}\n\ndef build"), imports)), running, LIMITS)
    assert [warning for warning in report.warnings if line in warning], report


@pytest.mark.parametrize(
    ("line", "limits", "expected"),
    [
        ("while True: pass", Limits(seconds=1.5), "takes more than 1.5 s; it was ended"),
        ("import time; time.sleep(99)", Limits(seconds=1.5), "takes more than 1.5 s; it was ended"),
        ("HOARD = bytearray(3 * 1024**3)", LIMITS, "needs more memory than allowed"),
        ("import torch; HOARD = torch.empty(3 * 1024**3, dtype=torch.uint8)", LIMITS, "needs more memory than allowed"),
        ("for _ in range(1024): print('x' * 1024**2)", LIMITS, "prints more than 64 KB; it was ended"),
    ],
    ids=["it spins", "it sleeps", "it eats memory", "it eats torch's memory", "it prints a gigabyte"],
)
def test_what_takes_too_much_is_ended(running, entry, line, limits, expected):
    found = check_entry(entry(first(line)), running, limits)
    assert any(problem.startswith(expected) for problem in found.problems), found.problems
    assert found.facts.get("seconds", 0) < 30


def test_a_child_that_is_left_behind_is_ended_too(running, entry):
    fork = first("import os, time\nif os.fork() == 0: time.sleep(600)")
    assert not check_entry(entry(fork), running, LIMITS).problems


def test_an_entry_runs_in_the_box_and_writes_only_its_scratch(running, entry, tmp_path):
    def problems(line: str) -> str:
        return " ".join(check_entry(entry(first(line)), running, LIMITS).problems)

    unconfined = check_entry(entry(GOOD), running, LIMITS).facts["unconfined"]
    if unconfined:
        pytest.skip(f"this system does not confine: {unconfined}")
    (tmp_path / "masks").mkdir()
    assert "No such file" in problems(f"import os; os.listdir({str(tmp_path / 'masks')!r})")
    assert "Read-only file system" in problems("open(__file__, 'w')")
    assert not problems("open('scratch', 'w').write('its own folder')")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "masks")  # a pull request may add one beside the entry
    assert "No such file" in problems(f"import os; os.listdir({str(tmp_path / 'masks')!r})")


FORGED = {
    "its own reply": (
        b'{"result": {"problems": [], "warnings": [], "facts": {"grid": [9, 9, 9]}}}',
        "List should have at most 2 items",
    ),
    "a number for a list": (b'{"result": {"problems": 3, "warnings": [], "facts": {}}}', "valid array"),
    "a text for a number": (b'{"result": {"problems": [], "warnings": [], "facts": {"parameters": "7"}}}', "integer"),
    "an unknown fact": (b'{"result": {"problems": [], "warnings": [], "facts": {"confined": true}}}', "Extra inputs"),
    "another shape": (b"[1, 2]", "should be an object"),
    "no JSON": (b"fine", "Invalid JSON"),
    "nothing": (b"{}", "ended without a result"),
    "depth": (b"[" * 200_000, "recursion limit exceeded"),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_reply_is_refused_by_its_schema(running, entry, what):
    forged, line = FORGED[what]
    text = first(f"import os\nREPLY = {forged!r}\nwhile REPLY: REPLY = REPLY[os.write(3, REPLY):]\nos._exit(0)")
    report = check_entry(entry(text), running, LIMITS)
    assert line in report.problems[0], report.problems


def test_text_for_the_terminal_is_printable(running, entry):
    forged = {"error": "\x1b]0;title\x07\u202ered\n\x9b31m"}
    line = f"import os; os.write(3, {json.dumps(forged).encode()!r}); os._exit(0)"
    problem = check_entry(entry(first(line)), running, LIMITS).problems[0]
    assert problem == "]0;titlered31m"


DIES = """
import json, sys
print('{"obstacle": ""}', flush=True)
for line in sys.stdin:
    if "dies.py" in line:
        sys.exit()
    result = {"problems": [], "warnings": ["it ran"], "facts": {}}
    answer = {"ended": "well", "payload": json.dumps({"result": result}), "output": "", "seconds": 1}
    print(json.dumps(answer), flush=True)
"""


def test_another_worker_goes_on_after_one_that_died(entry, tmp_path):
    with ExitStack() as stack:

        def start():
            command = [sys.executable, "-c", DIES]
            return stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))

        running = Worker(start, tmp_path)
        reports = [check_entry(entry(GOOD, name), running, LIMITS) for name in ("a.py", "dies.py", "b.py")]
        running._process.kill()
    assert [report.warnings for report in reports] == [["it ran"], [], ["it ran"]]
    assert "is there enough memory" in reports[1].problems[0]


def test_python_of_a_stranger_does_not_run_where_nothing_confines_it(running, entry, tmp_path, monkeypatch):
    check_entry(entry(GOOD), running, LIMITS)
    monkeypatch.setattr(running, "_obstacle", "no namespaces")
    text = first(f"open({str(tmp_path / 'ran')!r}, 'w')")
    report = check_entry(entry(text), running, replace(LIMITS, trust=False))
    assert report.problems == [
        "not run: this system cannot confine it (no namespaces); --trust runs it with all your rights"
    ]
    assert not (tmp_path / "ran").exists()
    toml = entry(TOML.replace("TIMM", "regnety_002"), "small.toml")  # no code, so it needs no box
    assert not check_entry(toml, running, replace(LIMITS, trust=False)).problems


def test_no_secret_of_the_environment_reaches_an_entry(monkeypatch, entry):
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    path = entry(first("import os\nprint(os.environ['PYTHONPATH'])\nassert 'SECRET_TOKEN' not in os.environ"))
    with worker() as process:
        assert not check_entry(path, process, LIMITS).problems
        environ = Path(f"/proc/{process._process.pid}/environ").read_bytes()
    assert b"PYTHONPATH" in environ
    assert b"secret" not in environ


def checkpoint(directory: Path) -> Path:
    """Weights of the template for two classes."""
    space: dict[str, object] = {}
    exec(compile(GOOD, "tiny.py", "exec"), space)  # our own text
    torch.manual_seed(0)
    path = directory / "entries" / "tiny.safetensors"
    path.parent.mkdir(exist_ok=True)
    safetensors.torch.save_file(space["build"](2).state_dict(), path)
    return path


def with_checkpoint(path: Path, **changes: str) -> str:
    arguments = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "regime": "standard",
        "trained_on": "colored squares",
        "source": "a test",
    } | changes
    fields = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return changed(
        ("import Architecture\n", "import Architecture, Checkpoint\n"),
        ('license="Apache-2.0",', f'license="MIT", checkpoint=Checkpoint({fields}, classes=("a", "b")),'),
    )


def tensors_changed(path: Path, name: str, value: torch.Tensor | None) -> None:
    tensors = safetensors.torch.load_file(path)
    tensors.pop(name, None)
    safetensors.torch.save_file(tensors | ({} if value is None else {name: value}), path)


HARM = {
    "a pickle": (lambda path: torch.save({"x": torch.ones(1)}, path), "is not a readable safetensors file"),
    "a page": (lambda path: path.write_text("<html>404</html>"), "is not a readable safetensors file"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:999]), "is not a readable safetensors file"),
    "of another shape": (
        lambda path: tensors_changed(path, "body.11.bias", torch.ones(1000)),
        "tensor 'body.11.bias' has shape (1000,), not (2,)",
    ),
    "lacking a tensor": (lambda path: tensors_changed(path, "body.0.weight", None), "lacks the tensor 'body.0.weight'"),
    "with one too many": (
        lambda path: tensors_changed(path, "body.back_door", torch.ones(1)),
        "has a tensor 'body.back_door' that the network lacks",
    ),
    "not a number": (
        lambda path: tensors_changed(path, "body.11.bias", torch.tensor([0.0, float("nan")])),
        "tensor 'body.11.bias' holds values that are not finite",
    ),
    "gone": (lambda path: path.unlink(), "does not exist; put the checkpoint into the entry's directory"),
}


@pytest.mark.parametrize("what", HARM)
def test_a_bad_checkpoint_is_refused_by_its_tensor(running, entry, tmp_path, what):
    harm, line = HARM[what]
    path = checkpoint(tmp_path)
    text = with_checkpoint(path)
    harm(path)
    if path.exists():
        text = with_checkpoint(path)
    found = check_entry(entry(text), running, LIMITS, with_checkpoint=True)
    assert any(line in problem for problem in found.problems), found.problems


def test_a_checkpoint_of_another_hash_place_or_regime_is_refused(running, entry, tmp_path):
    path = checkpoint(tmp_path)
    for changes, line in (
        ({"sha256": "0" * 64}, "the entry says 000000000000..."),
        ({"file": "../tiny.safetensors"}, "checkpoint file '../tiny.safetensors'"),
        ({"regime": "standart"}, "unknown regime 'standart'; nearest: standard"),
    ):
        found = check_entry(entry(with_checkpoint(path, **changes)), running, LIMITS)
        assert any(line in problem for problem in found.problems), found.problems
    assert not check_entry(entry(with_checkpoint(path)), running, LIMITS).problems


TOML = 'name = "small"\ntimm = "TIMM"\nsource = "a test"\nauthors = "we"\nlicense = "MIT"\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TOML.replace("TIMM", "regnety_003"), "has no network 'regnety_003'; nearest: regnety"),
        (TOML.replace("TIMM", "hf_hub:evil/repo"), "timm: String should match pattern"),
        (TOML.replace("TIMM", "resnet18") + 'color = "red"\n', "color: Extra inputs are not permitted"),
        ("name = [", "is no TOML file"),
        (TOML.replace('source = "a test"\n', "").replace("TIMM", "resnet18"), "source: Field required"),
    ],
    ids=["unknown", "from the hub", "extra field", "no TOML", "no source"],
)
def test_a_broken_name_of_timms_is_refused(running, entry, text, line):
    found = check_entry(entry(text, "small.toml"), running, LIMITS)
    assert any(line in problem for problem in found.problems), found.problems


def test_a_name_of_timms_is_an_entry(running, entry):
    found = check_entry(entry(TOML.replace("TIMM", "regnety_002"), "small.toml"), running, LIMITS)
    assert not found.problems
    assert found.facts["metadata"]["target_layer"] == "body.s4"
