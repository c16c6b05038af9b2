"""Each check that refuses has a name of its own, a test that names it, and no test is content with the code alone."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from abci_app.state.proof import ProofFault
from dta.node.hooks.errors import Obstacle
from tests.support.checks import ROOT, all_checks, alone_in, checks_in, named_in

CHECKS = all_checks()
TESTS = {path: path.read_text() for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)}
OWN = [check for check in CHECKS if not check.of_length]
NAMED = {pair for source in TESTS.values() if "Code." in source for pair in named_in(source)}


def test_no_two_checks_have_code_and_reason_in_common() -> None:
    """But lengths of fields: each message's are tried a byte shorter and longer in test_bounds_of_fields.py."""
    times = Counter((check.code, check.reason) for check in OWN)
    lengths = {(check.code, check.reason) for check in CHECKS if check.of_length}
    assert [check for check in OWN if times[check[:2]] > 1 or check[:2] in lengths] == []


def test_a_code_of_several_checks_has_a_reason_in_each() -> None:
    times = Counter(check.code for check in CHECKS)
    assert [check for check in CHECKS if not check.reason and times[check.code] > 1] == []


def test_a_reason_is_a_field_or_a_few_words() -> None:
    assert [check for check in CHECKS if not re.fullmatch(r"([a-z0-9_.]+(-[a-z0-9_.]+)*)?", check.reason)] == []


def test_every_check_is_named_by_a_test_that_it_refuses_in() -> None:
    assert sorted({check[:2] for check in OWN} - NAMED) == []


def test_what_the_tests_name_is_there() -> None:
    there = {check[:2] for check in CHECKS}
    codes = {check.code for check in CHECKS}
    assert sorted(pair for pair in NAMED - there if pair[0] in codes and pair[1]) == []


def test_every_fault_with_data_of_its_own_is_named_by_a_test() -> None:
    """What guards a secret or a proof, and answers with an enumerated fault."""
    said = "".join(TESTS.values())
    faults = [fault for kind in (ProofFault, Obstacle) for fault in kind]
    assert [str(fault) for fault in faults if f"{fault}" not in said] == []


def test_no_test_asserts_a_code_without_the_check() -> None:
    mine = {path: source for path, source in TESTS.items() if ".code" in source}
    assert [f"{path.relative_to(ROOT)}:{line}" for path, source in mine.items() for line in alone_in(source)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n    raise Refusal(Code.A)\n", [("A", "")]),
        ("def f():\n    context.require(x, Code.A, 'said', reason='r')\n", [("A", "r")]),
        ("def f(what):\n    raise Refusal(Code.A, reason=what)\nf('one')\nf('two')\n", [("A", "one"), ("A", "two")]),
        ("def f():\n    need_bytes(m.x, 32, 'x')\n", [("FIELD_INVALID", "x")]),
        ("def f():\n    def g():\n        raise Refusal(Code.A)\n", [("A", "")]),
    ],
)
def test_checks_are_found(source: str, found: list[tuple[str, str]]) -> None:
    assert [(check.code, check.reason) for check in checks_in(source, "f")] == found


@pytest.mark.parametrize(
    ("source", "alone"),
    [
        ("assert result.code == Code.A", 1),
        ("assert result.code in (Code.A, Code.OK)", 1),
        ("assert result.code == code", 1),
        ("assert [r.code for r in results] == [Code.OK, Code.A]", 1),
        ("assert because(result) == Because(Code.A, 'r')", 0),
        ("refused(result, Code.A)", 0),
        ("assert result.code == Code.OK", 0),
    ],
)
def test_a_code_alone_is_found(source: str, alone: int) -> None:
    assert len(list(alone_in(source))) == alone

