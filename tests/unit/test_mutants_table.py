"""The tables of mutants say something: each text stands where it is said to, once, and each test is there.

What the mutants do is tried elsewhere: a few, drawn by the commit, in the default suite (scripts/test.sh), all of them
by scripts/mutants.sh. That a mutant which nothing misses is reported is shown here, on a tree of three files.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants import table
from tests.mutants.table import Mutant

ROOT = Path(__file__).resolve().parents[2]
LEAST = 120


def test_every_row_stands_once_in_the_tree_and_names_tests_that_are_there() -> None:
    mutants = table.load(ROOT)
    assert list(table.faults(ROOT, mutants)) == []
    assert len(mutants) >= LEAST


def test_no_two_rows_are_one_mutant() -> None:
    counts = Counter((one.file, one.old, one.new) for one in table.load(ROOT))
    assert [row for row, count in counts.items() if count > 1] == []


def tree(root: Path) -> Mutant:
    """A tree with one rule, one test of it and one that looks the other way; and a mutant of the rule."""
    files = {
        "abci_app/__init__.py": "",
        "abci_app/rule.py": "def may(age: int) -> bool:\n    return age >= 18\n",
        "tests/__init__.py": "",
        "tests/unit/test_rule.py": (
            "import pytest\nfrom abci_app.rule import may\n\n\n"
            "def test_at_the_bound() -> None:\n    assert may(18)\n\n\n"
            "def test_far_from_it() -> None:\n    assert may(30)\n\n\n"
            "@pytest.fixture\ndef old() -> int:\n    assert may(18)\n    return 18\n\n\n"
            "def test_by_its_fixture(old: int) -> None:\n    assert old == 18\n\n\n"
            "class TestClass:\n    def test_inside(self) -> None:\n        assert not may(17)\n"
        ),
        "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return Mutant("bound", "area", "abci_app/rule.py", "age >= 18", "age > 18", in_rule("test_at_the_bound"))


def in_rule(name: str) -> tuple[str, ...]:
    return (f"tests/unit/test_rule.py::{name}",)


def test_what_is_wrong_with_a_row_is_named(tmp_path: Path) -> None:
    good = tree(tmp_path)
    inside = replace(good, name="inside", tests=in_rule("TestClass::test_inside"))
    assert list(table.faults(tmp_path, [good, inside])) == []
    bad = {
        "stands 0 times": replace(good, old="age >= 21"),
        "stands 2 times": replace(good, old="age"),
        "is the old one": replace(good, new=good.old),
        "names no test": replace(good, tests=()),
        "no test tests/unit/test_rule.py::test_gone": replace(good, tests=in_rule("test_gone")),
        "no test tests/unit/test_gone.py::test_a": replace(good, tests=("tests/unit/test_gone.py::test_a",)),
        "is no file of": replace(good, file="tests/unit/test_rule.py"),
    }
    for fault, row in bad.items():
        found = list(table.faults(tmp_path, [row]))
        assert len(found) == 1, found
        assert fault in found[0]
    assert list(table.faults(tmp_path, [good, good])) == ["bound: 2 rows have this name"]


def test_a_row_with_a_field_too_few_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tests/mutants").mkdir(parents=True)
    (tmp_path / "tests/mutants/area.toml").write_text('[[mutant]]\nname = "x"\nfile = "y"\nold = "z"\nnew = "u"\n')
    with pytest.raises(ValueError, match="a row has"):
        table.load(tmp_path)


def test_a_commit_always_draws_the_same_rows_and_another_others() -> None:
    rows = [Mutant(f"row {number}", "area", "f", "a", "b", ()) for number in range(200)]
    one, again, other = (table.sample(rows, commit, 20) for commit in ("c0ffee", "c0ffee", "decade"))
    assert one == again
    assert len({row.name for row in one}) == 20
    assert one != other
    assert table.sample(list(reversed(rows)), "c0ffee", 20) == one, "whatever order the tables are read in"
    drawn = {row.name for number in range(100) for row in table.sample(rows, str(number), 20)}
    assert len(drawn) == 200, "in the long run each row is drawn"


JUDGE = """
import sys
from pathlib import Path
from tests.mutants import runner
from tests.mutants.table import Mutant

root, scratch = Path(sys.argv[1]), Path(sys.argv[2])
scratch.mkdir()
copy = runner.Copy(root, scratch)
for arguments in sys.stdin.read().splitlines():
    old, new, name = arguments.split("|")
    one = Mutant("bound", "area", "abci_app/rule.py", old, new, (f"tests/unit/test_rule.py::{name}",))
    result = runner.judge(copy, one, copy.run(one.tests))
    print(result.verdict.name, result.reason.replace("\\n", " "))
assert (copy.tree / "abci_app/rule.py").read_text() == (root / "abci_app/rule.py").read_text()
"""


def test_a_mutant_is_killed_by_a_test_that_fails_lives_by_one_that_passes_and_is_void_otherwise(tmp_path: Path) -> None:
    """In a process of its own, since the runner's children must come from one that has imported nothing of ours."""
    tree(tmp_path / "tree")
    rows = (
        "age >= 18|age > 18|test_at_the_bound",
        "age >= 18|age > 18|test_far_from_it",
        "age >= 18|age > 18|TestClass::test_inside",
        "age >= 18|age > 18|test_by_its_fixture",
        "age >= 18|age > (|test_at_the_bound",
        "age >= 21|age > 21|test_at_the_bound",
        "age >= 18|age >= 17|TestClass::test_inside",
    )
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, str(tmp_path / "tree"), str(tmp_path / "scratch")],
        input="\n".join(rows), capture_output=True, text=True, check=True, cwd=ROOT, timeout=600,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["KILLED", "LIVED", "LIVED", "VOID", "VOID", "VOID", "KILLED"]
    assert "before its body" in lines[3]
    assert "can't be collected" in lines[4]
    assert "old text" in lines[5]
