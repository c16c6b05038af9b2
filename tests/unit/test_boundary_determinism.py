"""What no linter sees: in the replicated part nothing depends on a set's order, a float, ``hash()`` or the process.

Only ``abci_app/server`` and ``abci_app/storage`` are free of these rules. Each rule is shown to fail on code that
breaks it. Not seen: a set that arrives through an unannotated name; the hash-seed comparison is there for that.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "abci_app"
FREE = ("server", "storage", "pb")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Everything else needs a thought and a line here: is it the same on every machine and in every run?
MAY_IMPORT = _words(
    """__future__ abc base64 binascii bisect collections contextlib copy dataclasses enum functools hashlib heapq
    hmac itertools json operator struct types typing
    abci_app google cryptography nacl py_arkworks_bls12381 pyblst"""
)
MAY_NOT_CALL = _words(
    "hash id open eval exec compile input print breakpoint vars globals locals float complex __import__"
)
MAY_NOT_TOUCH = _words("environ getenv __hash__ __dict__")
# Their answers follow the Unicode tables of the Python that runs, which differ between versions.
UNICODE_TABLES = _words("isalnum isalpha isdecimal isidentifier isnumeric isprintable casefold")

SET_TYPES = _words("set frozenset Set FrozenSet AbstractSet MutableSet")
SET_METHODS = _words("union intersection difference symmetric_difference copy")
# What gives the same answer whatever the order. (min and max do not, when a key function makes ties.)
ORDER_FREE = _words("sorted set frozenset len sum any all min max bool isinstance")
ORDER_KEEPING = _words(
    "list tuple iter next enumerate map filter zip dict bytes bytearray str repr deque OrderedDict reduce chain"
)
ORDER_KEEPING_METHODS = _words("join extend fromkeys from_iterable")

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Rules(ast.NodeVisitor):
    """Collects (line, what) for each breach in one module."""

    def __init__(self, tree: ast.Module) -> None:
        self.breaches: list[tuple[int, str]] = []
        self.set_attributes = frozenset(_set_attributes(tree))
        self.scopes: list[frozenset[str]] = []
        self.parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self.visit(tree)

    def breach(self, node: ast.AST, what: str) -> None:
        self.breaches.append((getattr(node, "lineno", 0), what))

    # --- names that hold sets

    def _in_scope(self, node: Scope) -> None:
        self.scopes.append(frozenset())
        # Twice: a name may be assigned from another that is seen to be a set only after the first pass.
        for _ in range(2):
            self.scopes[-1] = frozenset(self._set_names(node))
        self.generic_visit(node)
        self.scopes.pop()

    visit_Module = visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _in_scope

    def _set_names(self, scope: Scope) -> Iterator[str]:
        for node in _own_nodes(scope):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if _annotates_set(node.annotation):
                    yield node.target.id
            elif isinstance(node, ast.Assign) and self.is_set(node.value):
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))
            elif isinstance(node, ast.NamedExpr) and self.is_set(node.value):
                yield node.target.id
            elif isinstance(node, ast.arg) and node.annotation is not None and _annotates_set(node.annotation):
                yield node.arg

    def is_set(self, node: ast.expr) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Call(func=ast.Name(id=name)):
                return name in ("set", "frozenset")
            case ast.Call(func=ast.Attribute(value=value, attr=attr)):
                return attr in SET_METHODS and self.is_set(value)
            case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.BitXor() | ast.Sub(), right=right):
                return any(self.is_set(side) or _is_keys_view(side) for side in (left, right))
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_set(body) or self.is_set(orelse)
            case ast.Name(id=name):
                return any(name in scope for scope in self.scopes)
            case ast.Attribute(attr=attr):
                return attr in self.set_attributes
        return False

    def iterated(self, node: ast.expr) -> None:
        if self.is_set(node):
            self.breach(node, "iterates over a set, whose order differs between runs: sort it")

    # --- where order matters

    def visit_For(self, node: ast.For) -> None:
        self.iterated(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        owner = self.parents[node]
        consumer = self.parents[owner]
        free = isinstance(owner, ast.SetComp) or (isinstance(consumer, ast.Call) and _is_order_free(consumer))
        if not free:
            self.iterated(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        owner = self.parents[node]
        if not isinstance(owner, ast.Set) and not (isinstance(owner, ast.Call) and _is_order_free(owner)):
            self.iterated(node.value)
        self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self.iterated(node.value)
        self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> None:
        self.iterated(node.value)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Tuple | ast.List) for target in node.targets):
            self.iterated(node.value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Name(id=name):
                if name in MAY_NOT_CALL:
                    self.breach(node, f"calls {name}()")
                keyed = name in ("min", "max") and any(keyword.arg == "key" for keyword in node.keywords)
                if name in ORDER_KEEPING or keyed:
                    for argument in node.args:
                        self.iterated(argument)
            case ast.Attribute(value=value, attr=attr):
                if attr in ORDER_KEEPING_METHODS:
                    for argument in node.args:
                        self.iterated(argument)
                if attr == "pop" and not node.args:
                    self.iterated(value)
                if attr in UNICODE_TABLES:
                    self.breach(node, f"asks .{attr}(), whose tables differ between Pythons: use abci_app/text.py")
        self.generic_visit(node)

    # --- floats, the process, imports

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, float | complex):
            self.breach(node, "has a float")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Div):
            self.breach(node, "divides with /, which gives a float")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, ast.Div):
            self.breach(node, "divides with /, which gives a float")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in MAY_NOT_TOUCH:
            self.breach(node, f"touches .{node.attr}")
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._imported(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0:
            self._imported(node, node.module or "")

    def _imported(self, node: ast.AST, module: str) -> None:
        if module.split(".")[0] not in MAY_IMPORT:
            self.breach(node, f"imports {module}, which is not on the list")


def _own_nodes(scope: Scope) -> Iterator[ast.AST]:
    """The nodes of this scope, without those of the functions inside it (but with its own arguments)."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _annotates_set(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in SET_TYPES
        case ast.Subscript(value=ast.Name(id="Final" | "ClassVar" | "Optional"), slice=inner):
            return _annotates_set(inner)
        case ast.Subscript(value=value):
            return _annotates_set(value)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _annotates_set(left) or _annotates_set(right)
    return False


