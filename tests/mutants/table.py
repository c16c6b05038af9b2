"""The tables of mutants: reading them, what is wrong with a row, and the sample that a commit draws."""

from __future__ import annotations

import ast
import hashlib
import random
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PLACE = "tests/mutants"
PACKAGES = ("abci_app", "dta")
# A test file, a function in it (of a class, where it is), and perhaps one case of a parametrised one.
_TEST = re.compile(r"(tests/[\w/]+/test_\w+\.py)::([\w:]+)(\[[^\]]*\])?")


@dataclass(frozen=True, slots=True)
class Mutant:
    """``tests``: each must fail once ``old`` has become ``new`` in ``file``. ``area``: the table that it stands in."""

    name: str
    area: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def module(self) -> str:
        """What ``file`` is imported as."""
        return self.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def load(root: Path) -> list[Mutant]:
    """All rows, by area and in their order. Raises ValueError for a row with fields missing or too many."""
    found = []
    for path in sorted((root / PLACE).glob("*.toml")):
        with path.open("rb") as file:
            rows = tomllib.load(file)["mutant"]
        for row in rows:
            if set(row) != {"name", "file", "old", "new", "tests"}:
                raise ValueError(f"{path.name}: a row has name, file, old, new and tests, not {sorted(row)}")
            one = Mutant(area=path.stem, **{**row, "tests": tuple(row["tests"])})
            found.append(one)
    return found


def faults(root: Path, mutants: Sequence[Mutant]) -> Iterator[str]:
    """Why rows say nothing: a text that is not there exactly once, a test that is not there, a name given twice."""
    for name, count in Counter(one.name for one in mutants).items():
        if count > 1:
            yield f"{name}: {count} rows have this name"
    for one in mutants:
        yield from (f"{one.name}: {fault}" for fault in _faults(root, one))


def _faults(root: Path, one: Mutant) -> Iterator[str]:
    path = root / one.file
    if one.file.split("/")[0] not in PACKAGES or not path.is_file():
        yield f"{one.file} is no file of {' or '.join(PACKAGES)}"
        return
    count = path.read_text(encoding="utf-8").count(one.old) if one.old else 0
    if count != 1:
        yield f"its old text stands {count} times in {one.file}, not once"
    if one.old == one.new:
        yield "its new text is the old one"
    if not one.tests:
        yield "it names no test"
    for test in one.tests:
        matched = _TEST.fullmatch(test)
        if matched is None or matched[2] not in functions_of(root / matched[1]):
            yield f"there is no test {test}"


def functions_of(path: Path) -> frozenset[str]:
    """The functions of a test file, those of classes as ``Class::function``; none where there is no such file."""
    if not path.is_file():
        return frozenset()
    source = path.read_text(encoding="utf-8")
    if (path, source) not in _FUNCTIONS:
        found = set()
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.ClassDef):
                inner = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
                found |= {f"{node.name}::{one.name}" for one in inner}
        _FUNCTIONS[path, source] = frozenset(found)
    return _FUNCTIONS[path, source]


_FUNCTIONS: dict[tuple[Path, str], frozenset[str]] = {}


def sample(mutants: Sequence[Mutant], commit: str, count: int) -> list[Mutant]:
    """``count`` rows that ``commit`` draws: the same for everybody who has it, others for the next commit."""
    seed = int.from_bytes(hashlib.sha256(commit.encode()).digest()[:8], "big")
    by_name = sorted(mutants, key=lambda one: one.name)
    return random.Random(seed).sample(by_name, min(count, len(by_name)))
