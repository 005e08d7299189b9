"""Words change no key; constants and formulas change exactly the keys that depend on them."""

import ast
import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from architectures import Architecture
from benchmark.baselines.score import BaselinePart
from benchmark.config.presets import QUICK
from benchmark.experiments.cell import _maps_file
from benchmark.experiments.grid import Cell
from benchmark.experiments.job import Job
from benchmark.registry import entries, select, source_file
from benchmark.saliency import Method
from benchmark.storage import identity as module
from benchmark.storage.identity import code_hash, file_code, identity, label, listed_identities
from benchmark.submission.entries import load_entry
from benchmark.training.regimes import Regime
from metrics import Metric
from tests.benchmark.identities import codes, found, relisted

ENTRIES = [entry for kind in (Architecture, Method, Metric, Regime) for entry in entries(kind).values()]
FILES = sorted({source_file(entry) for entry in ENTRIES})
NUMBERS = (int, float)

# Stored, so that every version of Python must come to the same.
SNIPPETS = {
    "": "4152e7c53a071a90",
    "x = 1\n": "ab480b1d572eb381",
    "x = 1.0\ny = 'ä\U0001f600'\nz = b'\\xff', None, ..., 1j, True\n": "f8611619e630aa16",
    "import torch\nfrom torch import nn as n\nfrom metrics.rank import ranks\nranks(torch.relu(n.ReLU()(x)))\n": (
        "943db47127f4b2da"
    ),
    "class A(B, metaclass=M):\n    x: int = 3\n    y: str\n": "cdfe335020756a4f",
    "def f(a, /, b=2, *c, d, e=3, **g) -> int:\n    '''Doc.'''\n    return lambda: (yield)\n": "83e83c45657940bb",
    "async def f():\n    async with a as b, c:\n        return [x async for x in y if await x]\n": "a4124b9e2124a8ab",
    "f'{x!r:>{width}} and {y=:.3f} {{}}' 'more'\n": "713921121a5ddd26",
    (
        "match x:\n    case [1, *rest] if rest: pass\n    case {'a': A(b=2) | None, **more}: pass\n    case _: x\n"
    ): "a6a3a9c5d73d3850",
    (
        "try:\n    x[1:2, ::3]\nexcept* (A, B) as e:\n    raise C('no') from e\n"
        "else:\n    del x\nfinally:\n    x = {**y, 'a': 1}\n"
    ): "26bafd9b83240930",
    "for i in range(3):\n    if not -i < 2 <= ~i: continue\nelse:\n    while (n := n - 1): break\n": "cbdb30b0a7ac719c",
    "@d(1)\ndef f(): return {x: y for x, y in z}, {*a}, a if b else c, *q\n": "49b470f4ce26da7a",
}


@pytest.mark.parametrize(("source", "expected"), SNIPPETS.items(), ids=range(len(SNIPPETS)))
def test_hashes_of_code_are_those_stored_on_every_python(source, expected):
    assert code_hash(source) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("torch.relu(x)", "torch.tanh(x)"),
        ("x.mean(1)", "x.sum(1)"),
        ("x + y", "x - y"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("f(a=1, b=2)", "f(b=1, a=2)"),
        ("from torch.nn import functional as f\nf.relu", "from torch import functional as f\nf.relu"),
        ("from metrics.order import least as f\nf(x)", "from metrics.order import most as f\nf(x)"),
        ("def f(mask): return g(mask)", "def f(reference): return g(reference)"),
        ("x = 'lowest'", "x = 'highest'"),
        ("if a and b: c", "if a or b: c"),
        ("class A:\n x: int\n y: int", "class A:\n y: int\n x: int"),
        ("raise A('x')", "raise B('x')"),
    ],
)
def test_what_may_change_numbers_changes_the_hash(one, other):
    assert code_hash(one) != code_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x):\n 'Doc.'\n return x", "def f(x: int) -> int:\n return (\n  x  # as it is\n )"),
        ("x = 1\n'What x is.'", "x = 1"),
        ("raise A('x')", "raise A(f'y {z}') from b"),
        ("if a:\n m = 'x'\n raise A(m)", "if a:\n m = f'{a}'\n raise A(m)"),
        ("assert x, 'no'", "assert x"),
        ("warnings.warn('a')\nf()", "f()"),
        ("A(name='a', source='x', k=1)", "A(name='a', source='y', title='z', k=1)"),
        (
            "from metrics.order import f\nimport torch\nf(torch)",
            "import torch\nfrom metrics.sorting import f\nf(torch)",
        ),
        ("from torch import Tensor\nx = 1", "x = 1"),
        ("x = 'a' 'b'", 'x = "ab"'),
        ("x: int = 1", "x: float = 1"),
    ],
)
def test_words_do_not(one, other):
    annotated = code_hash("x: int = 1") if one == "x: int = 1" else code_hash(one)
    assert code_hash(other) == annotated


