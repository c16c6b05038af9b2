"""What the pages say of the tree is true: files, functions, rooms, suites and tools that they name are there.

Each rule is shown to fail on a page that breaks it.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_style import repository, tracked

from abci_app.governance.actions import ACTIONS

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
ARCHITECTURE = "docs/architecture.md"
# From where a page's names count, besides its own folder.
BASES = ("", "abci_app", "dta")

NAMED_FILE = re.compile(r"(?<![\w./<>*-])((?:[\w.*-]+/)*[\w.*-]+\.(?:py|md|sh|proto|go|mod|template))(?![\w/-]|\.\w)")
NAMED_PLACE = re.compile(r"`((?:abci_app|dta|docs|proto|scripts|tests|tools|config)/[\w./*-]*)`")
NAMED_PAGE = re.compile(r"(?<![\w./-])((?:[\w-]+/)*[\w-]+\.md)\b")
LINK = re.compile(r"\[[^\]]*\]\(([^)#:\s]+)(?:#[^)]*)?\)")
NAMED_FUNCTION = re.compile(r"((?:[\w-]+/)*[\w-]+\.py):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


def pages(root: Path) -> list[Path]:
    return [path for path in tracked(root) if path.suffix == ".md"]


def found(root: Path, page: Path, name: str) -> list[Path]:
    """What ``name`` on ``page`` can mean."""
    bases = [root / base for base in BASES] + [(root / page).parent]
    return [path for base in bases for path in base.glob(name.rstrip("/")) if path.exists()]


def missing_places(root: Path) -> Iterator[str]:
    """Files, folders and links' targets that a page names and the tree lacks."""
    for page in pages(root):
        text = (root / page).read_text()
        for target in dict.fromkeys(LINK.findall(text)):
            if not ((root / page).parent / target).exists():
                yield f"{page} links {target}"
        prose = LINK.sub("", text)
        for name in dict.fromkeys(NAMED_FILE.findall(prose) + NAMED_PLACE.findall(prose)):
            if not found(root, page, name):
                yield f"{page} names {name}"


def said(source: str) -> str:
    """Every string and comment of a module: docstrings, hints and what stands beside the code."""
    # Since Python 3.12 the text of an f-string is a token of its own.
    kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", None))
    return "\n".join(one.string for one in tokenize.generate_tokens(io.StringIO(source).readline) if one.type in kinds)


def missing_pages(root: Path) -> Iterator[str]:
    """Pages that a module of ours names, by their whole path, and the tree lacks."""
    for module in tracked(root):
        if module.suffix != ".py" or module.parts[0] not in ("abci_app", "dta"):
            continue
        for name in dict.fromkeys(NAMED_PAGE.findall(said((root / module).read_text()))):
            if not (root / name).is_file():
                yield f"{module} names {name}"


def defined(path: Path) -> set[str]:
    """Names of a module: functions, classes, constants, and ``Class.name`` of what is in a class."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        names.update(_names_of(node))
        if isinstance(node, ast.ClassDef):
            names.update(f"{node.name}.{name}" for inner in node.body for name in _names_of(inner))
    return names


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def missing_functions(root: Path) -> Iterator[str]:
    """What a page names as ``file.py:name`` and the file does not define."""
    for page in pages(root):
        for file, name in dict.fromkeys(NAMED_FUNCTION.findall((root / page).read_text())):
            if not any(name in defined(path) for path in found(root, page, file)):
                yield f"{page} names {file}:{name}"


def drawn(picture: str) -> dict[str, list[str]]:
    """The floors of each container in a picture: packages at its edge, floors below them, a room's own below it."""
    floors: dict[str, list[str]] = {}
    package, room = "", ""
    for line in filter(str.strip, picture.splitlines()):
        indent, words = len(line) - len(line.lstrip()), re.split(r"\s{2,}", line.strip())[0]
        if indent == 0:
            package = words
            floors[package] = []
        elif indent == 2:
            room = words
            floors[package].append(words)
        else:
            floors.setdefault(f"{package}.{room}", []).append(words)
    return floors


def agreed() -> dict[str, list[str]]:
    """The floors as the linter has them."""
    contracts = SETTINGS["tool"]["importlinter"]["contracts"]
    return {contract["containers"][0]: contract["layers"] for contract in contracts if contract["type"] == "layers"}


def on_demand() -> list[str]:
    """The suites of scripts/test.sh that run only when they are asked for."""
    done = subprocess.run([ROOT / "scripts/test.sh", "--list"], capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split() if name.startswith("--")]


def test_every_file_that_a_page_names_is_there() -> None:
    assert list(missing_places(ROOT)) == []


def test_every_function_that_a_page_names_is_there() -> None:
    assert list(missing_functions(ROOT)) == []


def test_every_page_that_a_module_names_is_there() -> None:
    # The pages of others, named with where they are.
    elsewhere = {"dta/blocks/daemon.py names docs/config.md"}
    assert set(missing_pages(ROOT)) == elsewhere


def test_the_picture_of_the_architecture_is_the_linter_s() -> None:
    picture = (ROOT / ARCHITECTURE).read_text().split("```text\n")[1].split("```")[0]
    assert drawn(picture) == agreed()


