"""Every check of the ledger and of the client that refuses, found in the sources; and what a test's source names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from abci_app.authority import checks as dealings

ROOT = Path(__file__).parents[2]
PLACES = ("abci_app", "dta/client/custody")
RAISERS = {"Refusal": 0, "WouldBeRefused": 0, "require": 1}
"""What refuses, and at which place among its arguments the code stands."""
BY_FIELD = "need_bytes"
"""Refuses with FIELD_INVALID and the name of a field, which several messages may have."""
NAMING = ("refused", "Because", "case")
"""What takes a code and a reason in a test."""


class Check(NamedTuple):
    """One check: its code's name, its reason, where it is, and whether it is of a field's length."""

    code: str
    reason: str
    file: str
    line: int
    of_length: bool = False


def all_checks() -> list[Check]:
    """Of the ledger, and of the client before it sends."""
    return [
        check
        for place in PLACES
        for path in sorted((ROOT / place).rglob("*.py"))
        for check in checks_in(path.read_text(), str(path.relative_to(ROOT)))
    ]


def checks_in(source: str, file: str) -> Iterator[Check]:
    """Of one file. A reason that is an argument of its function is one check for each call of that function."""
    tree = ast.parse(source)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for call in _calls(function, nested=False):
            name = called(call)
            if name == BY_FIELD:
                yield Check("FIELD_INVALID", _text(call.args[2]), file, call.lineno, of_length=True)
            elif name in RAISERS and len(call.args) > RAISERS[name]:
                yield from _of(tree, function, call, file)


def _of(tree: ast.AST, function: ast.FunctionDef, call: ast.Call, file: str) -> Iterator[Check]:
    code = call.args[RAISERS[called(call)]]
    reason = next((keyword.value for keyword in call.keywords if keyword.arg == "reason"), ast.Constant(""))
    if isinstance(code, ast.Subscript):
        assert ast.unparse(code) == "_CODE_OF[fault]", f"{file}:{call.lineno}: which code?"
        for fault, of in dealings._CODE_OF.items():
            yield Check(of.name, fault.name.lower(), file, call.lineno)
    elif not isinstance(code, ast.Attribute) or ast.unparse(code.value) != "Code":
        return  # passed on, or no check of ours
    elif isinstance(reason, ast.Name):
        place = [argument.arg for argument in function.args.args].index(reason.id)
        if function.name == BY_FIELD:
            return
        for other in _calls(tree):
            if called(other) == function.name:
                yield Check(code.attr, _text(other.args[place]), file, other.lineno)
    else:
        yield Check(code.attr, _text(reason), file, call.lineno)


def named_in(source: str) -> Iterator[tuple[str, str]]:
    """Each code and reason that a test's source names of something refused."""
    for call in _calls(ast.parse(source)):
        for place, argument in enumerate(call.args):
            if called(call) in NAMING and is_code(argument):
                reason = call.args[place + 1] if len(call.args) > place + 1 else ast.Constant("")
                if isinstance(reason, ast.Constant):
                    yield argument.attr, str(reason.value)  # type: ignore[attr-defined]


def alone_in(source: str) -> Iterator[int]:
    """The lines of a test's source that assert something of a code and do not say which check it is of."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            for one in _outside_calls(node.test):
                if is_code(one) or _is_of_a_variable(one):
                    yield one.lineno


def _is_of_a_variable(node: ast.AST) -> bool:
    """``something.code == code``: whatever that is, it says nothing of the check."""
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    is_attribute = any(isinstance(side, ast.Attribute) and side.attr == "code" for side in sides)
    return is_attribute and any(isinstance(side, ast.Name) and "code" in side.id for side in sides)


def is_code(node: ast.AST) -> bool:
    """Whether it is ``Code.SOMETHING`` that a check answers."""
    said = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
    return bool(re.fullmatch(r"Code\.[A-Z_]+", said)) and said not in ("Code.OK", "Code.INTERNAL", "Code.FAILED")


def called(call: ast.Call) -> str:
    """The name of what is called, without what it is of."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _outside_calls(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Subscript) or (isinstance(node, ast.Call) and called(node) in NAMING):
        return  # a count of some code is no refusal
    if isinstance(node, ast.expr):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _outside_calls(child)


def _calls(node: ast.AST, nested: bool = True) -> Iterator[ast.Call]:
    """Calls in it; not ``nested``: without those in functions within it, which are functions of their own."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child
        if nested or not isinstance(child, ast.FunctionDef):
            yield from _calls(child, nested)


def _text(node: ast.AST) -> str:
    assert isinstance(node, ast.Constant), f"line {getattr(node, 'lineno', 0)}: a reason is written where it is given"
    return str(node.value)