class Reworded(ast.NodeTransformer):
    """Other docstrings, other messages and other prose; comments and formatting go when the tree is written."""

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value = ast.Constant("Said in other words.")
        return node

    def visit_Raise(self, node):
        for text in ast.walk(node):
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                text.value = f"Not {text.value}"
        return node

    def visit_keyword(self, node):
        if node.arg in {"source", "description"} and isinstance(node.value, ast.Constant | ast.JoinedStr):
            node.value = ast.Constant("other prose")
        return self.generic_visit(node)


def reworded(source):
    tree = ast.fix_missing_locations(Reworded().visit(ast.parse(source)))
    return "# A new remark.\n\n" + "\n\n\n# And one more.\n".join(map(ast.unparse, tree.body))


def spoken(tree):
    """All nodes of prose, which mutations leave alone."""
    roots = [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    roots += [
        word.value for word in ast.walk(tree) if isinstance(word, ast.keyword) and word.arg in {"source", "description"}
    ]
    roots += [node.annotation for node in ast.walk(tree) if getattr(node, "annotation", None) is not None]
    roots += [node.returns for node in ast.walk(tree) if getattr(node, "returns", None) is not None]
    return {id(node) for root in roots for node in ast.walk(root)}


def places(tree):
    """Places, in the order of a walk, of all numbers, operators and comparisons that are no prose."""
    prose = spoken(tree)
    return [
        place
        for place, node in enumerate(ast.walk(tree))
        if id(node) not in prose
        and (
            isinstance(node, ast.BinOp | ast.Compare | ast.UnaryOp)
            or (isinstance(node, ast.Constant) and type(node.value) in NUMBERS)
        )
    ]


def mutants(source, most=24):
    """The source with one of its numbers, operators and comparisons changed: so many, spread over the file."""
    found = places(ast.parse(source))
    for place in found[:: max(1, -(-len(found) // most))]:
        tree = ast.parse(source)
        node = next(itertools.islice(ast.walk(tree), place, None))
        if isinstance(node, ast.Constant):
            node.value += 1
        elif isinstance(node, ast.BinOp):
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        elif isinstance(node, ast.Compare):
            node.ops[0] = ast.Lt() if not isinstance(node.ops[0], ast.Lt) else ast.GtE()
        else:
            node.op = ast.UAdd() if not isinstance(node.op, ast.UAdd) else ast.USub()
        yield ast.unparse(tree)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_number_and_operator_of_an_entry_counts_and_no_word_does(path):
    source = path.read_text(encoding="utf-8")
    assert reworded(source) != source
    assert code_hash(reworded(source)) == code_hash(source)
    changed = [code_hash(mutant) for mutant in mutants(source)]
    assert changed, "no number and no operator: nothing shows whether it counts"
    assert code_hash(source) not in changed


def job(architecture, regime):
    preset = replace(QUICK, methods=("grad-cam", "rise"), metrics=("road",))
    cell = Cell(architecture=select(Architecture, [architecture])[0], regime=select(Regime, [regime])[0], seed=0)
    data = SimpleNamespace(key="d")
    whole = Job(cell=cell, data=data, preset=preset, device=torch.device("cpu"), bfloat16=False)
    return replace(whole, init_job=job(architecture, cell.regime.init_from)) if cell.regime.init_from else whole


JOBS = [job(name, "standard") for name in entries(Architecture)] + [job("vgg16", name) for name in entries(Regime)]


def keys():
    """By what they stand for: every key, and the files of the entries that it depends on."""
    known = {}
    for number, each in enumerate(JOBS):
        stages = [each, each.init_job] if each.init_job else [each]
        model = {source_file(part) for stage in stages for part in (stage.cell.architecture, stage.cell.regime)}
        methods = select(Method, each.preset.methods)
        protocol = {source_file(entry) for entry in (*methods, *each.metrics)}
        known[number, "model"] = each.model_key, model
        known[number, "protocol"] = each.protocol, protocol
        known[number, "record"] = each.key, model | protocol
        for method in methods:
            known[number, method.name] = _maps_file(each, method).stem, model | {source_file(method)}
        part = BaselinePart(baseline="untrained", architecture=each.cell.architecture, method=methods[0])
        known[number, "part"] = part.key(each.protocol), protocol | {source_file(each.cell.architecture)}
    return known


@pytest.fixture
def changed(monkeypatch, tmp_path):
    """Says that a file has another text."""

    def change(path, text):
        other = tmp_path / path.name
        other.write_text(text, encoding="utf-8")
        monkeypatch.setattr(
            module, "source_file", lambda entry: other if source_file(entry) == path else source_file(entry)
        )
        identity.cache_clear()

    yield change
    monkeypatch.undo()
    identity.cache_clear()


@pytest.fixture(scope="module")
def before():
    return keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_change_of_an_entry_changes_exactly_the_keys_that_depend_on_it(path, changed, before):
    source = path.read_text(encoding="utf-8")
    changed(path, reworded(source))
    assert keys() == before
    changed(path, next(mutants(source)))
    after = keys()
    assert {name for name in before if after[name][0] != before[name][0]} == {
        name for name, (_, files) in before.items() if path in files
    }


def test_every_entry_is_listed_with_its_code():
    listed = listed_identities()
    assert listed.keys() == found().keys(), "entries are new or gone: python -m tests.benchmark.identities carry"
    stale = [name for name, code in codes().items() if listed[name]["code"] != code]
    assert not stale, (
        f"the code of {', '.join(stale)} changed. Where its numbers are the same: "
        "`python -m tests.benchmark.identities carry`; where they are not: "
        f"`python -m tests.benchmark.identities renew {' '.join(stale)}`"
    )


def test_no_two_entries_of_one_kind_and_file_are_mixed_up():
    assert all(identity(entry) == listed_identities()[label(entry)]["identity"] for entry in ENTRIES)


def test_code_that_is_not_approved_stands_for_itself(monkeypatch):
    entry = select(Method, ["rise"])[0]
    listed = {"method/rise": {"code": "other", "identity": "old"}}
    monkeypatch.setattr(module, "listed_identities", lambda: listed)
    identity.cache_clear()
    assert identity(entry) == file_code(source_file(entry))
    listed["method/rise"]["code"] = file_code(source_file(entry))
    identity.cache_clear()
    assert identity(entry) == "old"
    monkeypatch.undo()
    identity.cache_clear()


def test_approving_keeps_or_renews_identities():
    listed = {"a": {"code": "1", "identity": "x"}, "gone": {"code": "2", "identity": "y"}}
    assert relisted(listed, {"a": "3", "new": "4"}) == {
        "a": {"code": "3", "identity": "x"},
        "new": {"code": "4", "identity": "4"},
    }
    assert relisted(listed, {"a": "3"}, renewed=["a"]) == {"a": {"code": "3", "identity": "3"}}
    assert relisted(listed, {"b": "1"}, renamed={"b": "gone"}) == {"b": {"code": "1", "identity": "y"}}


TOML = """timm = "resnet10t.c3_in1k"
name = "theirs"
source = "Somebody"
learning_rate = {rate}
"""


def test_an_entry_from_outside_is_known_by_what_it_computes_not_by_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.registry._external", {})
    entries.cache_clear()
    one, two, three = (tmp_path / f"{name}.toml" for name in ("one", "two", "three"))
    one.write_text(TOML.format(rate=0.001), encoding="utf-8")
    two.write_text("# said\n" + TOML.replace("Somebody", "Somebody else").format(rate="1e-3"), encoding="utf-8")
    three.write_text(TOML.format(rate=0.002), encoding="utf-8")
    assert file_code(one) == file_code(two) != file_code(three)
    entry = load_entry(one)
    monkeypatch.setattr(module, "listed_identities", lambda: {label(entry): {"code": file_code(one), "identity": "x"}})
    try:
        assert identity(entry) == file_code(one)
    finally:
        monkeypatch.undo()
        entries.cache_clear()
        identity.cache_clear()


def test_the_list_is_in_order_so_that_branches_merge():
    text = module.IDENTITIES_FILE.read_text(encoding="utf-8")
    content = json.loads(text)
    assert list(content) == sorted(content)
    assert text == json.dumps(content, indent=1) + "\n"