def test_the_three_ways_are_told_by_function_names() -> None:
    parts = (ROOT / ARCHITECTURE).read_text().split("\n## ")[2:]
    assert [part.split(",")[0] for part in parts] == ["A transaction", "A hook", "A read"]
    assert all(len(NAMED_FUNCTION.findall(part)) >= 8 for part in parts)


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs/index.md").read_text()
    reached = {(ROOT / "docs" / target).resolve() for target in LINK.findall(index)}
    wanted = {ROOT / page for page in pages(ROOT) if page.parts[0] == "docs" and "adr" not in page.parts}
    assert wanted - reached == {ROOT / "docs/index.md"}
    assert ROOT / "docs/adr/README.md" in reached


def test_every_decision_has_one_line_in_the_index_of_decisions_and_every_hole_is_explained() -> None:
    folder = ROOT / "docs/adr"
    index = (folder / "README.md").read_text()
    listed = re.findall(r"^\| \[(\d+)\]\((\d{4}-[a-z0-9-]+\.md)\) \| \S.* \|$", index, re.M)
    assert [name for _, name in listed] == sorted(path.name for path in folder.glob("[0-9]*.md"))
    numbers = [int(number) for number, _ in listed]
    for number, name in listed:
        assert int(name[:4]) == int(number)
        assert re.match(rf"# (ADR )?{number}[.:] ", (folder / name).read_text()), name
    holes = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
    said = " ".join(re.findall(r"^\*\*(.*)\*\*.*(?:not used|under way)", index, re.M))
    assert [int(number) for number in re.findall(r"\d+", said)] == holes


def test_the_changelog_begins_with_the_version_that_is_to_come() -> None:
    versions = re.findall(r"^## \[(.*?)\](.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert versions[0] == (SETTINGS["project"]["version"], " - unreleased")


def test_the_kinds_of_proposal_and_their_modules_are_the_code_s() -> None:
    page = (ROOT / "docs/spec/governance.md").read_text()
    assert sorted(re.findall(r"^\| `([a-z_]+) \{", page, re.M)) == sorted(ACTIONS)
    assert "in a module of its own" in page
    modules = [action.execute.__module__ for action in ACTIONS.values()]
    assert len(set(modules)) == len(modules)


@pytest.mark.parametrize("page", ["README.md", "docs/howto/development.md"])
def test_the_suites_that_run_on_demand_are_named_as_such(page: str) -> None:
    text = (ROOT / page).read_text()
    assert on_demand()
    for suite in on_demand():
        assert f"`{suite}`" in text or f"scripts/test.sh {suite}" in text
    assert "every suite" not in text.replace("every suite but", "")


def test_every_go_program_is_named_with_what_uses_it() -> None:
    page = (ROOT / "docs/howto/development.md").read_text()
    programs = sorted(path.parent.name for path in (ROOT / "tools").glob("*/main.go"))
    assert programs == sorted(re.findall(r"`tools/([a-z0-9-]+)`, ", page))
    readme = (ROOT / "README.md").read_text()
    built = re.findall(r"ensure_(\w+)_verifier", (ROOT / "scripts/localnet.sh").read_text())
    words = {1: "one verifier", 2: "two verifiers", 3: "three verifiers"}
    assert words[len(set(built))] in readme
    [row] = [line for line in page.splitlines() if "verifiers in Go" in line]
    assert f"{words[row.count('`tools/')]} in Go" in row


def test_a_file_a_folder_or_a_target_that_is_gone_is_seen(tmp_path: Path) -> None:
    page = "`gone.py`, `here.py`, `there/here.py` `abci_app/gone/`, `abci_app/here/`, `abci_app/out`, `tests/x_*.py`, "
    page += "`tests/y_*.py`, x.py.old, [b.md](b.md), [a](a.md), [c](d/e.txt#f), [g](https://example.org/h.md)\n"
    files = {"docs/a.md": page, "abci_app/here/here.py": "", "dta/here.py": "", "tests/y_1.py": ""}
    said = [line.split()[1:] for line in missing_places(repository(tmp_path, files))]
    assert said == [
        ["links", "b.md"], ["links", "d/e.txt"], ["names", "gone.py"], ["names", "there/here.py"],
        ["names", "tests/x_*.py"], ["names", "abci_app/gone/"], ["names", "abci_app/out"],
    ]  # fmt: skip


def test_a_function_that_is_gone_is_seen(tmp_path: Path) -> None:
    page = "a.py:f a.py:A.g a.py:A.x a.py:C, a.py:h a.py:A.h b.py:f\n"
    source = "C = 1\ndef f(): ...\nclass A:\n    x: int\n    async def g(self): ...\n"
    tree = repository(tmp_path, {"README.md": page, "dta/a.py": source})
    assert [line.split()[-1] for line in missing_functions(tree)] == ["a.py:h", "a.py:A.h", "b.py:f"]


def test_a_page_that_a_module_names_and_that_is_gone_is_seen(tmp_path: Path) -> None:
    source = '"""See docs/a.md, gone.md."""\nx = 1  # docs/gone.md, Part\nraise E(f"hint: docs/b/gone.md")\ny = a.md\n'
    tree = repository(tmp_path, {"docs/a.md": "", "dta/a.py": source, "tests/a.py": "# gone.md"})
    assert [line.split()[-1] for line in missing_pages(tree)] == ["gone.md", "docs/gone.md", "docs/b/gone.md"]


def test_a_room_that_moved_is_seen() -> None:
    picture = "p    what\n  a | b    x\n  c    y\n    d\n    e : f\nq\n  g\n"
    assert drawn(picture) == {"p": ["a | b", "c"], "p.c": ["d", "e : f"], "q": ["g"]}
