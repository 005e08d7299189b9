"""The hash of an entry's code in the keys of stored results.

A key must change when numbers may change, and must not change when only text does. Three parts ensure that:

- **The code of an entry's file**, as a syntax tree without prose. It excludes docstrings, comments, formatting,
  annotations, messages of errors and warnings, and texts such as ``source``. It includes constants, operators and
  names.
- **The list of identities** (``identities.json``). A refactoring changes the syntax tree but no number, and must
  not orphan stored results. The list maps each entry of this repository to its last approved code and the identity of
  that code. The identity of unapproved code is its own hash, so a changed formula is a new entry at once.
  ``python -m tests.benchmark.identities`` approves code. ``carry`` compares golden numbers and retains the identity.
  ``renew`` assigns a new one.
- **Shared code** (network building, training loop, sorting) is covered by
  :data:`benchmark.config.presets.ENGINE_VERSION`, raised by hand and checked by the golden numbers.

External entries are never listed, since no golden numbers check them. Their identity is the hash of their code.
Hashes of syntax trees that ignore names were considered. They cannot distinguish ``mean`` of a tensor from a field of
ours, and would miss a swapped helper.
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

IDENTITIES_FILE = Path(__file__).with_name("identities.json")
PACKAGES = frozenset({"architectures", "benchmark", "datasets", "metrics"})
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
"""Descriptive fields of entries, which no number depends on."""
# Fields that only later versions of Python have, fields about the form of the code, and types.
_SKIPPED = frozenset({"annotation", "ctx", "kind", "returns", "simple", "type_comment", "type_ignores", "type_params"})
_WARNINGS = frozenset({"warn", "warn_explicit", "warning"})


@cache
def identity(entry: NamedEntry) -> str:
    """Returns the identity of an entry, sixteen hexadecimal digits.

    An entry of this repository has its listed identity while its code is the approved one. Otherwise, and for external
    entries, the identity is the hash of the code.
    """
    code = file_code(source_file(entry))
    listed = {} if is_external(entry) else listed_identities().get(label(entry), {})
    return listed["identity"] if listed.get("code") == code else code


def label(entry: NamedEntry) -> str:
    """Returns the name of an entry in the list of identities, such as "method/grad-cam"."""
    return f"{type(entry).__name__.lower()}/{entry.name}"


@cache
def listed_identities() -> dict[str, dict[str, str]]:
    """Reads the approved `code` of each entry of this repository and its `identity`."""
    listed: dict[str, dict[str, str]] = json.loads(IDENTITIES_FILE.read_text(encoding="utf-8"))
    return listed


def file_code(path: Path) -> str:
    """Computes the hash of the code in a Python or TOML file, sixteen hexadecimal digits."""
    text = path.read_text(encoding="utf-8")
    return content_key(_without_prose(tomllib.loads(text))) if path.suffix == ".toml" else code_hash(text)


def code_hash(source: str) -> str:
    r"""Computes the hash of Python code without its prose, sixteen hexadecimal digits, equal on all Python versions.

    Example:
        >>> code_hash("def f(x: int):\n    return x + 1") == code_hash("def f(x): # one more\n    return (x + 1)")
        True
        >>> code_hash("x + 1") == code_hash("x + 2")
        False
    """
    tree = ast.parse(source)
    imports = list(_imports(tree))
    stripped = _ProseRemover(_find_message_names(tree)).visit(tree)
    names: set[str] = set()
    code = _to_json(stripped, names)
    used_imports = sorted([*where, bound] for *where, bound in imports if bound in names)
    return content_key(used_imports, code)


def _without_prose(table: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_prose(value) if isinstance(value, dict) else value
        for name, value in table.items()
        if name not in PROSE
    }


def _imports(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Yields module, original name and local name of each import. The module is empty for ours, since modules move."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", alias.asname or alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            is_ours = node.level > 0 or module.split(".")[0] in PACKAGES
            for alias in node.names:
                yield "" if is_ours else module, alias.name, alias.asname or alias.name


def _find_message_names(tree: ast.AST) -> set[str]:
    """Finds variables that only `raise` statements read, such as a message built in advance."""
    raised = {id(name) for node in ast.walk(tree) if isinstance(node, ast.Raise) for name in ast.walk(node)}
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return {node.id for node in read if id(node) in raised} - {node.id for node in read if id(node) not in raised}


class _ProseRemover(ast.NodeTransformer):
    """Removes prose and imports. Imports are hashed separately, since formatters sort them."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = frozenset(messages)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Removes docstrings, at any position, and warnings."""
        value = node.value
        is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        is_warning = isinstance(value, ast.Call) and _last_name(value.func) in _WARNINGS
        return None if is_text or is_warning else self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Removes variables that only messages read."""
        only_message = all(isinstance(target, ast.Name) and target.id in self.messages for target in node.targets)
        return None if only_message else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Retains only the type of an error."""
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(exc=kind, cause=None)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Retains only the condition of an assertion."""
        return self.generic_visit(ast.Assert(test=node.test, msg=None))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Removes prose among the fields of an entry. Class names begin with a capital letter."""
        if _last_name(node.func)[:1].isupper():
            keywords = [keyword for keyword in node.keywords if keyword.arg not in PROSE]
            node = ast.Call(func=node.func, args=node.args, keywords=keywords)
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Removes empty strings: Python 3.12 adds one after a nested format."""
        values = [value for value in node.values if not (isinstance(value, ast.Constant) and value.value == "")]
        return self.generic_visit(ast.JoinedStr(values=values))

    def visit_Import(self, _: ast.Import) -> None:
        """Removes imports, which are hashed separately."""

    def visit_ImportFrom(self, _: ast.ImportFrom) -> None:
        """Removes imports, which are hashed separately."""


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _to_json(node: Any, names: set[str]) -> Any:
    """Converts a syntax tree to JSON that is equal on all Python versions. `names` collects the names in it.

    Empty fields are omitted, since later versions have more of them. Constants have a type and are in ASCII: 1, 1.0
    and True differ, and the set of printable characters depends on the Python version.
    """
    if isinstance(node, list):
        return [_to_json(item, names) for item in node]
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, ascii(node.value)]
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Name):
        names.add(node.id)
    present = {name: value for name, value in ast.iter_fields(node) if name not in _SKIPPED and value not in (None, [])}
    return [type(node).__name__, {name: _to_json(value, names) for name, value in present.items()}]