def _set_attributes(tree: ast.Module) -> Iterator[str]:
    """Names of attributes that the module's classes annotate as sets, in the body or on self."""
    for node in ast.walk(tree):
        for part in node.body if isinstance(node, ast.ClassDef) else [node]:
            if not isinstance(part, ast.AnnAssign) or not _annotates_set(part.annotation):
                continue
            if isinstance(part.target, ast.Attribute):
                yield part.target.attr
            elif isinstance(part.target, ast.Name) and part is not node:
                yield part.target.id


def _is_keys_view(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keys"


def _is_order_free(call: ast.Call) -> bool:
    keyed = any(keyword.arg == "key" for keyword in call.keywords)
    return isinstance(call.func, ast.Name) and call.func.id in ORDER_FREE - ({"min", "max"} if keyed else set())


def breaches(source: str) -> list[tuple[int, str]]:
    return Rules(ast.parse(source)).breaches


def replicated_modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in FREE)


def test_the_replicated_part_depends_on_nothing_but_its_arguments() -> None:
    modules = replicated_modules()
    assert len(modules) > 5
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{line} {what}"
        for path in modules
        for line, what in breaches(path.read_text())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: use(x)",
        "for x in set(names): use(x)",
        "out = [x for x in frozenset(names)]",
        "out = {x: 1 for x in {y for y in names}}",
        "out = list({1, 2})",
        "out = b''.join({a, b})",
        "out = [*{1, 2}]",
        "use(*set(names))",
        "first, second = {1, 2}",
        "s = set()\nfor x in s: use(x)",
        "s = {1}\nt = s | other\nout = tuple(t)",
        "def f(names: set[str]):\n    return [n for n in names]",
        "def f(names: frozenset[str] | None):\n    yield from names",
        "class C:\n    def __init__(self): self.seen: set[bytes] = X\n    def f(self): list(self.seen)",
        "class C:\n    seen: frozenset[bytes]\ndef f(c):\n    return tuple(c.seen)",
        "from typing import Final\nS: Final[frozenset[str]] = F\nfor s in S: use(s)",
        "for x in a.keys() - b.keys(): use(x)",
        "s = set(names)\nx = s.pop()",
        "s = set(names)\nlog = f'{s}'",
        "x = max(set(names), key=len)",
        "x = sum(y for y in names) + len([z for z in set(names)]) + next(iter({1}))",
    ],
)
def test_iterating_over_a_set_is_seen(source: str) -> None:
    assert any("set" in what for _, what in breaches(source))


@pytest.mark.parametrize(
    "source",
    [
        "for x in sorted({1, 2}): use(x)",
        "out = sorted(x for x in set(names))",
        "out = {x for x in set(names)}",
        "if x in {1, 2}: use(x)",
        "n = len(set(names)); total = sum({1, 2}); best = max({1, 2})",
        "for x in {'a': 1}: use(x)",
        "for x in names: use(x)",
        "def f():\n    s = set()\ndef g(s):\n    return list(s)",
        "stack = []\nstack.pop()",
        "n = a // b + (a | b) - 1",
    ],
)
def test_what_does_not_depend_on_order_is_left_alone(source: str) -> None:
    assert breaches(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 0.5",
        "x = 1e9",
        "x = float(y)",
        "x = a / b",
        "a /= 2",
        "x = hash(key)",
        "x = id(key)",
        "x = open('f').read()",
        "eval('1')",
        "exec('1')",
        "import os",
        "def f():\n    from time import time",
        "import random, hashlib",
        "import re",
        "x = process.environ['A']",
        "time = __import__('time')",
        "x = name.isalnum()",
    ],
)
def test_floats_the_process_and_unlisted_imports_are_seen(source: str) -> None:
    assert breaches(source)
