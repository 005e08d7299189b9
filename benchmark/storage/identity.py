"""What stands for the code of an entry in the keys of stored results.

A key must change when numbers may change, and must stay when only words do. Three parts see to that:

- **The code of an entry's file**, as a syntax tree without prose: no docstrings, comments, formatting, annotations,
  messages of errors and warnings, nor texts such as ``source``. Constants, operators and names count.
- **The list of identities** (``identities.json``). A refactoring changes the syntax tree and no number, and must
  orphan no stored result. The list gives each entry of this repository the code that was last approved and the
  identity that this code carries. Code that is not approved stands for itself, so a changed formula is a new entry at
  once. ``python -m tests.benchmark.identities`` approves code: ``carry`` keeps the identity and first compares golden
  numbers; ``renew`` takes a new one.
- **What entries share** (network building, training loop, sorting) is covered by
  :data:`benchmark.presets.ENGINE_VERSION`, raised by hand and guarded by the golden numbers.

Entries from outside are never listed: nobody here guards them, so their code stands for them. Hashes of syntax trees
that ignore names were considered. They cannot tell ``mean`` of a tensor from a field of ours, and a swapped helper
would go unseen.
"""

import ast
import json
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.registry import NamedEntry, is_external, source_file
from benchmark.storage.hashing import content_key

LIST = Path(__file__).with_name("identities.json")
OURS = frozenset({"architectures", "benchmark", "datasets", "metrics"})
PROSE = frozenset(
    {
        "authors",
        "definition",
        "description",
        "license",
        "obtain",
        "purpose",
        "source",
        "superseded_by",
        "title",
        "trained_on",
        "withdrawn",
    }
)
"""Fields of entries that people read and no number depends on."""
# What only later versions of Python have, what only says where or how code is written, and types.
_SKIPPED = frozenset({"annotation", "ctx", "kind", "returns", "simple", "type_comment", "type_ignores", "type_params"})
_WARNINGS = frozenset({"warn", "warn_explicit", "warning"})


@cache
def identity(entry: NamedEntry) -> str:
    """Stands for the code of an entry: sixteen hexadecimal digits.

    An entry of this repository has its listed identity as long as its code is the approved one. Other code, and that
    of an entry from outside, stands for itself.
    """
    code = file_code(source_file(entry))
    listed = {} if is_external(entry) else listed_identities().get(label(entry), {})
    return listed["identity"] if listed.get("code") == code else code


def label(entry: NamedEntry) -> str:
    """The name of an entry in the list of identities, such as "method/grad-cam"."""
    return f"{type(entry).__name__.lower()}/{entry.name}"


@cache
def listed_identities() -> dict[str, dict[str, str]]:
    """For each entry of this repository, its approved `code` and the `identity` that this code carries."""
    listed: dict[str, dict[str, str]] = json.loads(LIST.read_text(encoding="utf-8"))
    return listed


def file_code(path: Path) -> str:
    """Stands for the code in a file, Python or TOML; sixteen hexadecimal digits."""
    text = path.read_text(encoding="utf-8")
    return content_key(_without_prose(tomllib.loads(text))) if path.suffix == ".toml" else code_hash(text)


def code_hash(source: str) -> str:
    r"""Stands for what Python code computes, whatever its prose; sixteen hexadecimal digits, equal on all Pythons.

    Example:
        >>> code_hash("def f(x: int):\n    return x + 1") == code_hash("def f(x): # one more\n    return (x + 1)")
        True
        >>> code_hash("x + 1") == code_hash("x + 2")
        False
    """
    tree = ast.parse(source)
    imports = list(_imports(tree))
    stripped = _Stripped(_names_of_messages(tree)).visit(tree)
    names: set[str] = set()
    code = _plain(stripped, names)
    used = sorted([*where, bound] for *where, bound in imports if bound in names)
    return content_key(used, code)


def _without_prose(table: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_prose(value) if isinstance(value, dict) else value
        for name, value in table.items()
        if name not in PROSE
    }


def _imports(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Module, name in it and name here of all that is imported; no module where it is ours, for modules move."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", alias.asname or alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            ours = node.level > 0 or module.split(".")[0] in OURS
            for alias in node.names:
                yield "" if ours else module, alias.name, alias.asname or alias.name


def _names_of_messages(tree: ast.AST) -> set[str]:
    """Variables that only errors read: a message put together before it is raised."""
    raised = {id(name) for node in ast.walk(tree) if isinstance(node, ast.Raise) for name in ast.walk(node)}
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return {node.id for node in read if id(node) in raised} - {node.id for node in read if id(node) not in raised}


class _Stripped(ast.NodeTransformer):
    """Removes prose; imports too, which are told apart from the code since formatters sort them."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = frozenset(messages)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """No docstring, wherever it stands, and no warning."""
        value = node.value
        text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        warns = isinstance(value, ast.Call) and _last_name(value.func) in _WARNINGS
        return None if text or warns else self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """No variable that only a message needs."""
        spoken = all(isinstance(target, ast.Name) and target.id in self.messages for target in node.targets)
        return None if spoken else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Of an error its type."""
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(exc=kind, cause=None)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Of an assertion its condition."""
        return self.generic_visit(ast.Assert(test=node.test, msg=None))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """No prose among the fields of an entry; classes begin with a capital."""
        if _last_name(node.func)[:1].isupper():
            keywords = [keyword for keyword in node.keywords if keyword.arg not in PROSE]
            node = ast.Call(func=node.func, args=node.args, keywords=keywords)
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """No empty text: Python 3.12 puts one behind a nested format."""
        values = [value for value in node.values if not (isinstance(value, ast.Constant) and value.value == "")]
        return self.generic_visit(ast.JoinedStr(values=values))

    def visit_Import(self, _: ast.Import) -> None:
        """Told apart from the code."""

    def visit_ImportFrom(self, _: ast.ImportFrom) -> None:
        """Told apart from the code."""


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _plain(node: Any, names: set[str]) -> Any:
    """A syntax tree as JSON that no version of Python writes otherwise; `names` collects what it reads or sets.

    Empty fields are left out, since later versions have more of them. Constants are told with their type, in ASCII:
    1, 1.0 and True differ, and what counts as printable changes with Python.
    """
    if isinstance(node, list):
        return [_plain(each, names) for each in node]
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, ascii(node.value)]
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Name):
        names.add(node.id)
    told = {name: value for name, value in ast.iter_fields(node) if name not in _SKIPPED and value not in (None, [])}
    return [type(node).__name__, {name: _plain(value, names) for name, value in told.items()}]
